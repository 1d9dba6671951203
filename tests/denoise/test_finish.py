"""What is done to a network's result: midtones keep their mean, texture comes back."""

import numpy as np
import pytest

from restore.denoise.pixels import Midtones, finest_luminance, finish


def test_midtones_are_shifted_by_what_they_lost() -> None:
    """Of ten pixels two are midtones: 0.02 and 0.04 were taken from them, 0.5 from those beside."""
    restored = np.float32([0.05, 0.95, 0.5, 0.6, 0.0, 1.0, 0.02, 0.98, 0.1, 0.9])
    taken = np.float32([0.5, 0.5, 0.02, 0.04, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    midtones = Midtones(1)
    midtones.add((restored + taken)[None, None], restored[None, None])
    assert midtones.shifts().shape == (1, 1, 1)
    assert midtones.shifts().item() == pytest.approx(0.03)


def test_each_channel_is_shifted_by_itself_over_all_parts() -> None:
    midtones = Midtones(2)
    for taken in (0.1, 0.3):
        restored = np.full((2, 70, 3), 0.5, np.float32)
        midtones.add(restored + np.float32([taken, -taken])[:, None, None], restored)
    np.testing.assert_allclose(midtones.shifts().flatten(), [0.2, -0.2], rtol=1e-5)


@pytest.mark.parametrize(("midtone_pixels", "shift"), [(9, 0.0), (11, 0.1), (500, 0.1)])
def test_less_than_a_hundredth_of_midtones_tells_nothing(midtone_pixels: int, shift: float) -> None:
    restored = np.zeros((1, 1, 1000), np.float32)
    restored[0, 0, :midtone_pixels] = 0.5
    midtones = Midtones(1)
    midtones.add(restored + np.float32(0.1), restored)
    assert midtones.shifts().item() == pytest.approx(shift)


def test_detail_goes_back_towards_the_picture() -> None:
    """Half of the finest texture that was removed returns, with its sign."""
    rng = np.random.default_rng(0)
    encoded = rng.random((3, 16, 20), dtype=np.float32)
    restored = np.full_like(encoded, 0.5)
    before = restored.copy()
    finish(restored, encoded, strength=1.0, detail=0.5)
    np.testing.assert_allclose(
        restored, before + 0.5 * finest_luminance(encoded - before), atol=1e-6
    )
    luma = np.tensordot(np.float32([0.299, 0.587, 0.114]), encoded, axes=1)
    assert np.corrcoef(restored[0].ravel(), luma.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_is_the_share_of_the_result(strength: float) -> None:
    encoded, restored = np.full((1, 2, 2), 0.8, np.float32), np.full((1, 2, 2), 0.4, np.float32)
    finish(restored, encoded, strength=strength, detail=0.0)
    np.testing.assert_allclose(restored, 0.8 - 0.4 * strength, rtol=1e-6)
