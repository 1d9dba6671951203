"""Exposures of frames, wherever EXIF states them, and what brackets of each kind merge to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from restore.errors import InputError, UsageError
from restore.hdr.merge.exposures import parse_exposures, read_exposure
from restore.hdr.merge.merge import merge_bracket
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.encode import encode
from restore.image.picture import Picture
from restore.image.raw_picture import REFERENCE_CFA, RawPicture


def test_exif_tells_the_exposure(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "hdr/brackets/stack"
    first, second = (read_exposure(folder / f"stack_room_exp_{i}.jpg") for i in (0, 1))
    assert first.light is not None
    assert second.light is not None
    assert first.light / second.light == pytest.approx(4)
    assert first.light == pytest.approx(2 * 2 / 4.5**2)
    assert second.taken is not None
    assert first.taken is not None
    assert second.taken - first.taken == pytest.approx(20, abs=1)
    Image.new("RGB", (4, 4)).save(tmp_path / "bare.png")
    assert read_exposure(tmp_path / "bare.png").light is None
    exif = decode(folder / "stack_room_exp_0.jpg").exif
    for image_format in (ImageFormat.TIFF, ImageFormat.PNG, ImageFormat.WEBP, ImageFormat.JPEG):
        picture = Picture(
            pixels=np.zeros((3, 4, 4), np.float32), exif=exif,
            is_float=image_format is ImageFormat.TIFF, bit_depth=32,
        )  # fmt: skip
        path = tmp_path / f"a.{image_format}"
        path.write_bytes(encode(picture, image_format))
        assert read_exposure(path).light == pytest.approx(first.light)


_SECONDS, _F, _ISO, _TV, _AV, _BV, _BIAS = 33434, 33437, 34855, 37377, 37378, 37379, 37380


@pytest.mark.parametrize(
    ("main", "details", "light"),
    [
        ({}, {_SECONDS: 0.25, _F: 2.0, _ISO: 200}, 0.25 * 2 / 4),
        ({_SECONDS: 0.25, _F: 2.0, _ISO: 200}, {}, 0.25 * 2 / 4),
        ({}, {_TV: 2.0, _AV: 2.0}, 0.25 / 4),
        ({}, {_SECONDS: 0.0, _TV: 2.0, _F: 0.0, _ISO: 0}, 0.25),
        ({}, {_SECONDS: 0.25, 34866: 102400}, 0.25 * 1024),
        ({_TV: 2.0, _AV: 2.0}, {}, 0.25 / 4),
        ({}, {_SECONDS: IFDRational(0, 0), _TV: 2.0, _F: IFDRational(0, 0)}, 0.25),
        ({}, {_BV: 3.0}, 1 / 8 / 32),
        ({}, {_BV: 3.0, _BIAS: -2.0, _SECONDS: 0.0}, 1 / 8 / 32 / 4),
        ({}, {_BV: 3.0, _SECONDS: 0.5}, 0.5),
        ({}, {_F: 2.0, _ISO: 200}, None),
        ({}, {_TV: 1e9}, None),
    ],
)
def test_exposures_are_read_wherever_exif_states_them(
    tmp_path: Path, main: dict[int, float], details: dict[int, float], light: float | None
) -> None:
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(0x8769).update(details)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    found = read_exposure(tmp_path / "a.jpg").light
    assert found == (None if light is None else pytest.approx(light, rel=1e-3))


def test_exposures_on_the_command_line_are_fractions_or_numbers() -> None:
    assert parse_exposures("1/60, 0.25,2", 3) == pytest.approx([1 / 60, 0.25, 2])
    with pytest.raises(UsageError, match="1/60: 1 given; give 2, a time in seconds for each"):
        parse_exposures("1/60", 2)


@pytest.mark.parametrize("wrong", ["1/0", "abc", "-1", "nan", "1e400", "1/2/3", "nothing"])
def test_a_message_names_what_is_no_exposure_time(wrong: str) -> None:
    for text in (f"1,{wrong}", f"{wrong},1"):
        with pytest.raises(UsageError, match=f": {wrong} is no time in seconds"):
            parse_exposures(text.replace("nothing", ""), 2)


def _exif(main: dict[int, Any], details: dict[int, Any]) -> Image.Exif:
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(0x8769).update(details)
    return exif


@pytest.mark.parametrize(
    ("main", "details", "words"),
    [
        ({}, {_SECONDS: IFDRational(1, 60), _F: 8.0, _ISO: 100}, "1/60 s f/8 ISO 100"),
        ({_SECONDS: 2.5, _F: 5.6}, {}, "2.5 s f/5.6"),
        ({}, {_TV: 3.0, _AV: 6.0}, "1/8 s f/8"),
        ({}, {_BV: 3.0, _ISO: 400}, "metered ISO 400"),
        ({}, {_F: 8.0}, "unknown time f/8"),
    ],
)
def test_an_exposure_is_named_as_photographers_write_it(
    tmp_path: Path, main: dict[int, Any], details: dict[int, Any], words: str
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=_exif(main, details))
    assert read_exposure(tmp_path / "a.jpg").words == words


def _frames(folder: Path, stated: Sequence[dict[int, Any]], lights: Sequence[float]) -> list[Path]:
    """Write a ramp of light as a camera sees it with each exposure, 1 white, and what it states."""
    paths = []
    for index, (details, light) in enumerate(zip(stated, lights, strict=True)):
        samples = linear_to_srgb((_RAMP * light).clip(0, 1))
        exif = _exif({}, details).tobytes().removeprefix(b"Exif\0\0")
        paths.append(folder / f"{index}.png")
        paths[-1].write_bytes(encode(Picture(pixels=samples[None], exif=exif), ImageFormat.PNG))
    return paths


_RAMP = np.broadcast_to(np.geomspace(0.02, 3, 96), (64, 96)).astype(np.float32)


@pytest.mark.parametrize(
    "stated",
    [
        [{_SECONDS: t, _F: 4.0, _ISO: 100} for t in (0.025, 0.1, 0.4)],
        [{_SECONDS: 0.1, _F: 4.0, _ISO: iso} for iso in (100, 400, 1600)],
        [{_SECONDS: 0.1, _F: number, _ISO: 100} for number in (8.0, 4.0, 2.0)],
        [{_TV: 5.0, _AV: av, _ISO: 100} for av in (6.0, 4.0, 2.0)],
        [{_BV: 5.0, _BIAS: bias} for bias in (-2.0, 0.0, 2.0)],
        [{_SECONDS: 0.1, _ISO: 400, _F: 4.0}, {_SECONDS: 0.1, _ISO: 1600, _F: 4.0},
         {_SECONDS: 0.1, _ISO: 800, _F: 1.4142}],
    ],
    ids=["time", "ISO", "aperture", "APEX", "metered", "all"],
)  # fmt: skip
def test_brackets_of_every_kind_merge_to_the_light(
    tmp_path: Path, stated: list[dict[int, Any]]
) -> None:
    paths = _frames(tmp_path, stated, (0.25, 1.0, 4.0))
    result = merge_bracket([read_exposure(path) for path in paths], align=False)
    stops = np.log2(result.picture.pixels[1] / _RAMP)
    assert result.record["stops"] == pytest.approx(4, abs=0.01)
    assert np.abs(stops).max() < 0.1


@pytest.mark.parametrize(("tag", "name"), [(_F, "f-number"), (_ISO, "ISO speed")])
def test_what_only_some_frames_state_is_refused(tmp_path: Path, tag: int, name: str) -> None:
    whole = {_SECONDS: 0.1, _F: 4.0, _ISO: 200}
    partly = {key: value for key, value in whole.items() if key != tag}
    paths = _frames(tmp_path, [whole, {**partly, _SECONDS: 0.4}], (1.0, 4.0))
    with pytest.raises(InputError, match=rf"1\.png: its EXIF states no {name}, as .*0\.png does"):
        merge_bracket([read_exposure(path) for path in paths], align=False)


def test_the_exposure_of_a_raw_file_is_read_without_decoding_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = _exif({}, {_SECONDS: 0.25, _F: 2.0, _ISO: 200}).tobytes().removeprefix(b"Exif\0\0")
    mosaic = np.full((32, 32), 1000, dtype=np.uint16)
    raw = RawPicture(
        mosaic=mosaic, cfa=REFERENCE_CFA[2], black_level=(0.0,) * 4, white_level=4095, exif=exif
    )
    (tmp_path / "a.dng").write_bytes(write_cfa_dng(raw))
    monkeypatch.setattr("restore.hdr.merge.exposures.read_raw", None)
    assert read_exposure(tmp_path / "a.dng").light == pytest.approx(0.25 * 2 / 4)
