"""Colours of a synthetic chart, with the shipped network as it is."""

from collections.abc import Callable

import numpy as np
import pytest

from restore.dark.runner import DarkEnhancer
from restore.image.colour import SRGB_TO_XYZ, srgb_to_linear
from restore.image.develop import camera_to_srgb
from restore.image.raw_picture import RawPicture
from restore.weights.file import shipped

Sensor = Callable[..., RawPicture]

# The 24 patches of a ColorChecker in sRGB, as published by its maker.
PATCHES = (
    *((115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177)),
    *((103, 189, 170), (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108)),
    *((157, 188, 64), (224, 163, 46), (56, 61, 150), (70, 148, 73), (175, 54, 60)),
    *((231, 199, 31), (187, 86, 149), (8, 133, 161), (243, 243, 242), (200, 200, 200)),
    *((160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52)),
)
MATRIX = np.array(
    [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]], np.float32
)
SIDE, SHOT, READ = 48, 1e-5, 1e-8


def _chart() -> np.ndarray:
    codes = np.array(PATCHES).reshape(4, 6, 3).repeat(SIDE, axis=0).repeat(SIDE, axis=1)
    return codes.transpose(2, 0, 1) / 255


def _seen(sensor: Sensor, srgb: np.ndarray, pattern: str) -> RawPicture:
    raw = sensor(pattern, size=srgb.shape[1:], xyz_to_camera=MATRIX)
    to_camera = np.linalg.inv(camera_to_srgb(raw).astype(np.float64))
    camera = np.tensordot(to_camera, srgb_to_linear(srgb), axes=1)
    side = len(raw.cfa)
    colours = np.tile(np.where(raw.cfa == 3, 1, raw.cfa), [-(-n // side) for n in srgb.shape[1:]])
    colours = colours[: srgb.shape[1], : srgb.shape[2]].astype(np.intp)
    camera /= np.array(raw.white_balance)[:, None, None]
    light = np.take_along_axis(camera, colours[None], axis=0)[0]
    noise = np.sqrt(SHOT * light.clip(0) + READ) * np.random.default_rng(0).normal(size=light.shape)
    mosaic = np.rint(512 + 15000 * (light + noise)).clip(0, 15512).astype(np.uint16)
    return sensor(pattern, mosaic=mosaic, xyz_to_camera=MATRIX)


def _lab(srgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D65 of sRGB ``[3, N]``."""
    ratio = SRGB_TO_XYZ @ srgb_to_linear(srgb) / SRGB_TO_XYZ.sum(axis=1)[:, None]
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 (Sharma, Wu, Dalal 2005) of two sets of L*a*b* ``[3, N]``."""
    chroma = (np.hypot(one[1], one[2]) + np.hypot(other[1], other[2])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25**7))
    a1, a2 = stretch * one[1], stretch * other[1]
    c1, c2 = np.hypot(a1, one[2]), np.hypot(a2, other[2])
    h1, h2 = (np.degrees(np.arctan2(b, a)) % 360 for a, b in ((a1, one[2]), (a2, other[2])))
    turn = (h2 - h1 + 180) % 360 - 180
    hue = np.where(np.abs(h1 - h2) > 180, (h1 + h2 + 360) / 2 % 360, (h1 + h2) / 2)
    hue_step = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    light, mean = (one[0] + other[0]) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * mean, 1 + 0.015 * mean * t
    rotation = np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    rotation *= -2 * np.sqrt(mean**7 / (mean**7 + 25**7))
    steps = (other[0] - one[0]) / s_light, (c2 - c1) / s_chroma, hue_step / s_hue
    squares = steps[0] ** 2 + steps[1] ** 2 + steps[2] ** 2 + rotation * steps[1] * steps[2]
    return np.asarray(np.sqrt(squares))


def test_colour_differences_are_those_of_the_standard() -> None:
    """Pairs 1, 7 and 25 of Sharma's test data."""
    one = np.array([[50, 2.6772, -79.7751], [50, 0, 0], [60.2574, -34.0099, 36.2677]]).T
    other = np.array([[50, 0, -82.7485], [50, -1, 2], [60.4626, -34.1751, 39.4387]]).T
    np.testing.assert_allclose(_difference(one, other), [2.0425, 2.3669, 1.2644], atol=1e-4)


@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
def test_the_patches_of_a_chart_come_out_in_their_colours(sensor: Sensor, pattern: str) -> None:
    enhancer = DarkEnhancer()
    period = 6 if pattern == "xtrans" else 2
    if period not in enhancer.periods:
        pytest.skip(f"no network for {pattern} among {', '.join(shipped())}")
    made = enhancer(_seen(sensor, _chart(), pattern), ratio=1).picture.pixels.clip(0, 1)
    means = made.reshape(3, 4, SIDE, 6, SIDE)[:, :, 8:-8, :, 8:-8].mean(axis=(2, 4)).reshape(3, 24)
    differences = _difference(_lab(means.astype(np.float64)), _lab(np.array(PATCHES).T / 255))
    assert differences.mean() <= 0.6
    assert differences.max() <= 2


def test_a_ramp_of_gray_has_no_cast(sensor: Sensor) -> None:
    ramp = np.linspace(0.05, 0.9, 240)[None, None].repeat(3, axis=0).repeat(96, axis=1)
    made = DarkEnhancer()(_seen(sensor, ramp, "rggb"), ratio=1).picture.pixels
    columns = made[:, 16:-16, 16:-16].reshape(3, 64, 13, 16).mean(axis=(1, 3)) * 255
    assert np.abs(columns - columns.mean(axis=0)).max() < 1


@pytest.mark.parametrize("srgb", [(0.5, 0.1, 0.1), (0.3, 0.05, 0.05), (0.12, 0.12, 0.12)])
def test_smooth_areas_show_no_mesh(sensor: Sensor, srgb: tuple[float, float, float]) -> None:
    """LibRaw's demosaicking has 0.03 to 0.07 of 255 at a period of two pixels there."""
    slope = np.linspace(0.9, 1.1, 160)[None] * np.linspace(0.95, 1.05, 160)[:, None]
    scene = np.array(srgb)[:, None, None] * slope
    made = DarkEnhancer()(_seen(sensor, scene, "rggb"), ratio=1).picture.pixels[:, 24:-24, 24:-24]
    y, x = np.mgrid[:112, :112]
    detail = (made - made.mean(axis=(1, 2), keepdims=True)) * 255
    for signs in ((-1.0) ** y, (-1.0) ** x, (-1.0) ** (x + y)):
        amplitude = np.abs((detail * signs).reshape(3, 7, 16, 7, 16).mean(axis=(2, 4)))
        assert amplitude.mean() < 0.08
