from collections.abc import Callable

import numpy as np
import pytest

from restore.dark.fidelity import Known, keep_known_light, without_mesh
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.raw_picture import RawPicture

Sensor = Callable[..., RawPicture]


def _known(light: np.ndarray, cfa: np.ndarray, sigma: float, highest: float = 1.0) -> Known:
    """The mosaic of linear light ``[3, H, W]``, with white noise."""
    side = len(cfa)
    filters = np.where(cfa == 3, 1, cfa).astype(np.uint8)
    colours = np.tile(filters, [-(-n // side) for n in light.shape[1:]])
    colours = colours[: light.shape[1], : light.shape[2]]
    seen = np.take_along_axis(light, colours[None].astype(np.intp), axis=0)[0]
    noise = sigma * np.random.default_rng(0).standard_normal(seen.shape)
    return Known(
        mosaic=(seen + noise).astype(np.float32),
        colours=colours,
        period=side,
        sigma=np.full(seen.shape, max(sigma, 1e-5), np.float32),
        black_error=np.full(3, 1e-5, np.float32),
        highest=highest,
    )


def _scene(size: tuple[int, int] = (180, 240)) -> np.ndarray:
    columns = np.linspace(0, 1, size[1])
    light = np.stack([0.1 + 0.3 * columns, 0.4 - 0.2 * columns, 0.05 + 0.1 * columns])
    return np.repeat(light[:, None], size[0], axis=1).astype(np.float32)


@pytest.mark.parametrize("pattern", ["rggb", "gbrg", "xtrans"])
@pytest.mark.parametrize("sigma", [0.0, 0.005])
def test_a_cast_is_taken_back(sensor: Sensor, pattern: str, sigma: float) -> None:
    light = _scene()
    colour = linear_to_srgb(light) + np.array([0.01, -0.012, 0.015], np.float32)[:, None, None]
    keep_known_light(colour, _known(light, sensor(pattern).cfa, sigma))
    left = np.abs(colour - linear_to_srgb(light))[:, 8:-8, 8:-8] * 255
    assert left.mean() < (0.1 if sigma == 0 else 0.9)


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_no_noise_comes_back(sensor: Sensor, sigma: float) -> None:
    """A picture that is right stays right, however noisy its mosaic."""
    light = _scene()
    colour = linear_to_srgb(light)
    keep_known_light(colour, _known(light, sensor("rggb").cfa, sigma))
    assert np.abs(colour - linear_to_srgb(light)).mean() * 255 < 0.2


def test_a_thin_dark_line_that_turned_green_is_grayer(sensor: Sensor) -> None:
    light = np.full((3, 120, 160), 0.4, np.float32)
    light[:, :, 80] = 0.05
    wrong = light.copy()
    wrong[1, :, 80] = 0.12
    colour = linear_to_srgb(wrong)
    keep_known_light(colour, _known(light, sensor("bggr").cfa, 0.0005))
    line = srgb_to_linear(colour)[:, 20:-20, 80].mean(axis=1)
    assert abs(line[1] - line[[0, 2]].mean()) < 0.6 * 0.07


def test_without_strength_all_noise_stays(sensor: Sensor) -> None:
    light = _scene()
    known = _known(light, sensor("rggb").cfa, 0.02)
    results = {}
    for strength in (0.0, 0.5, 1.0):
        colour = linear_to_srgb(light)
        keep_known_light(colour, known, strength=strength)
        results[strength] = float(np.std(srgb_to_linear(colour) - light))
    assert results[0.0] > 0.01
    assert results[0.5] == pytest.approx(results[0.0] / 2, rel=0.1)
    assert results[1.0] < 0.001


def test_what_a_network_clipped_is_given_back(sensor: Sensor) -> None:
    light = _scene() * 4
    colour = np.minimum(linear_to_srgb(light), 1)
    keep_known_light(colour, _known(light, sensor("rggb").cfa, 0.001))
    is_far_above = light > 1.15
    ratio = (srgb_to_linear(colour) / light)[is_far_above]
    np.testing.assert_allclose(ratio, 1, atol=0.05)


def test_saturated_samples_are_one_value(sensor: Sensor) -> None:
    light = np.full((3, 60, 80), 1.0, np.float32)
    colour = np.random.default_rng(0).uniform(0.97, 0.999, light.shape).astype(np.float32)
    known = _known(light, sensor("rggb").cfa, 0.0)
    known.sigma[...] = 0
    keep_known_light(colour, known)
    np.testing.assert_allclose(np.minimum(colour, 1), 1, atol=1e-6)


@pytest.mark.parametrize("period", [2, 6])
def test_a_mesh_is_the_same_by_bands(period: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.random.default_rng(0).uniform(0, 1, (1, 205, 61)).astype(np.float32)
    by_bands = whole.copy()
    without_mesh(whole, period)
    monkeypatch.setattr("restore.dark.fidelity._BAND", 48)
    without_mesh(by_bands, period)
    np.testing.assert_allclose(by_bands, whole, atol=1e-6)


@pytest.mark.parametrize("period", [2, 6])
def test_a_mesh_is_taken_away_and_texture_stays(period: int) -> None:
    rng = np.random.default_rng(0)
    texture = 0.05 * rng.standard_normal((3, 120, 180)).astype(np.float32)
    texture[:, :, 90:] = 0
    clean = (0.5 + texture).astype(np.float32)
    mesh = rng.uniform(-1.5, 1.5, (3, period, period)) / 255
    mesh -= mesh.mean(axis=(1, 2), keepdims=True)
    meshed = clean + np.tile(mesh, (1, 120 // period, 180 // period)).astype(np.float32)
    without_mesh(meshed, period)
    assert np.abs(meshed - clean)[:, :, 140:].max() * 255 < 0.15
    assert np.abs(meshed - clean)[:, :, :90].std() * 255 < 0.8


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (13, 40)])
@pytest.mark.parametrize("pattern", ["rggb", "xtrans"])
def test_any_size_is_corrected(sensor: Sensor, pattern: str, size: tuple[int, int]) -> None:
    light = np.full((3, *size), 0.2, np.float32)
    colour = linear_to_srgb(light)
    keep_known_light(colour, _known(light, sensor(pattern).cfa, 0.0))
    without_mesh(colour, 2)
    np.testing.assert_allclose(colour, linear_to_srgb(light), atol=1e-4)
