"""Transfer functions between light and sample values."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SRGB_EXPONENT",
    "SRGB_KNEE",
    "SRGB_OFFSET",
    "SRGB_SLOPE",
    "linear_to_srgb",
    "srgb_to_linear",
]

# Light up to the knee is multiplied by the slope; above it stands (1 + offset) x^(1 / exponent) -
# offset (IEC 61966-2-1).
SRGB_KNEE = 0.0031308
SRGB_SLOPE = 12.92
SRGB_OFFSET = 0.055
SRGB_EXPONENT = 2.4


def linear_to_srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode light as sRGB samples (IEC 61966-2-1), any shape.

    The curve goes on above 1, and is odd around 0, so that nothing is clipped.
    """
    light = np.abs(linear)
    curve = (1 + SRGB_OFFSET) * np.power(light, 1 / SRGB_EXPONENT) - SRGB_OFFSET
    encoded = np.where(light <= SRGB_KNEE, SRGB_SLOPE * light, curve)
    return np.copysign(encoded, linear).astype(np.float32, copy=False)


def srgb_to_linear(encoded: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode sRGB samples to light: the inverse of ``linear_to_srgb``."""
    sample = np.abs(encoded)
    curve = np.power((sample + SRGB_OFFSET) / (1 + SRGB_OFFSET), SRGB_EXPONENT)
    linear = np.where(sample <= SRGB_SLOPE * SRGB_KNEE, sample / SRGB_SLOPE, curve)
    return np.copysign(linear, encoded).astype(np.float32, copy=False)
