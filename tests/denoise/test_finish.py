"""What is done to a network's result: it is blended, and texture comes back."""

import numpy as np
import pytest

from restore.denoise.pixels import finest_luminance, finish


def test_detail_goes_back_towards_the_picture() -> None:
    """Half of the finest texture that was removed returns, with its sign."""
    rng = np.random.default_rng(0)
    encoded = rng.random((3, 16, 20), dtype=np.float32)
    restored = np.full_like(encoded, 0.5)
    before = restored.copy()
    finish(restored, encoded, strength=1.0, chroma=1.0, detail=0.5)
    np.testing.assert_allclose(
        restored, before + 0.5 * finest_luminance(encoded - before), atol=1e-6
    )
    luma = np.tensordot(np.float32([0.299, 0.587, 0.114]), encoded, axes=1)
    assert np.corrcoef(restored[0].ravel(), luma.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("strength", [0.0, 0.25, 1.0])
def test_strength_is_the_share_of_the_result(strength: float) -> None:
    encoded, restored = np.full((1, 2, 2), 0.8, np.float32), np.full((1, 2, 2), 0.4, np.float32)
    finish(restored, encoded, strength=strength, chroma=strength, detail=0.0)
    np.testing.assert_allclose(restored, 0.8 - 0.4 * strength, rtol=1e-6)


def test_colour_noise_has_a_strength_of_its_own() -> None:
    """Luma is blended by one share, and what each channel has beyond luma by the other."""
    rng = np.random.default_rng(0)
    encoded, restored = rng.random((2, 3, 8, 9), dtype=np.float32)
    weights = np.float32([0.299, 0.587, 0.114])
    removed = encoded - restored
    luma = np.tensordot(weights, removed, axes=1)
    finish(restored, encoded, strength=0.4, chroma=0.9, detail=0.0)
    np.testing.assert_allclose(
        restored, encoded - 0.4 * luma - 0.9 * (removed - luma), rtol=0, atol=1e-6
    )
