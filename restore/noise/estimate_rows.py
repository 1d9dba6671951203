"""Estimation of the noise of a picture that is read in bands of rows."""

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from restore.noise.estimate import PATCH_SIDE, ClippingLimits, patch_places, patch_variance
from restore.noise.level import NoiseLevel, judged
from restore.noise.spectrum import BLOCK_SIDE, block_places, smooth_spectra

__all__ = ["estimate_noise_of_rows"]

_PIXELS_AT_ONCE = 1 << 22


def estimate_noise_of_rows(
    read: Callable[[int, int], NDArray[np.float32]], height: int, width: int
) -> NoiseLevel:
    """Return what ``estimate_noise`` returns for the whole picture.

    Channels with too few finite patches count as 0.0, where the other measures differences.

    Args:
        read: returns the rows from a first one to a last one (exclusive) as ``[C, h, W]``; called
            from top to bottom, for overlapping bands.
        height: height of the picture in pixels, at least 16.
        width: width of the picture in pixels, at least 16.
    """
    patches = _Windows(PATCH_SIDE, patch_places(height, width))
    blocks = _Windows(BLOCK_SIDE, block_places(height, width))
    limits: list[ClippingLimits] = []
    step = max(1, _PIXELS_AT_ONCE // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        band = read(top, min(bottom + BLOCK_SIDE - 1, height))
        limits = limits or [ClippingLimits() for _ in band]
        for channel, limit in zip(band, limits, strict=True):
            limit.add(channel[: bottom - top])
        for windows in (patches, blocks):
            windows.add(band, top, bottom)
    variances = [_variance(*each) for each in zip(patches.by_channel(), limits, strict=True)]
    spectra = [smooth_spectra(*each) for each in zip(blocks.by_channel(), limits, strict=True)]
    return judged(math.sqrt(sum(variances) / len(variances)), spectra)


class _Windows:
    """Square windows at given places, gathered from bands.

    Args:
        side: Height and width of a window in pixels.
        places: Rows, in ascending order, and columns at which windows begin.
    """

    def __init__(self, side: int, places: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        self._side, (self._rows, self._columns) = side, places
        self._parts: list[NDArray[np.float32]] = []

    def add(self, band: NDArray[np.float32], top: int, bottom: int) -> None:
        """Keep the windows that begin in the rows ``top`` to ``bottom`` of ``[C, h, W]``."""
        first, last = np.searchsorted(self._rows, (top, bottom))
        if first < last:
            windows = sliding_window_view(band, (self._side, self._side), axis=(1, 2))
            self._parts.append(windows[:, self._rows[first:last] - top, self._columns[first:last]])

    def by_channel(self) -> NDArray[np.float32]:
        """Return all windows, ``[C, N, side, side]``."""
        return np.concatenate(self._parts, axis=1)


def _variance(patches: NDArray[np.float32], limits: ClippingLimits) -> float:
    finite = patches[np.isfinite(patches).all(axis=(1, 2))]
    return patch_variance(finite.astype(np.float64), limits) or 0.0
