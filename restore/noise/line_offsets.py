"""Stripes: offsets of whole rows and columns, measured in a picture and taken away.

Readout, line scanners and analogue video shift whole lines. Networks that learn noise pixel by
pixel take such lines for texture. Along a line, though, hundreds of pixels are shifted alike, and
their median difference to the next line tells by how much.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from restore.noise.estimate import ClippingLimits

__all__ = ["LineOffsets", "line_offsets"]

Pixels = NDArray[np.float32]
Numbers = NDArray[np.float64]
ReadBand = Callable[[int, int], Pixels]

_SEGMENT = 64
_FEWEST_SEGMENTS, _MOST_SEGMENTS = 2, 16
_FEWEST_OF_SEGMENT = 16
_FEWEST_LINES, _MOST_LINES = 32, 0.75
_ROWS_AT_ONCE = 256

# Clean photographs seem to have stripes of up to 1.1; above the most, they show blinds or waves.
_LEAST, _MOST = 1.5 / 255, 24 / 255
_DEVIATIONS = 5.0
"""So many standard deviations more than by chance, the segments' halves must agree on the sign."""
_MOST_CORRELATED = 0.25
"""Of successive differences: -0.5 where shifts are random, near 1 where lines are waves."""
_AROUND = 21
_MEDIAN_OF_SQUARED_NORMAL = 0.455
_SIGMA_OF_MAD, _SIGMA_OF_MEDIAN = 1.4826, 1.2533
_FAR_OFF = 3.5


@dataclass(frozen=True)
class LineOffsets:
    """The offsets of the lines of a picture.

    Attributes:
        rows: of each channel and row, ``[C, H]``; zeros where rows have none.
        columns: of each channel and column, ``[C, W]``, likewise.
        sigma_rows: standard deviation of those of rows, root mean square over channels, in the
            units of the pixels.
        sigma_columns: the same of columns.
        sigma_left: standard deviation of what is left when they are taken away, as expected.
        limits: values ``(low, high)`` at which each channel was clipped.
    """

    rows: Pixels
    columns: Pixels
    sigma_rows: float
    sigma_columns: float
    sigma_left: float
    limits: Sequence[tuple[float, float]]

    def removed_from(self, pixels: Pixels, part: tuple[slice, slice]) -> Pixels:
        """Return a part of the picture, ``[C, h, w]``, without its stripes.

        Clipped samples stay: what they would have been is unknown, and stripes do not show there.
        """
        down, across = part
        result = pixels - self.rows[:, down, None] - self.columns[:, None, across]
        for channel, source, (low, high) in zip(result, pixels, self.limits, strict=True):
            np.copyto(channel, source, where=(source <= low) | (source >= high))
        return result


def line_offsets(read: ReadBand, channels: int, height: int, width: int) -> LineOffsets | None:
    """Return the offsets of rows and columns, or None where a picture has no stripes.

    Differences between neighbouring lines are medians over segments of 64 pixels. Stripes are found
    where those of separate segments agree, for most lines: a horizon moves few, and a texture not
    all segments alike. The offsets are then the most probable ones, given the differences, how much
    segments disagree, and the level of the stripes.

    Args:
        read: returns the rows from a first one to a last one (exclusive), ``[C, h, W]``, nominally
            in [0, 1]; samples that are not finite are left out.
        channels: number of channels.
        height: height of the picture in pixels; below 128, columns are not measured.
        width: width of the picture in pixels; below 128, rows are not measured.
    """
    # Most pictures have none: the mean of the channels tells so in a third of the time.
    together = _differences(lambda *band: read(*band).mean(axis=0, keepdims=True), height, width)
    if not any(_levels(each).any() for each in together):
        return None
    (rows, sigma_rows, of_rows), (columns, sigma_columns, of_columns) = (
        _offsets(each, (channels, lines))
        for each, lines in zip(_differences(read, height, width), (height, width), strict=True)
    )
    if not (sigma_rows or sigma_columns):  # too weak in each channel for what else is there
        return None
    limits = [ClippingLimits() for _ in range(channels)]
    for top in range(0, height, _ROWS_AT_ONCE):
        for channel, limit in zip(read(top, min(top + _ROWS_AT_ONCE, height)), limits, strict=True):
            limit.add(channel)
    return LineOffsets(
        rows=rows,
        columns=columns,
        sigma_rows=sigma_rows,
        sigma_columns=sigma_columns,
        sigma_left=math.hypot(of_rows, of_columns),
        limits=[(each.low, each.high) for each in limits],
    )


