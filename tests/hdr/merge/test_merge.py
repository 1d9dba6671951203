from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from restore.errors import InputError
from restore.hdr.merge.brackets import Grouping, grouped
from restore.hdr.merge.exposures import Exposure, read_exposure, tried_exposure
from restore.hdr.merge.merge import merge_bracket
from restore.hdr.radiance import Known
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer
from restore.image.raw_picture import RawPicture

TIMES = (1 / 4, 1 / 30, 1 / 250)


def _scene() -> np.ndarray:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.lognormal(-1, 1.6, (3, 10, 12)), np.ones((1, 12, 12)))
    return ndimage.gaussian_filter(blocks, (0, 1, 1)).astype(np.float32)


def _shot(path: Path, light: np.ndarray, *, bits: int = 16, linear: bool = False) -> Path:
    samples = np.clip(light, 0, 1).astype(np.float32)
    pixels = samples if linear else linear_to_srgb(samples)
    picture = Picture(pixels=pixels, bit_depth=bits)
    path.write_bytes(encode(picture, ImageFormat.PNG))
    return path


def _bracket(folder: Path, scene: np.ndarray, *, bits: int = 16) -> list[Exposure]:
    return [
        Exposure(path=_shot(folder / f"{index}.png", scene * time * 30, bits=bits), light=time)
        for index, time in enumerate(TIMES)
    ]


@pytest.mark.parametrize(("bits", "error"), [(8, 0.04), (16, 0.005)])
def test_the_radiance_of_a_known_scene_is_found(tmp_path: Path, bits: int, error: float) -> None:
    scene = _scene()
    result = merge_bracket(_bracket(tmp_path, scene, bits=bits), align=False)
    seen = (scene.max(axis=0) < 6) & (scene.min(axis=0) > 0.02)
    assert seen.mean() > 0.7
    ratio = result.picture.pixels[:, seen] / scene[:, seen]
    assert np.abs(np.log(ratio)).mean() < error
    assert result.record["stops"] == pytest.approx(np.log2(250 / 4), abs=1e-3)


def test_the_packet_of_the_frames_is_kept(tmp_path: Path) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    bracket = _bracket(tmp_path, _scene())
    for each in bracket:
        each.path.write_bytes(encode(replace(decode(each.path), xmp=packet), ImageFormat.PNG))
    assert merge_bracket(bracket, align=False).picture.xmp == packet


def test_exposures_in_the_wrong_order_are_refused(tmp_path: Path) -> None:
    right = _bracket(tmp_path, _scene())
    wrong = [
        Exposure(path=one.path, light=light)
        for one, light in zip(right, reversed(TIMES), strict=True)
    ]
    with pytest.raises(InputError, match=r"is darker than .*0\.png, though its exposure"):
        merge_bracket(wrong, align=False)


def test_light_that_changes_a_little_and_floats_of_any_value_are_merged(tmp_path: Path) -> None:
    scene = _scene()
    scene[:, 0, 0] = np.inf
    short = Picture(pixels=scene, bit_depth=32, is_float=True, transfer=Transfer.LINEAR)
    (tmp_path / "short.tif").write_bytes(encode(short, ImageFormat.TIFF))
    longer = _shot(tmp_path / "longer.png", scene.clip(0, 1e3) * 4)
    clouded = _shot(tmp_path / "clouded.png", scene.clip(0, 1e3) * 2)
    frames = {tmp_path / "short.tif": 1.0, longer: 4.0, clouded: 10.0}
    merged = merge_bracket([Exposure(path=path, light=light) for path, light in frames.items()])
    assert merged.record["frames"] == 3


def test_a_hand_held_bracket_is_put_together(tmp_path: Path) -> None:
    scene = _scene()
    bracket = [
        Exposure(
            path=_shot(tmp_path / f"{i}.png", np.roll(scene, (3 * (i - 1), 2 * (i - 1)), (1, 2))
                       * time * 30),
            light=time,
        )
        for i, time in enumerate(TIMES)
    ]  # fmt: skip
    inner = (slice(None), slice(12, -12), slice(12, -12))
    errors = [
        np.abs(np.log(merge_bracket(bracket, align=align).picture.pixels[inner] / scene[inner]))
        for align in (True, False)
    ]
    assert np.median(errors[0]) < 0.02
    assert errors[0].mean() < errors[1].mean() / 3


def test_where_every_frame_is_white_the_value_is_a_guess(tmp_path: Path) -> None:
    scene = _scene()
    scene[:, 40:60, 40:60] = 500.0
    result = merge_bracket(_bracket(tmp_path, scene), align=False)
    assert (result.known[45:55, 45:55] == Known.GUESSED).all()
    # Never darker than the shortest exposure can tell.
    assert result.picture.pixels[:, 45:55, 45:55].min() > 7
    assert (result.known[scene.max(axis=0) < 5] == Known.MEASURED).all()


