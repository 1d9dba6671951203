"""The local mean of every channel survives denoising, unless clipping raised it."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from restore.denoise.low_frequencies import LowFrequencies

SIDE = 160


def given_back(noisy: NDArray[np.float32], restored: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``restored`` with its low frequencies, as a picture in memory is treated."""
    low_frequencies = LowFrequencies(*noisy.shape)
    low_frequencies.add((slice(0, noisy.shape[1]), slice(0, noisy.shape[2])), noisy, restored)
    result = restored.copy()
    low_frequencies.give_back(result)
    return result


def test_red_that_a_dark_area_lost_comes_back() -> None:
    """Noise of 3 around a red of 8.9 is hardly ever clipped, so its mean is the truth."""
    rng = np.random.default_rng(0)
    truth = np.full((3, SIDE, 2 * SIDE), 2 / 255, np.float32)
    truth[0] = 8.9 / 255
    truth[:, :, SIDE:] = 0.5
    noisy = (truth + 3 / 255 * rng.standard_normal(truth.shape, np.float32)).clip(0, 1)
    lost = truth.copy()
    lost[0, :, :SIDE] = 3.4 / 255
    result = given_back(noisy, lost)
    assert abs(result[0, :, : SIDE - 64].mean() * 255 - 8.9) < 0.1
    np.testing.assert_allclose(result[0, :, SIDE + 64 :], 0.5, atol=0.5 / 255)


def test_what_clipping_added_stays_away() -> None:
    """Around black half of the noise is clipped, and what is left of it has raised the mean."""
    rng = np.random.default_rng(0)
    black = np.zeros((1, SIDE, SIDE), np.float32)
    noisy = (black + 10 / 255 * rng.standard_normal(black.shape, np.float32)).clip(0, 1)
    assert np.array_equal(given_back(noisy, black), black)
    assert np.array_equal(given_back(1 - noisy, 1 - black), 1 - black)


@pytest.mark.parametrize(("share", "value"), [(0.009, 1.0), (0.1, 0.9), (0.1, 0.02)])
def test_impulses_do_not_shift_what_surrounds_them(share: float, value: float) -> None:
    """Each replaced samples of 0.3 by one value: 0.1 of them move the mean by 15 levels."""
    rng = np.random.default_rng(0)
    truth = np.full((3, SIDE, SIDE), 0.3, np.float32)
    noisy = truth + 2 / 255 * rng.standard_normal(truth.shape, np.float32)
    noisy[:, rng.random(truth.shape[1:]) < share] = value
    assert np.abs(given_back(noisy, truth) - truth).max() < 0.5 / 255


def test_fine_noise_does_not_come_back() -> None:
    rng = np.random.default_rng(0)
    gray = np.full((1, SIDE, SIDE), 0.5, np.float32)
    noisy = gray + 10 / 255 * rng.standard_normal(gray.shape, np.float32)
    assert np.abs(given_back(noisy, gray) - gray).max() < 1 / 255


def test_each_channel_gets_back_its_own() -> None:
    restored = np.full((2, 70, 90), 0.5, np.float32)
    noisy = restored + np.float32([0.02, -0.03])[:, None, None]
    np.testing.assert_allclose(given_back(noisy, restored), noisy, atol=1e-6)


def test_a_slow_gradient_comes_back_without_steps() -> None:
    restored = np.full((1, SIDE, SIDE), 0.5, np.float32)
    noisy = restored + np.linspace(0, 0.1, SIDE, dtype=np.float32)
    inner = np.s_[0, :, 48:-48]
    np.testing.assert_allclose(given_back(noisy, restored)[inner], noisy[inner], atol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 33), (64, 64), (65, 200)])
def test_parts_add_up_to_the_whole(height: int, width: int) -> None:
    """Parts of any place and size, and the result by rows, equal the picture in one piece."""
    rng = np.random.default_rng(height)
    noisy, restored = rng.random((2, 3, height, width), dtype=np.float32)
    by_parts = LowFrequencies(3, height, width)
    rows, columns = ([0, size // 3, size // 2, size] for size in (height, width))
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            if top < bottom and left < right:
                part = np.s_[:, top:bottom, left:right]
                area = (slice(top, bottom), slice(left, right))
                by_parts.add(area, noisy[part], restored[part])
    lower = restored[:, height // 2 :].copy()
    by_parts.give_back(lower, height // 2)
    expected = given_back(noisy, restored)[:, height // 2 :]
    np.testing.assert_allclose(lower, expected, atol=1e-6)


def test_an_unknown_part_is_an_error() -> None:
    low_frequencies = LowFrequencies(1, 64, 64)
    half = np.zeros((1, 64, 32), np.float32)
    low_frequencies.add((slice(0, 64), slice(0, 32)), half, half)
    with pytest.raises(ValueError, match="whole picture"):
        low_frequencies.give_back(np.zeros((1, 64, 64), np.float32))
