"""Pictures made smaller for a network, and its results at their own size again."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

__all__ = ["enlarged", "enlarged_scores", "shrunk"]


def shrunk(pixels: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Scale down to the means of squares of ``factor`` pixels, so that no detail is skipped.

    Squares at the far edges may be cut off.

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


def enlarged_scores(
    scores: NDArray[np.float32], factor: int, size: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the scores of a ``shrunk`` picture at its own size, interpolated.

    Every score is kept exactly in the middle of its square, and so is the highest: plain bilinear
    interpolation lowers a peak that is one pixel wide by up to half.

    Args:
        scores: ``[ceil(H / factor), ceil(W / factor)]``.
        factor: factor by which the picture was scaled down.
        size: ``(H, W)``.

    Returns:
        ``[H, W]``.
    """
    if factor == 1:
        return scores
    for axis, length in enumerate(size):
        scores = _between(scores, _places(scores.shape[axis], factor, length), axis)
    return scores


def _places(count: int, factor: int, length: int) -> NDArray[np.float64]:
    """Return for ``length`` pixels where they lie among the ``count`` squares they came from."""
    first = np.arange(count) * factor + (factor - 1) // 2
    # Where the factor is even, the middle is between two pixels: both are given it.
    middles = np.stack([first, first + (factor + 1) % 2], axis=1).ravel()
    inside = np.minimum(middles, length - 1)
    return np.interp(np.arange(length), inside, np.repeat(np.arange(count), 2))


def _between(
    values: NDArray[np.float32], places: NDArray[np.float64], axis: int
) -> NDArray[np.float32]:
    lower = places.astype(np.intp)
    upper = np.minimum(lower + 1, values.shape[axis] - 1)
    share = np.expand_dims((places - lower).astype(np.float32), 1 - axis)
    result, rise = values.take(lower, axis), values.take(upper, axis)
    rise -= result
    rise *= share
    result += rise
    return result


def enlarged(
    planes: NDArray[np.float32], factor: int, size: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return a ``shrunk`` picture ``[C, h, w]`` at its own size ``[C, H, W]``, interpolated."""
    if factor == 1:
        return planes
    whole = F.interpolate(
        torch.from_numpy(np.ascontiguousarray(planes))[None],
        scale_factor=float(factor),
        mode="bilinear",
    )
    return np.ascontiguousarray(whole[0, :, : size[0], : size[1]].numpy())
