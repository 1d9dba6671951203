"""Pictures made smaller by a whole factor, so that nothing falls between the pixels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["shrunk"]


def shrunk(pixels: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Return the means of squares of ``factor`` pixels; those at the far edges may be cut off.

    Args:
        pixels: ``[C, H, W]``.
        factor: at least 1.

    Returns:
        ``[C, ceil(H / factor), ceil(W / factor)]``.
    """
    if factor == 1:
        return pixels
    result = pixels
    for axis in (1, 2):
        starts = np.arange(0, pixels.shape[axis], factor)
        counts = np.diff(np.append(starts, pixels.shape[axis]))
        shape = [1, 1, 1]
        shape[axis] = len(counts)
        sums = np.add.reduceat(result, starts, axis=axis)
        result = np.divide(sums, counts.reshape(shape), dtype=np.float32)
    return result
