"""Tests of how far noise is found to be correlated."""

import numpy as np
import pytest
from scipy import ndimage

from restore.noise.correlation import measure_correlation

SIGMA = 0.04


def scene(side: int = 192) -> np.ndarray:
    """Return a smooth picture with a few textured places, ``[1, H, W]``."""
    rows, columns = np.indices((side, side)) / side
    texture = np.sin(rows * 120) * np.sin(columns * 90) * (rows > 0.7) * 0.2
    return (0.4 + 0.3 * rows + texture)[None].astype(np.float32)


def noise(blur: tuple[float, float], seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(1, 192, 192))
    values = ndimage.gaussian_filter(values, (0, *blur), mode="wrap")
    return (SIGMA * values / values.std()).astype(np.float32)


@pytest.mark.parametrize(
    ("blur", "reach"), [((0, 0), (0, 0)), ((0.6, 0.6), (1, 1)), ((0, 1.0), (0, 2))]
)
def test_the_reach_of_correlated_noise_is_found(
    blur: tuple[float, float], reach: tuple[int, int]
) -> None:
    found = measure_correlation([scene() + noise(blur)])
    assert found.reach == reach
    assert found.is_white == (reach == (0, 0))
    assert found.sigma == pytest.approx(SIGMA, rel=0.1)


def test_the_scale_of_the_samples_does_not_matter() -> None:
    noisy = scene() + noise((0.6, 0.6))
    one, thousand = measure_correlation([noisy]), measure_correlation([1000 * noisy + 50])
    assert thousand.reach == one.reach
    assert thousand.sigma == pytest.approx(1000 * one.sigma, rel=1e-3)


@pytest.mark.parametrize(
    "picture", [np.zeros((1, 64, 64)), np.ones((1, 8, 8)), np.full((1, 64, 64), np.nan)]
)
def test_what_cannot_be_measured_counts_as_white(picture: np.ndarray) -> None:
    found = measure_correlation([picture.astype(np.float32)])
    assert (found.is_white, found.blocks) == (True, 0)


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_spectrum_is_that_of_averaged_noise(scale: int) -> None:
    measured = measure_correlation([noise((0.6, 0.9), seed) for seed in range(3)])
    side = 192 // scale
    spectrum = measured.spectrum(side, scale=scale)
    powers = []
    for seed in range(12):
        pixels = noise((0.6, 0.9), seed)[0] / SIGMA
        means = pixels.reshape(side, scale, side, scale).mean(axis=(1, 3))
        powers.append(np.square(np.abs(np.fft.rfft2(means))) / side**2)
    true = np.mean(powers, axis=0)
    assert spectrum.shape == true.shape
    assert spectrum.mean() == pytest.approx(true.mean(), rel=0.15)
    half = side // 4
    for rows, columns in ((half, half), (half, side // 2 + 1)):
        part = np.s_[:rows, :columns]
        assert spectrum[part].mean() == pytest.approx(true[part].mean(), rel=0.2)