def _differences(read: ReadBand, height: int, width: int) -> tuple[Numbers, Numbers]:
    """Return the differences of neighbouring rows, and of columns, ``[C, lines - 1, segments]``."""
    of_rows = [
        _of_segments(read(top, min(top + _ROWS_AT_ONCE + 1, height)), _segments(width))
        for top in range(0, height - 1, _ROWS_AT_ONCE)
    ]
    of_columns = [
        _of_segments(read(start, start + _SEGMENT).swapaxes(1, 2), [0])
        for start in _segments(height)
    ]
    return _joined(of_rows, axis=1), _joined(of_columns, axis=2)


def _joined(parts: Sequence[Numbers], axis: int) -> Numbers:
    return np.concatenate(parts, axis=axis) if parts else np.zeros((1, 0, 0))


def _of_segments(lines: Pixels, segments: Sequence[int]) -> Numbers:
    """Return the median differences of ``lines``, ``[C, n, length]``, in each segment."""
    result = np.full((len(lines), lines.shape[1] - 1, len(segments)), np.nan)
    for index, start in enumerate(segments):
        part = lines[:, :, start : start + _SEGMENT]
        # Stripes do not show at 0 and 1.
        shown = np.where((part > 0) & (part < 1), part, np.float32(np.nan))
        result[:, :, index] = _medians(np.diff(shown, axis=1))
    return result


def _segments(length: int) -> list[int]:
    """Return where segments of a line begin: all of them, or some that are spread evenly."""
    count = length // _SEGMENT
    if count < _FEWEST_SEGMENTS:
        return []
    chosen = np.unique(np.linspace(0, count - 1, min(count, _MOST_SEGMENTS)).round().astype(int))
    return [int(each) * _SEGMENT for each in chosen]