def test_the_noise_of_the_dark_is_that_of_the_longest_exposure(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scene = np.full((3, 80, 80), 0.01, dtype=np.float32)
    bracket = []
    for index, time in enumerate(TIMES):
        noisy = scene * time * 30 + 0.003 * rng.standard_normal(scene.shape).astype(np.float32)
        path = _shot(tmp_path / f"{index}.png", noisy + 0.02, linear=True)
        bracket.append(Exposure(path=path, light=time))
    # The pedestal, under which noise would be clipped, is the same in all frames: a contradiction.
    merged = merge_bracket(bracket, align=False, is_linear=True, deghost=None).picture.pixels
    assert merged.std() < 1.3 * 0.003 / (TIMES[0] * 30)


def test_a_bracket_that_is_none_is_refused(tmp_path: Path) -> None:
    bracket = _bracket(tmp_path, _scene())
    with pytest.raises(InputError, match=r"0\.png: stands alone"):
        merge_bracket(bracket[:1])
    with pytest.raises(InputError, match="give exposures"):
        merge_bracket([bracket[0], Exposure(path=bracket[1].path, light=None)])
    small = _shot(tmp_path / "small.png", np.ones((3, 8, 8), dtype=np.float32))
    with pytest.raises(InputError, match=r"small\.png: differs in size"):
        merge_bracket([*bracket, Exposure(path=small, light=1.0)])


def test_real_brackets_merge_and_span_their_exposures(shared_data: Path) -> None:
    paths = sorted((shared_data / "hdr/brackets/stack").glob("*.jpg"))
    exposures = [read_exposure(path) for path in paths]
    (bracket,) = grouped(exposures, Grouping(gap_s=30))
    result = merge_bracket(bracket)
    assert result.record["stops"] == pytest.approx(13, abs=0.1)
    assert (result.known == Known.GUESSED).mean() < 0.001
    light = result.picture.pixels.mean(axis=0)
    # The lamp is thousands of times brighter than the shadows beside it.
    assert np.quantile(light, 0.999) / np.quantile(light, 0.05) > 1000


def test_raw_brackets_merge_in_linear_light(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flat = np.kron(rng.random((16, 20)) * 0.8, np.ones((8, 8)))
    bracket = []
    for index, time in enumerate((1 / 10, 1 / 160)):
        codes = np.clip(256 + flat * 8000 * time * 10, 0, 8191).astype(np.uint16)
        raw = RawPicture(
            mosaic=codes,
            cfa=np.array([[0, 1], [3, 2]], dtype=np.uint8),
            black_level=(256,) * 4,
            white_level=8000,
            white_balance=(1.0, 1.0, 1.0),
            exposure_time_s=time,
        )
        path = tmp_path / f"{index}.dng"
        path.write_bytes(write_cfa_dng(raw))
        bracket.append(Exposure(path=path, light=time))
    light = merge_bracket(bracket, align=False).picture.pixels
    inner = flat[8:-8, 8:-8] > 0.1
    ratio = light.mean(axis=0)[8:-8, 8:-8][inner] / flat[8:-8, 8:-8][inner]
    assert ratio.std() / ratio.mean() < 0.25
    # In units of the shorter exposure, the lower of the two in the middle.
    assert ratio.mean() == pytest.approx(8000 / (8000 - 256) / 16, rel=0.05)


def test_raw_frames_share_a_white_balance_and_count_up_to_the_sensors_white(
    tmp_path: Path, sensor: Callable[..., RawPicture]
) -> None:
    """Red takes 0.64 of the sensor's range in the longer frame, and twice that when balanced."""
    bracket = []
    for index, (red, balance, time) in enumerate(
        ((0.15, (2.0, 1.0, 1.5), 0.25), (0.64, (2.3, 1.0, 1.4), 1.0))
    ):
        mosaic = np.full((32, 40), 512 + 0.01 * 15000)
        mosaic[::2, ::2] = 512 + red * 15000
        raw = sensor(mosaic=mosaic.astype(np.uint16), white_balance=balance, xyz_to_camera=None)
        (tmp_path / f"{index}.dng").write_bytes(write_cfa_dng(raw))
        bracket.append(Exposure(path=tmp_path / f"{index}.dng", light=time))
    merged = merge_bracket(bracket, align=False)
    light = merged.picture.pixels[:, 8:-8, 8:-8].mean(axis=(1, 2))
    assert light[0] == pytest.approx(2 * 0.16, rel=0.02)
    assert merged.record["guessed"] == 0


def test_linear_and_encoded_frames_mix(tmp_path: Path) -> None:
    scene = _scene()
    bracket = _bracket(tmp_path, scene)
    light = np.clip(scene * TIMES[2] * 30, 0, None).astype(np.float32)
    frame = Picture(pixels=light, bit_depth=32, is_float=True, transfer=Transfer.LINEAR)
    (tmp_path / "linear.tif").write_bytes(encode(frame, ImageFormat.TIFF))
    for encoded in (bracket[:2], bracket[:1]):
        mixed = [*encoded, Exposure(path=tmp_path / "linear.tif", light=TIMES[2])]
        result = merge_bracket(mixed, align=False)
        reference = sorted(one.light or 0 for one in mixed)[(len(mixed) - 1) // 2]
        truth = scene * reference * 30
        seen = (truth.max(axis=0) < 1) & (truth.min(axis=0) > 0.001)
        error = np.abs(np.log(result.picture.pixels[:, seen] / truth[:, seen]))
        assert np.median(error) < 0.01
        assert result.record["response"] == "srgb"


def test_what_the_shortest_of_a_wide_bracket_measured_is_no_guess(tmp_path: Path) -> None:
    lights = (2.0**-11, 1.0, 2.0**10)
    scene = np.full((3, 40, 40), 0.44 * 2**11, dtype=np.float32)
    bracket = []
    for index, light in enumerate(lights):
        frame = Picture(
            pixels=np.minimum(scene * np.float32(light), 1),
            bit_depth=32, is_float=True, transfer=Transfer.LINEAR,
        )  # fmt: skip
        path = tmp_path / f"{index}.tif"
        path.write_bytes(encode(frame, ImageFormat.TIFF))
        bracket.append(Exposure(path=path, light=light))
    result = merge_bracket(bracket, align=False)
    assert (result.known == Known.MEASURED).all()
    np.testing.assert_allclose(result.picture.pixels, scene, rtol=0.01)


@pytest.mark.parametrize("size", [(1, 1), (1, 200)])
def test_the_smallest_frames_merge(tmp_path: Path, size: tuple[int, int]) -> None:
    scene = np.full((3, *size), 0.4, dtype=np.float32)
    assert merge_bracket(_bracket(tmp_path, scene)).picture.pixels.shape == (3, *size)


def test_files_that_cannot_be_read_stand_alone_and_raw_files_by_themselves(tmp_path: Path) -> None:
    (tmp_path / "broken.dng").write_bytes(b"no RAW file")
    broken = tried_exposure(tmp_path / "broken.dng")
    assert "broken.dng" in broken.error
    names = [Path(name) for name in ("0.jpg", "0.nef", "1.jpg", "1.nef")]
    shots = [_taken(path, index // 2, 4.0 ** (index // 2)) for index, path in enumerate(names)]
    groups = [
        [one.path.name for one in group] for group in grouped([broken, *shots], Grouping(gap_s=30))
    ]
    assert sorted(groups) == [["0.jpg", "1.jpg"], ["0.nef", "1.nef"], ["broken.dng"]]
    with pytest.raises(InputError, match=r"broken\.dng"):
        merge_bracket([broken])


def _taken(path: Path, taken: float | None, light: float | None, camera: str = "X") -> Exposure:
    return Exposure(path=path, light=light, taken=taken, camera=camera)


def test_folders_are_parted_by_pauses_cameras_and_repeated_exposures() -> None:
    names = [Path("a") / f"{index}.jpg" for index in range(8)]
    shots = [
        _taken(names[0], 0, 1.0), _taken(names[1], 1, 0.25), _taken(names[2], 2, 4.0),
        _taken(names[3], 3, 1.0), _taken(names[4], 4, 0.25),
        _taken(names[5], 100, 4.0), _taken(names[6], 101, 1.0, "Y"),
        _taken(Path("b/0.jpg"), 2, 9.0),
    ]  # fmt: skip
    groups = [
        [one.path.name for one in group] for group in grouped(shots[::-1], Grouping(gap_s=30))
    ]
    assert groups == [
        ["0.jpg", "1.jpg", "2.jpg"], ["3.jpg", "4.jpg"], ["5.jpg"], ["6.jpg"], ["0.jpg"]
    ]  # fmt: skip


def test_the_reference_is_the_middle_exposure(shared_data: Path) -> None:
    folder = shared_data / "hdr/brackets/stack_alignment"
    bracket = [read_exposure(path) for path in sorted(folder.glob("*.jpg"))]
    result = merge_bracket(bracket)
    assert str(result.record["reference"]).endswith("IMG_4209.jpg")
    assert float(str(result.record["largest_shift_px"])) > 5
    middle = decode(folder / "IMG_4209.jpg")
    assert result.picture.pixels.shape == middle.pixels.shape


def test_the_frames_of_a_real_camera_agree_after_merging(shared_data: Path) -> None:
    """Its JPEGs have far more contrast than sRGB, which would be wrong by a factor of two."""
    paths = sorted((shared_data / "hdr/brackets/stack").glob("*.jpg"))
    bracket = [read_exposure(path) for path in paths]
    whole, half = (
        merge_bracket(frames, align=False) for frames in (bracket, [bracket[2], bracket[4]])
    )
    assert whole.record["response"] == "estimated"
    seen = (half.known == Known.MEASURED) & (whole.picture.pixels.min(axis=0) > 0.01)
    ratio = np.log2(whole.picture.pixels[:, seen] / np.maximum(half.picture.pixels[:, seen], 1e-6))
    assert np.abs(ratio - np.median(ratio)).mean() < 0.35
