"""The sample values at which the channels of a finished picture saturate."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["saturation_levels"]

_BINS = 256
_LEAST_PIXELS, _LEAST_SHARE = 4, 1e-5
_SPIKE = 3.0
_LOWEST_WHITE = 0.75
_TOP_BINS, _NEXT_BINS = 2, 8
_LOSSY_SPREAD = 3 / 255


def saturation_levels(pixels: NDArray[np.float32], *, is_lossy: bool) -> NDArray[np.float32]:
    """Return for each channel the sample value from which it is saturated; infinity for never.

    A channel that reaches the highest code is saturated there. One that ends below, because of
    editing or a margin that the camera keeps, counts as saturated where its histogram ends in a
    spike: many more samples in the last two of 256 bins than in those before. Lossy compression
    spreads the samples of a flat white by a few codes, which then count as saturated too.

    Args:
        pixels: ``[C, H, W]`` as stored, 1 the highest code.
        is_lossy: JPEG and its like.
    """
    levels = [_level(channel, is_lossy=is_lossy) for channel in pixels]
    return np.array(levels, dtype=np.float32)


def _level(channel: NDArray[np.float32], *, is_lossy: bool) -> float:
    counts = _histogram(channel)
    least = max(_LEAST_PIXELS, _LEAST_SHARE * channel.size)
    beyond = np.cumsum(counts[::-1])[::-1]
    # Single stray samples above a clipped white are ringing, not light.
    occupied = np.flatnonzero(beyond >= least)
    top = int(occupied[-1]) if occupied.size else 0
    highest = _BINS - 1
    is_full = counts[highest] >= least or counts[highest] == beyond[0]
    if not is_full and not (top >= _LOWEST_WHITE * highest and _ends_in_spike(counts, top)):
        return np.inf
    level = 1.0 if is_full else (top - _TOP_BINS + 0.5) / highest
    return level - (_LOSSY_SPREAD if is_lossy else 0.5 / 65535)


def _ends_in_spike(counts: NDArray[np.int64], top: int) -> bool:
    last = counts[top - _TOP_BINS + 1 : top + 1].mean()
    before = counts[top - _NEXT_BINS + 1 : top - _TOP_BINS + 1].mean()
    return bool(last > _SPIKE * max(before, 1.0))


def _histogram(channel: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count samples in bins around each of the 256 codes of eight bits."""
    counts = np.zeros(_BINS, dtype=np.int64)
    for rows in np.array_split(channel, max(1, channel.shape[0] // 256)):
        codes = np.rint(np.nan_to_num(rows).clip(0, 1) * (_BINS - 1)).astype(np.uint8)
        counts += np.bincount(codes.ravel(), minlength=_BINS)
    return counts
