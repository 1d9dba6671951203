from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from restore.dark.runner import DarkEnhancer, WhiteBalance
from restore.engine.runner import Runner
from restore.errors import UnsupportedImage, UsageError, WeightsError
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.dark_frame import read_dark_frame
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.highlights import without_clipped_colour
from restore.image.metadata import bare_exif, orientation_of
from restore.image.picture import Transfer
from restore.image.raw import read_raw
from restore.image.raw_picture import RawPicture
from restore.tasks import load
from restore.weights.store import save_weights

Sensor = Callable[..., RawPicture]
Models = dict[str, Path]

PHASES = {"rggb": (0, 0), "grbg": (0, 1), "gbrg": (1, 0), "bggr": (1, 1)}

pytestmark = pytest.mark.usefixtures("usual_engine")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.usefixtures("uncorrected")
def test_the_four_phases_of_a_scene_are_one_picture(
    sensor: Sensor, enhancer: DarkEnhancer, phase: str
) -> None:
    scene = sensor(size=(560, 580))
    top, left = PHASES[phase]
    shifted = sensor(phase, mosaic=np.ascontiguousarray(scene.mosaic[top:, left:]))
    whole = enhancer(scene, ratio=1).colour[:, top:, left:]
    part = enhancer(shifted, ratio=1).colour
    assert part.shape == whole.shape
    inside = (slice(None), slice(240, -240), slice(240, -240))
    np.testing.assert_allclose(part[inside], whole[inside], atol=1e-5)


def test_the_real_frame_comes_out_alike_in_all_phases(
    sensor: Sensor, plain: DarkEnhancer, shared_data: Path
) -> None:
    means = []
    for phase in PHASES:
        data = np.fromfile(shared_data / f"raw/nikon/DSC_1339_768x512_{phase}.raw", "<u2")
        mosaic = data.reshape(512, 768).astype(np.uint16)
        raw = sensor(phase, mosaic=mosaic, black_level=(600.0,) * 4, white_level=15520.0)
        means.append(plain(raw).picture.pixels.mean(axis=(1, 2)))
    np.testing.assert_allclose(means, np.tile(means[0], (4, 1)), atol=4e-3)


@pytest.mark.parametrize("model", ["bayer", "any"])
@pytest.mark.parametrize("kind", ["noise", "flat"])
def test_tiles_leave_no_seams(sensor: Sensor, isp_weights: Models, kind: str, model: str) -> None:
    raw = sensor(size=(330, 270), level=0.01)
    if kind == "flat":
        raw = replace(raw, mosaic=np.full((330, 270), 530, np.uint16))
    whole, tiled = (
        DarkEnhancer(isp_weights[model], precision="fp32", tile=tile)(raw, ratio=100).colour
        for tile in (4096, 64)
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (37, 53)])
@pytest.mark.parametrize("pattern", ["bggr", "xtrans"])
def test_any_size_comes_out_as_it_is(
    sensor: Sensor, isp_weights: Models, pattern: str, size: tuple[int, int]
) -> None:
    for model in ("xtrans" if pattern == "xtrans" else "bayer", "any"):
        enhanced = DarkEnhancer(isp_weights[model])(sensor(pattern, size=size))
        assert enhanced.picture.pixels.shape == (3, *size)
        assert np.isfinite(enhanced.picture.pixels).all()


