"""Transfer functions between light and sample values."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["linear_to_srgb", "srgb_to_linear"]

_KNEE = 0.0031308
_SLOPE = 12.92
_OFFSET = 0.055
_EXPONENT = 2.4


def linear_to_srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode light as sRGB samples (IEC 61966-2-1), any shape.

    The curve goes on above 1, and is odd around 0, so that nothing is clipped.
    """
    light = np.abs(linear)
    curve = (1 + _OFFSET) * np.power(light, 1 / _EXPONENT) - _OFFSET
    encoded = np.where(light <= _KNEE, _SLOPE * light, curve)
    return np.copysign(encoded, linear).astype(np.float32, copy=False)


def srgb_to_linear(encoded: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode sRGB samples to light: the inverse of ``linear_to_srgb``."""
    sample = np.abs(encoded)
    curve = np.power((sample + _OFFSET) / (1 + _OFFSET), _EXPONENT)
    linear = np.where(sample <= _SLOPE * _KNEE, sample / _SLOPE, curve)
    return np.copysign(linear, encoded).astype(np.float32, copy=False)
