"""The sample values at which the channels of a finished picture, or of a sensor, saturate."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from restore.image.raw_picture import GREEN, SECOND_GREEN

__all__ = ["mosaic_saturation", "saturation_levels"]

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


_CODES = 1 << 16
_LOWEST_CLIPPING = 0.7
# Shot noise alone spreads a bright even surface by 0.4 % and more, for no pixel of a camera holds
# many more than 60,000 electrons; only clipped samples lie closer together than this.
_NARROW = 0.0025
_LEAST_SAMPLES = 24
_DENSER, _MOST_BEYOND = 4.0, 0.02
_STEPS_BELOW, _LEAST_OCCUPIED = 8, 5
# Of a small picture, few samples lie just below.
_FAR_STEP, _LEAST_OCCUPIED_FAR = 0.05, 7
# Shares of a normal distribution above its median, and above one sigma below it.
_MEDIAN_AND_SIGMA, _SIGMAS = (0.5, 0.8413), 3.0
_EVEN_SHARE, _EVEN_LEVEL = 0.9, 0.85
# Colours that saturate do so at the same level, nearly.
_SAME = 0.03


def mosaic_saturation(
    mosaic: NDArray[np.uint16],
    cfa: NDArray[np.uint8],
    black_level: Sequence[float],
    white_level: float,
) -> tuple[float, float, float, float]:
    """Return the digital numbers from which red, green, blue and second green are saturated.

    Many sensors clip below the white level that their files, or tables of cameras, state. Then the
    histogram ends in a peak far narrower than shot noise would make it, with light below it and
    next to nothing above; read noise after the clipping may spread it, and all of it counts as
    saturated. Where one colour has such a peak alone, the others must vary there: else it is an
    even surface without noise, as in a file that was denoised. A colour without such a peak
    saturates where the others do, and where none has one, at the white level.

    Args:
        mosaic: ``[H, W]`` as stored.
        cfa: ``[P, P]``, see ``RawPicture``.
        black_level: digital numbers of no light, for red, green, blue and second green.
        white_level: digital number at which the sensor is said to saturate.
    """
    if white_level >= _CODES:
        # A damaged file: no sample reaches it.
        return (float(white_level),) * 4
    counts = np.zeros((4, _CODES), dtype=np.int64)
    side = len(cfa)
    for y in range(side):
        for x in range(side):
            samples = mosaic[y::side, x::side].ravel()
            counts[cfa[y, x]] += np.bincount(samples, minlength=_CODES)
    present = [colour for colour in range(4) if counts[colour].any()]
    found = {
        colour: level
        for colour in present
        if (level := _clipped_from(counts[colour], black_level[colour], white_level)) is not None
    }
    found = {
        colour: level
        for colour, level in found.items()
        if any(
            _name(other) != _name(colour) and abs(each - level) < _SAME * white_level
            for other, each in found.items()
        )
        or not _is_even(mosaic, cfa, colour, level, black_level)
    }
    if not found and (level := _even_level(counts[present], white_level)) is not None:
        found = dict.fromkeys(present, level)
    if not found:
        return (float(white_level),) * 4
    usual = float(np.median(list(found.values())))
    levels = [
        found[colour] if colour in found else _unless_exceeded(counts[colour], usual, white_level)
        for colour in range(4)
    ]
    return levels[0], levels[1], levels[2], levels[3]


def _clipped_from(counts: NDArray[np.int64], black: float, white: float) -> float | None:
    """Return the lowest clipped code of one colour, or None where its histogram shows no clipping.

    Args:
        counts: samples of each code, ``[65536]``.
        black: code of no light.
        white: code at which the sensor is said to saturate.
    """
    half = max(1, round(_NARROW * (white - black)))
    sums, around = _sums_around(counts, half)
    lowest = int(black + _LOWEST_CLIPPING * (white - black))
    peak = lowest + int(np.argmax(around[lowest:]))
    first, last = max(peak - half, 0), min(peak + half, _CODES - 1)
    mass = int(around[peak])
    below, far_below = (
        np.diff(sums[np.maximum(first - step * np.arange(_STEPS_BELOW + 1)[::-1], 0)])
        for step in (2 * half + 1, round(_FAR_STEP * (white - black)))
    )
    beyond = sums[-1] - sums[min(last + half, _CODES - 1) + 1]
    if (
        mass < _LEAST_SAMPLES
        # The step next to the peak may hold its tail.
        or mass < _DENSER * max(float(np.median(below)), 1.0)
        or beyond > _MOST_BEYOND * mass
        # An even surface stands alone in the histogram; light that clips comes up to the peak.
        or (
            np.count_nonzero(below) < _LEAST_OCCUPIED
            and np.count_nonzero(far_below) < _LEAST_OCCUPIED_FAR
        )
    ):
        return None
    start = max(peak - 3 * half, 0)
    # Without the light that reaches the peak unclipped.
    excess = counts[start : last + 1] - np.median(below) / (2 * half + 1)
    summed = np.cumsum(excess[::-1])
    middle, one_sigma = (
        last - int(np.argmax(summed >= share * summed.max())) for share in _MEDIAN_AND_SIGMA
    )
    return min(float(white), middle - _SIGMAS * (middle - one_sigma))


def _is_even(
    mosaic: NDArray[np.uint16],
    cfa: NDArray[np.uint8],
    colour: int,
    level: float,
    black_level: Sequence[float],
) -> bool:
    """Return whether the other colours hardly vary where one reaches a level."""
    side = len(cfa)
    rows, columns = (size // side * side for size in mosaic.shape)
    planes = {
        int(cfa[y, x]): mosaic[y:rows:side, x:columns:side]
        for y in range(side)
        for x in range(side)
    }
    is_there = planes[colour] >= level
    others = {_name(each) for each in planes} - {_name(colour)}
    if not others or not is_there.any():
        return False
    for other in others:
        low, middle, high = np.quantile(planes[other][is_there], (0.1, 0.5, 0.9))
        if high - low > 4 * _NARROW * max(float(middle) - black_level[other], 1.0):
            return False
    return True


def _name(colour: int) -> int:
    """Return the code of a colour; the second green counts as green."""
    return GREEN if colour == SECOND_GREEN else colour


def _even_level(counts: NDArray[np.int64], white: float) -> float | None:
    """Return the lowest code of a frame that is saturated as a whole, in every colour alike."""
    half = max(1, round(_NARROW * white))
    peak = int(np.argmax(_sums_around(counts.sum(axis=0), half)[1]))
    if peak < _EVEN_LEVEL * white or peak >= white:
        return None
    window = counts[:, max(peak - half, 0) : peak + half + 1]
    shares = window.sum(axis=1) / counts.sum(axis=1)
    if (shares < _EVEN_SHARE).any():
        return None
    return float(max(peak - half, 0) + int(np.argmax(window.any(axis=0))))


def _sums_around(
    counts: NDArray[np.int64], half: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the samples below each code ``[65537]`` and within ``half`` of it ``[65536]``."""
    sums = np.concatenate([[0], np.cumsum(counts)])
    codes = np.arange(_CODES)
    return sums, sums[np.minimum(codes + half + 1, _CODES)] - sums[np.maximum(codes - half, 0)]


def _unless_exceeded(counts: NDArray[np.int64], level: float, white: float) -> float:
    beyond = counts[int(level) + 1 :].sum()
    return level if beyond <= max(_LEAST_SAMPLES, _LEAST_SHARE * counts.sum()) else float(white)
