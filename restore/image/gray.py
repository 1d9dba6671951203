"""Gray pictures that are stored as RGB."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOSSY_GRAY", "is_gray"]

LOSSY_GRAY = 1.01 / 255
"""Difference of channels that lossy compression leaves in gray."""

_ROWS_AT_ONCE = 256


def is_gray(pixels: NDArray[np.float32], tolerance: float = 0.0) -> bool:
    """Return whether the three channels of ``[3, H, W]`` are equal everywhere.

    Args:
        pixels: Samples; NaN equals NaN where ``tolerance`` is 0.
        tolerance: Difference that counts as equal.
    """
    for top in range(0, pixels.shape[1], _ROWS_AT_ONCE):
        red, green, blue = pixels[:, top : top + _ROWS_AT_ONCE]
        for other in (red, blue):
            if tolerance:
                is_same = bool((np.abs(other - green) <= tolerance).all())
            else:
                is_same = np.array_equal(other, green, equal_nan=True)
            if not is_same:
                return False
    return True
