"""Tests of measuring noise by the brightness of the signal."""

import numpy as np
import pytest
from scipy import ndimage

from restore.noise.by_signal import measure_noise_by_signal

SIDE = 192


def scene(seed: int) -> np.ndarray:
    """Return a clean picture ``[3, H, W]`` in [0.1, 0.9] that is smooth in places only."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(3, SIDE, SIDE)), (0, 30, 30), mode="wrap")
    fine = ndimage.gaussian_filter(rng.normal(size=(3, SIDE, SIDE)), (0, 1, 1), mode="wrap")
    fine[..., : SIDE // 2] = 0
    return np.clip(0.5 + 0.2 * smooth / smooth.std() + 0.1 * fine / fine.std(), 0.1, 0.9)


def gaussian(seed: int, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(100 + seed).normal(size=(3, SIDE, SIDE))
    return (scene(seed) + sigma * noise).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_texture_does_not_pass_for_noise(sigma: float) -> None:
    noise = measure_noise_by_signal(gaussian(seed, sigma) for seed in range(4))
    assert noise is not None
    assert np.sqrt(noise.variance[:, 1:-1]) == pytest.approx(sigma, rel=0.08)
    assert noise.sigma == pytest.approx(sigma, rel=0.03)
    assert noise.is_gaussian
    assert noise.correlation == pytest.approx(np.eye(3), abs=0.06)


def test_shot_noise_rises_with_the_signal() -> None:
    photons = 40
    pictures = [
        (np.random.default_rng(seed).poisson(photons * scene(seed)) / photons).astype(np.float32)
        for seed in range(6)
    ]
    noise = measure_noise_by_signal(pictures)
    assert noise is not None
    assert noise.variance[:, 1:-1] == pytest.approx(noise.signal[:, 1:-1] / photons, rel=0.12)
    assert noise.signal[:, -2].min() > 1.8 * noise.signal[:, 1].max()
    # What is brighter than all that is smooth has still more noise.
    assert noise.at(np.full((1, 3), 3.0)) == pytest.approx(3 / photons, rel=0.2)
    assert noise.at(np.full((1, 3), 0.05)) == pytest.approx(0.05 / photons, rel=0.5)


def test_texture_in_the_light_of_one_channel_does_not_raise_the_level() -> None:
    """That channel is measured in fewer ranges than the others."""
    photons = 200
    light = np.linspace(0.1, 0.9, SIDE)[None, :].repeat(SIDE, axis=0)
    texture = ndimage.gaussian_filter(
        0.2 * np.random.default_rng(0).integers(0, 2, (SIDE, SIDE)), 1
    )
    texture[:, : SIDE // 2] = 0
    clean = np.stack([light + texture, light, light])
    pictures = [
        (np.random.default_rng(seed).poisson(photons * clean) / photons).astype(np.float32)
        for seed in range(4)
    ]
    noise = measure_noise_by_signal(pictures)
    assert noise is not None
    assert noise.variance[:, 1:-1].max() < 1.5 * 0.9 / photons
    assert noise.sigma == pytest.approx((0.5 / photons) ** 0.5, rel=0.1)
    assert noise.at(np.full((1, 3), 3.0)) == pytest.approx(3 / photons, rel=0.3)


def test_ramps_without_noise_in_one_channel_tell_nothing_of_the_noise() -> None:
    pixels = np.random.default_rng(0).normal(0.5, 0.1, (2, SIDE, SIDE))
    pixels[1, :, :32] = np.add.outer(np.arange(SIDE), np.arange(32)) / 512
    noise = measure_noise_by_signal([pixels.astype(np.float32)])
    assert noise is not None
    assert noise.correlation == pytest.approx(np.eye(2), abs=0.1)
    assert noise.is_gaussian


def test_of_correlated_noise_the_share_that_is_known_counts() -> None:
    rng = np.random.default_rng(0)
    blurred = ndimage.gaussian_filter(rng.normal(size=(6, 3, SIDE, SIDE)), (0, 0, 1, 1))
    blurred *= 0.05 / blurred.std()
    noise = measure_noise_by_signal(
        ((scene(seed) * (1 + own)).astype(np.float32) for seed, own in enumerate(blurred)),
        variance=0.02**2,  # where it is dark, as if all else were unknown
    )
    assert noise is not None
    assert not noise.is_white
    deviation = np.sqrt(noise.variance[:, 1:-1]) / noise.signal[:, 1:-1]
    assert deviation / deviation.mean() == pytest.approx(1, rel=0.35)
    assert noise.correlation == pytest.approx(np.eye(3), abs=0.15)


def test_noise_that_channels_share_is_told() -> None:
    noise = measure_noise_by_signal(
        [
            (scene(seed) + 0.1 * np.random.default_rng(seed).normal(size=(1, SIDE, SIDE))).astype(
                np.float32
            )
            for seed in range(2)
        ]
    )
    assert noise is not None
    assert noise.correlation == pytest.approx(np.ones((3, 3)), abs=0.02)


def test_the_noise_of_one_picture_is_told_from_that_of_all() -> None:
    pictures = [gaussian(seed, 0.05 if seed else 0.1) for seed in range(5)]
    noise = measure_noise_by_signal(pictures)
    assert noise is not None
    variances = [noise.factor(picture) * noise.sigma**2 for picture in pictures]
    assert np.sqrt(variances) == pytest.approx([0.1, 0.05, 0.05, 0.05, 0.05], rel=0.08)


def test_unknown_areas_are_not_quiet_ones() -> None:
    picture = gaussian(0, 0.1)
    picture[:, :64] = np.linspace(0.2, 0.8, SIDE, dtype=np.float32)
    noise = measure_noise_by_signal([picture])
    assert noise is not None
    assert noise.sigma == pytest.approx(0.1, rel=0.05)


def test_spots_are_not_gaussian_noise() -> None:
    spots = np.random.default_rng(0).random((3, SIDE, SIDE))
    picture = np.where(spots < 0.05, np.rint(20 * spots), scene(0)).astype(np.float32)
    noise = measure_noise_by_signal([picture])
    assert noise is not None
    assert not noise.is_gaussian


@pytest.mark.parametrize(
    "picture", [np.zeros((1, 8, 8)), np.zeros((1, 128, 128)), np.full((1, 128, 128), np.nan)]
)
def test_nothing_is_said_where_nothing_can_be_measured(picture: np.ndarray) -> None:
    assert measure_noise_by_signal([picture.astype(np.float32)]) is None
    assert measure_noise_by_signal([]) is None
