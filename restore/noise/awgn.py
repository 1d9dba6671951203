"""Additive white Gaussian noise, as evaluations add it."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["add_gaussian_noise"]


def add_gaussian_noise(
    pixels: NDArray[np.float32], sigma: float, *, seed: int
) -> NDArray[np.float32]:
    """Return ``pixels`` plus white Gaussian noise, neither clipped nor quantised.

    One seed gives one draw: at another sigma the same noise is scaled.

    Args:
        pixels: any shape, in [0, 1].
        sigma: standard deviation in [0, 1].
        seed: of numpy's default generator.

    Raises:
        ValueError: ``sigma`` is negative or not finite.
    """
    if not (np.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma must be finite and not negative, got {sigma}")
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
    noise *= np.float32(sigma)
    noise += pixels
    return noise
