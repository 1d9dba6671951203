"""Mosaics are developed with their own colours, levels, crop and orientation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rawpy

from restore.errors import OutputError, UsageError
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb
from restore.image.develop import GUESSED_BALANCE, GUESSED_COLOURS, camera_to_srgb, gains_of
from restore.image.dng_metadata import DngMetadata, DngTag
from restore.image.ifd import Entry
from restore.image.linear_dng import read_linear_dng
from restore.image.losses import losses, remarks
from restore.image.raw_picture import RawPicture
from restore.mosaic.develop import developed, encoded_mosaic

Sensor = Callable[..., RawPicture]


@pytest.fixture
def flat(sensor: Sensor) -> Callable[..., RawPicture]:
    """Makes a RAW picture of one colour, given as red, green and blue of the sensor in [0, 1]."""

    def make(red: float, green: float, blue: float, *words: str, **fields: Any) -> RawPicture:
        like = sensor(*words, **fields)
        levels = 512 + 15000 * np.array([red, green, blue, green])
        side = len(like.cfa)
        across = [-(-size // side) for size in like.mosaic.shape]
        height, width = like.mosaic.shape
        mosaic = np.tile(levels[like.cfa], across)[:height, :width].round().astype(np.uint16)
        return sensor(*words, **fields, mosaic=mosaic)

    return make


@pytest.mark.parametrize("pattern", ["rggb", "gbrg", "xtrans"])
def test_colours_are_those_of_the_matrix(flat: Callable[..., RawPicture], pattern: str) -> None:
    raw = flat(0.10, 0.15, 0.12, pattern)
    balanced = np.array([0.10, 0.15, 0.12]) * gains_of(raw.white_balance)
    wanted = linear_to_srgb((camera_to_srgb(raw) @ balanced).astype(np.float32))
    found = developed(raw).pixels[:, 40, 60]
    np.testing.assert_allclose(found, wanted, atol=0.004)


def test_what_the_sensor_blew_is_white(flat: Callable[..., RawPicture]) -> None:
    """Its white level claims more than it reaches."""
    raw = flat(0.8, 0.8, 0.8, saturation=(12512.0,) * 4)
    np.testing.assert_allclose(developed(raw).pixels, 1, atol=1e-3)


def test_the_picture_is_cropped_and_upright(flat: Callable[..., RawPicture]) -> None:
    raw = flat(0.1, 0.1, 0.1, size=(60, 90), default_crop=(4, 6, 40, 70), orientation=8)
    picture = developed(raw)
    assert (picture.height, picture.width, picture.orientation) == (70, 40, 1)


@pytest.mark.parametrize("pattern", ["rggb", "mono"])
@pytest.mark.parametrize(
    ("stops", "level", "shown"), [(1.0, 0.1, 0.2), (1.0, 0.9, 1), (-1.0, 0.2, 0.1), (-1.0, 1.0, 1)]
)
def test_baseline_exposure_is_applied_and_white_stays_white(
    flat: Callable[..., RawPicture], pattern: str, stops: float, level: float, shown: float
) -> None:
    entry = Entry(10, 1, np.array([stops * 100, 100], "<i4").tobytes())
    dng = DngMetadata(tags={DngTag.BASELINE_EXPOSURE: entry})
    cfa = {"cfa": np.array([[1]], np.uint8)} if pattern == "mono" else {}
    raw = flat(level, level, level, white_level=15512.0, dng=dng, white_balance=(1, 1, 1), **cfa)
    wanted = linear_to_srgb(np.float32(shown))
    np.testing.assert_allclose(developed(raw).pixels.mean(), wanted, atol=2e-3)


def test_colours_without_a_known_matrix_are_said_to_be_guessed(
    flat: Callable[..., RawPicture],
) -> None:
    raw = flat(0.1, 0.2, 0.05, xyz_to_camera=None)
    with remarks() as said:
        encoded_mosaic(raw, ImageFormat.DNG, AS_IT_CAME)
    assert said == [GUESSED_COLOURS]


def test_a_guessed_white_balance_makes_the_mean_gray_and_is_said(
    flat: Callable[..., RawPicture],
) -> None:
    raw = flat(0.1, 0.2, 0.05, has_white_balance=False)
    with remarks() as said:
        encoded_mosaic(raw, ImageFormat.DNG, AS_IT_CAME)
        assert said == []
        encoded_mosaic(raw, ImageFormat.PNG, AS_IT_CAME)
    assert said == [GUESSED_BALANCE]
    red, green, blue = developed(raw).pixels.mean(axis=(1, 2))
    assert red == pytest.approx(green, abs=2e-3)
    assert blue == pytest.approx(green, abs=2e-3)


@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
def test_a_shadow_keeps_its_mean_in_a_linear_dng(
    sensor: Sensor, tmp_path: Path, pattern: str
) -> None:
    """Half of its noise lies below black."""
    noise = np.random.default_rng(0).normal(514, 30, (120, 180))
    raw = sensor(pattern, mosaic=noise.round().astype(np.uint16), white_level=15512.0)
    path = tmp_path / "dark.dng"
    path.write_bytes(encoded_mosaic(raw, ImageFormat.DNG_LINEAR, AS_IT_CAME))
    light = read_linear_dng(path).pixels
    assert light.min() < 0
    with rawpy.imread(str(path)) as opened:
        samples = opened.raw_image_visible[..., :3].astype(float)
        black = np.array(opened.black_level_per_channel[:3]) + 0.0
        samples = (samples - black) / (opened.white_level - black)
    assert samples.mean() * 15000 == pytest.approx(2, abs=0.5)


def test_what_is_upright_does_not_ask_to_be_turned(flat: Callable[..., RawPicture]) -> None:
    xmp = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" a="6"/>'
    picture = developed(flat(0.1, 0.1, 0.1, orientation=6, xmp=xmp))
    assert picture.xmp == xmp.replace(b'Orientation="6"', b'Orientation="1"')


def test_monochrome_is_gray(sensor: Sensor) -> None:
    raw = sensor(cfa=np.array([[1]], np.uint8), mosaic=np.full((20, 30), 4262, np.uint16))
    np.testing.assert_allclose(developed(raw).pixels, linear_to_srgb(np.float32(0.25)), atol=1e-4)


def test_corrections_that_are_not_applied_are_named(sensor: Sensor) -> None:
    def opcodes(*numbers: int) -> Entry:
        each = b"".join(np.array([n, 0, 0, 0], ">u4").tobytes() for n in numbers)
        return Entry(7, 4 + len(each), np.array(len(numbers), ">u4").tobytes() + each)

    first, _, third = DngTag.OPCODE_LISTS
    dng = DngMetadata(tags={first: opcodes(9), third: opcodes(1)})
    raw = sensor(dng=dng)
    named = {
        ImageFormat.DNG: [],
        ImageFormat.DNG_LINEAR: ["GainMap"],
        ImageFormat.PNG: ["GainMap", "WarpRectilinear"],
    }
    for image_format, names in named.items():
        with losses() as lost:
            encoded_mosaic(raw, image_format, AS_IT_CAME)
        assert lost == [f"its {name} correction, which is not applied" for name in names]


def test_a_dng_has_sixteen_bits(sensor: Sensor) -> None:
    with pytest.raises(UsageError, match="DNG holds 16 bits"):
        encoded_mosaic(sensor(), ImageFormat.DNG, WriteOptions(bit_depth=8))


def test_metadata_are_stripped_on_demand(sensor: Sensor) -> None:
    raw = sensor(xmp=b"<x:xmpmeta>mine</x:xmpmeta>")
    stripped = encoded_mosaic(raw, ImageFormat.DNG, WriteOptions(strip_metadata=True))
    assert b"xmpmeta" not in stripped


def test_where_memory_is_short_the_error_names_no_temporary_file(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.image.reservation._ALWAYS_THERE", 0)
    monkeypatch.setattr("restore.image.reservation.available_bytes", lambda: 1000)
    with pytest.raises(OutputError, match=r"^cannot be developed: has 512x512 pixels and needs"):
        developed(sensor())