def _medians(values: Pixels) -> Numbers:
    """Return the medians of the last axis, NaN where too few values are known."""
    ordered = np.sort(values, axis=-1)
    known = np.isfinite(values).sum(axis=-1)
    pair = np.stack([np.maximum(known - 1, 0) // 2, known // 2], axis=-1).clip(
        max=values.shape[-1] - 1
    )
    middle = np.take_along_axis(ordered, pair, axis=-1).mean(axis=-1, dtype=np.float64)
    medians: Numbers = np.where(known >= _FEWEST_OF_SEGMENT, middle, np.nan)
    return medians


def _offsets(differences: Numbers, shape: tuple[int, int]) -> tuple[Pixels, float, float]:
    """Return the offsets ``[C, lines]`` of lines with such differences, their level, and its rest.

    All are zero where there are no stripes.
    """
    levels = _levels(differences)
    if not levels.any():
        return np.zeros(shape, np.float32), 0.0, 0.0
    found, left = zip(
        *(
            _most_probable(channel, max(level, _LEAST / 2))
            for channel, level in zip(differences, levels.tolist(), strict=True)
        ),
        strict=True,
    )
    return np.stack(found).astype(np.float32), _root_mean_square(levels), _root_mean_square(left)


def _root_mean_square(values: Sequence[float] | Numbers) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _levels(differences: Numbers) -> Numbers:
    """Return the level of the stripes of each channel; zeros where all are weak."""
    levels = np.array([_level(channel) for channel in differences])
    return levels if levels.max() >= _LEAST else np.zeros_like(levels)


def _level(differences: Numbers) -> float:
    """Return the level of the stripes of ``[lines - 1, segments]``; 0.0 if they are something else.

    Two halves of the segments have the stripes in common, and little else.
    """
    one, other = _mean(differences[:, 0::2]), _mean(differences[:, 1::2])
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < max(_FEWEST_LINES, _MOST_LINES * len(known)):
        return 0.0
    one, other = _without_slope(one[known]), _without_slope(other[known])
    by_chance = 0.5 + _DEVIATIONS / (2 * len(one) ** 0.5)
    if float((one * other > 0).mean()) < by_chance:
        return 0.0
    variance = float(np.median(one * other)) / _MEDIAN_OF_SQUARED_NORMAL / 2
    level = max(variance, 0.0) ** 0.5
    # Few lines, such as a horizon, must not decide.
    both = np.clip((one + other) / 2, -6 * level, 6 * level)
    power = float(np.square(both).mean())
    correlated = float((both[1:] * both[:-1]).mean()) / power if power else 1.0
    return level if level <= _MOST and correlated <= _MOST_CORRELATED else 0.0


def _mean(differences: Numbers) -> Numbers:
    known = np.isfinite(differences)
    sums, counts = np.where(known, differences, 0).sum(axis=1), known.sum(axis=1)
    means: Numbers = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return means


def _without_slope(differences: Numbers) -> Numbers:
    """Return differences less their running median: skies grow darker from line to line.

    It is that of the means of two, since differences that alternate are no slope.
    """
    padded = np.pad(differences, (_AROUND // 2 + 1, _AROUND // 2), mode="reflect")
    around = sliding_window_view((padded[1:] + padded[:-1]) / 2, _AROUND)
    return differences - np.asarray(np.median(around, axis=1))


def _most_probable(differences: Numbers, level: float) -> tuple[Numbers, float]:
    """Return the most probable offsets of lines with differences ``[lines - 1, segments]``.

    Offsets are Gaussian with a deviation of ``level``, and independent. Differences that are far
    too large for that are edges of the picture, and tell nothing.

    Returns:
        The offsets ``[lines]``, and the deviation that they have from the true ones: that of many
        lines whose differences are all known as well as on average.
    """
    # SciPy takes as long to import as a small picture takes to be restored.
    from scipy.linalg import solveh_banded

    known = np.isfinite(differences)
    count = known.sum(axis=1)
    middle = _medians_of_known(differences, known)
    spread = _medians_of_known(np.abs(differences - middle[:, None]), known) * _SIGMA_OF_MAD
    measured = count >= _FEWEST_SEGMENTS
    if not measured.any():
        return np.zeros(len(differences) + 1), level
    common = float(np.median(spread[measured]))
    variance = (spread**2 + common**2) / 2 * _SIGMA_OF_MEDIAN**2 / np.maximum(count, 1)
    variance += (0.1 / 255) ** 2
    far_off = np.abs(middle) > _FAR_OFF * np.sqrt(2 * level**2 + variance)
    trust = np.where(measured & ~far_off, 1 / variance, 0)
    change = trust * middle
    prior = level**-2
    banded = np.zeros((2, len(differences) + 1))
    banded[1] = prior
    banded[1, 1:] += trust
    banded[1, :-1] += trust
    banded[0, 1:] = -trust
    pull = np.zeros(len(differences) + 1)
    pull[1:] += change
    pull[:-1] -= change
    offsets = np.asarray(solveh_banded(banded, pull), np.float64)
    left = (prior * (prior + 4 * float(trust.mean()))) ** -0.25
    return offsets - float(offsets.mean()), left


def _medians_of_known(values: Numbers, known: NDArray[np.bool_]) -> Numbers:
    """Return the medians of the known values of each line; zero where there is none."""
    result = np.zeros(len(values))
    has_some = known.any(axis=1)
    result[has_some] = np.nanmedian(values[has_some], axis=1)
    return result
