"""Gray pictures that are stored as RGB."""

import numpy as np
from numpy.typing import NDArray

from restore.image.picture import Picture
from restore.image.tone import tone_of

__all__ = ["gray_tolerance", "is_gray", "is_gray_as_rgb"]

_LOSSY_GRAY = 1.01 / 255
_ROWS_AT_ONCE = 256


def gray_tolerance(picture: Picture) -> float:
    """Return the difference of channels that compression may have left in gray; else 0."""
    return _LOSSY_GRAY if picture.is_lossy else 0.0


def is_gray_as_rgb(picture: Picture) -> bool:
    """Return whether all pixels are gray: equal channels of one tone curve, but for losses."""
    if picture.channels != 3:
        return False
    tone = tone_of(picture)
    is_one_curve = tone is None or len(tone.curves) == 1
    return is_one_curve and is_gray(picture.pixels, gray_tolerance(picture))


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
