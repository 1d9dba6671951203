"""Brightness and colours of developed RAW files: balance, ratio, saturation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restore.dark.runner import DarkEnhancer
from restore.image.codecs import ImageFormat
from restore.image.colour import SRGB_TO_XYZ, srgb_to_linear
from restore.image.decode import decode
from restore.image.develop import auto_ratio, camera_to_srgb, gray_world
from restore.image.raw_picture import RawPicture, normalised, pack

Sensor = Callable[..., RawPicture]

pytestmark = pytest.mark.usefixtures("usual_engine")


def test_gray_under_any_light_is_gray(sensor: Sensor, plain: DarkEnhancer) -> None:
    raw = sensor(size=(64, 64), white_balance=(2.5, 1.0, 1.4))
    light = np.array([1 / 2.5, 1.0, 1 / 1.4, 1.0]) * 1500
    mosaic = 512 + light[np.tile(raw.cfa, (32, 32))]
    picture = plain(replace(raw, mosaic=np.rint(mosaic).astype(np.uint16)), ratio=2).picture
    np.testing.assert_allclose(picture.pixels, picture.pixels[0, 0, 0], atol=2e-3)
    assert float(srgb_to_linear(picture.pixels).mean()) == pytest.approx(0.2, rel=0.01)


def test_saturated_sensor_is_white(sensor: Sensor, plain: DarkEnhancer) -> None:
    raw = sensor(mosaic=np.full((40, 40), 16383, np.uint16), white_balance=(0.8, 1.0, 1.4))
    np.testing.assert_allclose(plain(raw, ratio=1).picture.pixels, 1, atol=1e-3)


def test_colours_follow_the_matrix_of_the_file(sensor: Sensor, plain: DarkEnhancer) -> None:
    raw = sensor()
    to_srgb = camera_to_srgb(raw)
    np.testing.assert_allclose(to_srgb.sum(axis=1), 1, atol=1e-5)
    assert raw.xyz_to_camera is not None
    from_srgb = raw.xyz_to_camera @ SRGB_TO_XYZ
    patch = np.array([0.5, 0.3, 0.1])
    seen = from_srgb / from_srgb.sum(axis=1, keepdims=True) @ patch
    np.testing.assert_allclose(to_srgb @ seen, patch, atol=1e-5)
    light = (seen / [2.1, 1.0, 1.6])[[0, 1, 2, 1]] * 15000
    mosaic = np.rint(512 + light[np.tile(raw.cfa, (32, 32))]).astype(np.uint16)
    picture = plain(replace(raw, mosaic=mosaic), ratio=1).picture
    np.testing.assert_allclose(srgb_to_linear(picture.pixels)[:, 20, 20], patch, atol=2e-3)


def test_no_matrix_means_the_colours_of_srgb(sensor: Sensor) -> None:
    np.testing.assert_array_equal(camera_to_srgb(sensor(xyz_to_camera=None)), np.eye(3))


def test_white_balance_by_gray_world_makes_the_mean_gray(
    sensor: Sensor, plain: DarkEnhancer
) -> None:
    raw = sensor(size=(64, 64), white_balance=(1.0, 1.0, 1.0), xyz_to_camera=None)
    light = np.array([0.5, 1.0, 0.8, 1.0]) * 900
    mosaic = np.rint(512 + light[np.tile(raw.cfa, (32, 32))]).astype(np.uint16)
    raw = replace(raw, mosaic=mosaic)
    enhanced = plain(raw, white_balance="auto", ratio=4)
    np.testing.assert_allclose(enhanced.picture.pixels, enhanced.picture.pixels[1, 0, 0], atol=2e-3)
    assert enhanced.record["white_balance"] == [2, 1, 1.25]
    assert gray_world(pack(normalised(raw), raw.cfa).planes) == pytest.approx((2, 1, 1.25))


@pytest.mark.parametrize("level", [0.002, 0.01, 0.1, 1.0])
def test_auto_ratio_clips_hardly_anything(
    sensor: Sensor, plain: DarkEnhancer, level: float
) -> None:
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 1, 300) ** 3
    light = np.outer(np.linspace(0.3, 1, 200), ramp) * level * 14000
    mosaic = np.rint(512 + light + rng.normal(0, 2, light.shape)).clip(0, 16383).astype(np.uint16)
    enhanced = plain(sensor(mosaic=mosaic, white_balance=(1.3, 1.0, 1.2)))
    assert 1 <= enhanced.ratio <= 300
    assert (enhanced.colour >= 1).any(axis=0).mean() <= 0.005 + 0.005, "noise apart"


def test_auto_ratio_brings_a_flat_picture_to_middle_gray() -> None:
    assert auto_ratio(np.full((4, 40, 40), 0.009, np.float32)) == pytest.approx(20)
    assert auto_ratio(np.zeros((4, 40, 40), np.float32)) == pytest.approx(300)
    assert auto_ratio(np.full((9, 1, 1), 0.9, np.float32)) == 1


def test_a_lamp_in_the_picture_holds_the_ratio_back() -> None:
    planes = np.full((4, 100, 100), 0.001, np.float32)
    planes[:, :20, :20] = 0.25
    assert auto_ratio(planes) == pytest.approx(4)
    planes[:, :20, :20] = 0.001
    planes[:, :4, :8] = 1  # two cells of 625: few enough
    assert auto_ratio(planes) > 40


def test_a_number_and_stops_override(sensor: Sensor, plain: DarkEnhancer) -> None:
    raw = sensor(level=0.02)
    assert plain(raw, ratio=10).record["ratio"] == 10
    assert plain(raw, ratio=10, ev=-1).record["ratio"] == 5
    assert plain(raw, ratio=10).record["ratio_auto"] is False
    assert plain(raw).record["ratio_auto"] is True


@pytest.mark.parametrize("white_balance", [(2.1, 1.0, 1.6), (0.8, 1.0, 1.4)])
@pytest.mark.parametrize("saturation", [None, (14000.0,) * 4, (13900.0, 14000.0, 14100.0, 14000.0)])
def test_a_frame_that_is_saturated_as_a_whole_is_one_white(
    sensor: Sensor,
    enhancer: DarkEnhancer,
    white_balance: tuple[float, float, float],
    saturation: tuple[float, float, float, float] | None,
) -> None:
    """Whatever the network makes of it, and wherever below the white level the sensor clips."""
    level = np.array(saturation or (15512.0,) * 4)
    raw = sensor(size=(60, 80), white_balance=white_balance, saturation=saturation)
    mosaic = level[np.tile(raw.cfa, (30, 40))].astype(np.uint16)
    pixels = enhancer(replace(raw, mosaic=mosaic), ratio=1).picture.pixels
    np.testing.assert_allclose(pixels.clip(0, 1), 1, atol=1e-5)


def test_highlights_above_white_are_kept_in_dng_and_light(
    sensor: Sensor, plain: DarkEnhancer, tmp_path: Path
) -> None:
    rawpy = pytest.importorskip("rawpy")
    ramp = np.linspace(0.02, 0.95, 160)[None].repeat(96, axis=0)
    raw = sensor(size=(96, 160), white_balance=(2.0, 1.0, 1.5), xyz_to_camera=None)
    through = ramp * np.array([0.9, 0.5, 0.6, 0.5])[np.tile(raw.cfa, (48, 80))]
    raw = replace(raw, mosaic=np.rint(512 + 15000 * through).astype(np.uint16))
    enhanced = plain(raw, ratio=1, output_color="linear")
    expected = ramp[48] * np.array([1.8, 0.5, 0.9])[:, None]
    light = enhanced.picture.pixels[:, 48]
    np.testing.assert_allclose(light[:, 8:-8], expected[:, 8:-8], atol=0.03)
    path = tmp_path / "out.dng"
    path.write_bytes(enhanced.encoded(ImageFormat.DNG))
    with rawpy.imread(str(path)) as opened:
        stored = opened.raw_image_visible.astype(np.float32)[48, 8:-8].T
    ratio = stored[0] / stored[0].max()
    np.testing.assert_allclose(ratio, expected[0, 8:-8] / expected[0, -9], atol=0.03)


def test_without_a_stored_white_balance_the_mean_is_taken_to_be_gray_and_said(
    sensor: Sensor, plain: DarkEnhancer
) -> None:
    raw = sensor(size=(64, 64), has_white_balance=False)
    light = np.array([0.5, 1.0, 0.8, 1.0]) * 900
    mosaic = np.rint(512 + light[np.tile(raw.cfa, (32, 32))]).astype(np.uint16)
    record = plain(replace(raw, mosaic=mosaic), ratio=4).record
    assert (record["white_balance"], record["white_balance_source"]) == ([2, 1, 1.25], "guessed")
    assert record["remarks"] == [
        "no white balance is stored; the mean of the picture is taken to be gray"
    ]
    said = plain(replace(raw, mosaic=mosaic), ratio=4, white_balance=(1.0, 1.0, 1.0)).record
    assert "remarks" not in said


def test_colours_without_a_known_matrix_are_said_to_be_guessed(
    sensor: Sensor, plain: DarkEnhancer
) -> None:
    raw = sensor(size=(64, 64), xyz_to_camera=None)
    assert plain(raw, ratio=4).record["remarks"] == [
        "no colour matrix is known for this camera; its colours are taken for sRGB's"
    ]


def test_a_monochrome_sensor_gives_a_gray_picture(sensor: Sensor, plain: DarkEnhancer) -> None:
    ramp = np.linspace(0.02, 0.4, 132)[None].repeat(96, axis=0)
    mosaic = np.rint(512 + 15000 * ramp).astype(np.uint16)
    raw = sensor(mosaic=mosaic, cfa=np.ones((1, 1), np.uint8), orientation=6)
    enhanced = plain(raw, ratio=2)
    assert enhanced.record["sensor"] == "monochrome"
    assert enhanced.picture.pixels.shape == (1, 132, 96)
    assert enhanced.before.shape[:2] == (132, 96)
    light = srgb_to_linear(enhanced.picture.pixels)[0, :, 48]
    np.testing.assert_allclose(light, 2 * ramp[0], rtol=0.02)
    assert decode(enhanced.encoded(ImageFormat.PNG)).pixels.shape == (1, 132, 96)
    assert enhanced.encoded(ImageFormat.DNG)
