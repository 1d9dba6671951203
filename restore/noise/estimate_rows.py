"""Estimation of the noise level of a picture that is read in bands of rows."""

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from restore.noise.estimate import PATCH_SIDE, ClippingLimits, patch_places, patch_variance

__all__ = ["estimate_sigma_of_rows"]

_PIXELS_AT_ONCE = 1 << 22


def estimate_sigma_of_rows(
    read: Callable[[int, int], NDArray[np.float32]], height: int, width: int
) -> float:
    """Return what ``estimate_sigma_chw`` returns for the whole picture.

    Channels with too few finite patches count as 0.0, where the other measures differences.

    Args:
        read: returns the rows from a first one to a last one (exclusive) as ``[C, h, W]``; called
            from top to bottom, for overlapping bands.
        height: height of the picture in pixels, at least 7.
        width: width of the picture in pixels, at least 7.
    """
    rows, columns = patch_places(height, width)
    step = max(1, _PIXELS_AT_ONCE // width)
    patches: list[list[NDArray[np.float32]]] = []
    limits: list[ClippingLimits] = []
    overlap = PATCH_SIDE - 1
    for top in range(0, height - overlap, step):
        band = read(top, min(top + step + overlap, height))
        own = len(band[0]) if top + step + overlap >= height else step
        first, last = np.searchsorted(rows, (top, top + step))
        if not limits:
            limits = [ClippingLimits() for _ in band]
            patches = [[] for _ in band]
        for channel, found, limit in zip(band, patches, limits, strict=True):
            limit.add(channel[:own])
            windows = sliding_window_view(channel, (PATCH_SIDE, PATCH_SIDE))
            found.append(windows[rows[first:last] - top, columns[first:last]])
    variances = [
        _variance(np.concatenate(found), limit)
        for found, limit in zip(patches, limits, strict=True)
    ]
    return math.sqrt(sum(variances) / len(variances))


def _variance(patches: NDArray[np.float32], limits: ClippingLimits) -> float:
    finite = patches[np.isfinite(patches).all(axis=(1, 2))]
    return patch_variance(finite.astype(np.float64), limits) or 0.0