@pytest.mark.parametrize("pattern", ["rggb", "grbg", "gbrg", "bggr", "xtrans"])
@pytest.mark.usefixtures("uncorrected")
def test_a_network_of_mosaics_gets_every_sample_under_its_filter(
    sensor: Sensor, isp_weights: Models, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """In every phase, and with what is added to bring the mosaic into phase cut off again."""
    enhancer = DarkEnhancer(isp_weights["any"])
    raw = sensor(pattern, size=(27, 41), white_balance=(1.0, 1.0, 1.0))
    colours = np.where(raw.cfa == 3, 1, raw.cfa)[:, :, None] == np.arange(3)
    masks = np.tile(colours, (27, 41, 1))[:27, :41].transpose(2, 0, 1)

    def sparse(_self: Runner, read: Any, begin: Any, *, height: int, width: int) -> None:
        whole = (slice(0, height), slice(0, width))
        samples, filters = both = read(whole)
        begin()(whole, both, np.where(filters == np.arange(3)[:, None, None], samples, 0))

    monkeypatch.setattr(Runner, "by_tiles", sparse)
    light = (raw.mosaic - np.float32(512)) / 15000
    np.testing.assert_allclose(enhancer(raw, ratio=1).colour, masks * light, atol=1e-6)


@pytest.mark.parametrize(("provenance", "lowest"), [({}, -0.1), ({"converted_from": {}}, 0.0)])
def test_noise_below_black_is_cut_off_for_converted_networks_alone(
    sensor: Sensor,
    isp_weights: Models,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    provenance: dict[str, object],
    lowest: float,
) -> None:
    """The code that published networks were trained by did so."""
    model = tmp_path / "model.safetensors"
    save_weights(replace(load(isp_weights["bayer"]), provenance=provenance), model)
    seen: list[float] = []

    def developed(
        _self: Runner, planes: NDArray[np.float32], *, channels: int
    ) -> NDArray[np.float32]:
        seen.append(float(planes.min()))
        return np.zeros((channels, 32, 32), dtype=np.float32)

    monkeypatch.setattr(Runner, "tiled", developed)
    dark = sensor(mosaic=np.full((32, 32), 512 - 15, dtype=np.uint16))
    DarkEnhancer(model)(dark, ratio=100, white_balance=(1.0, 1.0, 1.0))
    assert seen == pytest.approx([lowest])


def test_orientation_is_applied_and_metadata_are_kept(sensor: Sensor, plain: DarkEnhancer) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    xmp = b"<x:xmpmeta>mine</x:xmpmeta>"
    raw = sensor(size=(20, 40), orientation=6, exif=bare_exif(exif.tobytes()), xmp=xmp)
    enhanced = plain(raw)
    picture = enhanced.picture
    assert picture.pixels.shape == (3, 40, 20)
    assert enhanced.before.shape == (40, 20, 3)
    assert (picture.orientation, orientation_of(picture.exif)) == (1, 1)
    assert b"Maker" in (picture.exif or b"")
    again = decode(enhanced.encoded(ImageFormat.PNG))
    assert again.pixels.shape == (3, 40, 20)
    assert (again.bit_depth, again.orientation) == (16, 1)
    assert again.icc
    assert again.xmp == xmp


def test_linear_light_is_floating_point(sensor: Sensor, plain: DarkEnhancer) -> None:
    srgb, linear = (
        plain(sensor(), ratio=1, output_color=color).picture for color in ("srgb", "linear")
    )
    assert (linear.transfer, linear.is_float) == (Transfer.LINEAR, True)
    shown = linear_to_srgb(without_clipped_colour(linear.pixels))
    np.testing.assert_allclose(shown, srgb.pixels, atol=1e-5)
    again = decode(plain(sensor(), ratio=1).encoded(ImageFormat.EXR))
    np.testing.assert_allclose(again.pixels, linear.pixels, atol=1e-3)
    assert again.pixels.max() > 1.2, "highlights are kept"


@pytest.mark.parametrize("white_balance", ["camera", (2.0, 1.0, 2.5)])
def test_dng_opens_with_the_same_geometry_and_colour(
    sensor: Sensor, plain: DarkEnhancer, tmp_path: Path, white_balance: WhiteBalance
) -> None:
    rawpy = pytest.importorskip("rawpy")
    raw = sensor("gbrg", size=(64, 96), orientation=6)
    ramp = (
        np.linspace(0.02, 0.4, 96)[None]
        * np.array([0.5, 1.0, 0.6, 1.0])[np.tile(raw.cfa, (32, 48))]
    )
    raw = replace(raw, mosaic=np.rint(512 + ramp * 15000).astype(np.uint16))
    enhanced = plain(raw, ratio=2, white_balance=white_balance)
    path = tmp_path / "out.dng"
    path.write_bytes(enhanced.encoded(ImageFormat.DNG))
    with rawpy.imread(str(path)) as opened:
        developed = opened.postprocess(
            use_camera_wb=True, no_auto_bright=True, gamma=(1, 1), output_bps=16, user_sat=65535
        )
    light = developed.transpose(2, 0, 1) / np.float32(65535)
    ours = srgb_to_linear(enhanced.picture.pixels)
    assert light.shape == ours.shape
    inside = ours[:, 8:-8, 4:-4].clip(0, 1)
    np.testing.assert_allclose(light[:, 8:-8, 4:-4] / light.mean(), inside / ours.mean(), atol=0.05)


def test_hot_photosites_are_filled_and_counted(sensor: Sensor, plain: DarkEnhancer) -> None:
    mosaic = np.random.default_rng(0).normal(600, 8, (80, 100)).astype(np.uint16)
    mosaic[10:70:12, 10:90:16] = 9000
    raw = sensor(mosaic=mosaic)
    repaired, kept = plain(raw, ratio=8), plain(raw, ratio=8, repair=False)
    assert repaired.record["defects"] == 25
    assert kept.record["defects"] == 0
    assert repaired.picture.pixels.max() < 0.5 < kept.picture.pixels.max()


def test_what_may_be_light_is_left_and_counted(sensor: Sensor, plain: DarkEnhancer) -> None:
    mosaic = np.random.default_rng(0).normal(600, 8, (80, 100)).astype(np.uint16)
    mosaic[[20, 50], [30, 60]] = 9000
    raw = sensor(mosaic=mosaic)
    left, filled = plain(raw, ratio=8), plain(raw, ratio=8, in_doubt=True)
    assert (left.record["defects"], left.record["defects_in_doubt"]) == (0, 2)
    assert (filled.record["defects"], filled.record["defects_in_doubt"]) == (2, 0)
    with pytest.raises(UsageError, match="in_doubt=True does nothing with repair=False"):
        plain(raw, repair=False, in_doubt=True)


def test_a_dark_frame_is_subtracted(sensor: Sensor, plain: DarkEnhancer, tmp_path: Path) -> None:
    glow = np.outer(np.linspace(900, 0, 96), np.ones(132))
    path = tmp_path / "dark.dng"
    path.write_bytes(write_cfa_dng(sensor(mosaic=np.rint(512 + glow).astype(np.uint16))))
    raw = sensor(mosaic=np.rint(1512 + glow).astype(np.uint16), white_balance=(1.0, 1.0, 1.0))
    pixels = plain(raw, ratio=2, dark_frame=read_dark_frame(path)).picture.pixels
    assert np.ptp(pixels[:, 4:-4], axis=(1, 2)).max() < 0.01


def test_without_strength_the_noise_of_the_mosaic_stays(
    sensor: Sensor, plain: DarkEnhancer
) -> None:
    mosaic = np.random.default_rng(0).normal(4000, 200, (96, 128)).astype(np.uint16)
    raw = sensor(mosaic=mosaic, white_balance=(1.0, 1.0, 1.0))
    none, half = (plain(raw, ratio=1, strength=share) for share in (0.0, 0.5))
    made = srgb_to_linear(none.colour)
    seen = (mosaic - np.float32(512)) / 15000
    red = made[0, 4:-4:2, 4:-4:2]
    np.testing.assert_allclose(red, seen[4:-4:2, 4:-4:2], atol=2e-4)
    assert half.record["strength"] == 0.5
    with pytest.raises(UsageError, match="strength"):
        plain(raw, strength=1.5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_and_the_crop_are_applied(
    sensor: Sensor, plain: DarkEnhancer, orientation: int
) -> None:
    mosaic = np.full((40, 60), 600, np.uint16)
    mosaic[4:8, 6:10] = 9000
    raw = sensor(mosaic=mosaic, orientation=orientation, default_crop=(2, 4, 30, 50))
    picture = plain(raw, ratio=1, repair=False).picture
    is_turned = orientation >= 5
    assert picture.pixels.shape == (3, *((50, 30) if is_turned else (30, 50)))
    row, column = np.unravel_index(int(picture.pixels[1].argmax()), picture.pixels.shape[1:])
    # In which corner of the picture the bright spot, top left on the sensor, is shown.
    at_right, at_bottom = {
        1: (False, False),
        2: (True, False),
        3: (True, True),
        4: (False, True),
        5: (False, False),
        6: (True, False),
        7: (True, True),
        8: (False, True),
    }[orientation]
    shown = (row >= picture.pixels.shape[1] / 2, column >= picture.pixels.shape[2] / 2)
    assert shown == (at_bottom, at_right)


def test_sensor_without_a_network_is_refused(sensor: Sensor, enhancer: DarkEnhancer) -> None:
    with pytest.raises(UnsupportedImage, match="X-Trans"):
        enhancer(sensor("xtrans"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ratio": 0}, "ratio"),
        ({"ratio": float("nan")}, "ratio"),
        ({"ev": 11}, "ev"),
        ({"white_balance": (1, 0, 1)}, "three positive factors"),
    ],
)
def test_values_out_of_range_are_refused(
    sensor: Sensor, enhancer: DarkEnhancer, values: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        enhancer(sensor(), **values)


def test_weights_of_another_task_are_refused(color_model: Path) -> None:
    with pytest.raises(WeightsError, match="denoise, not for dark-enhance"):
        DarkEnhancer(color_model)


def test_real_raw_file_goes_all_the_way(
    sensor: Sensor, enhancer: DarkEnhancer, tmp_path: Path
) -> None:
    path = tmp_path / "night.dng"
    path.write_bytes(write_cfa_dng(sensor("grbg", level=0.02)))
    enhanced = enhancer(read_raw(path))
    assert enhanced.record["sensor"] == "GRBG"
    assert enhanced.picture.pixels.shape == (3, 96, 132)
