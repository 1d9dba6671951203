"""The black levels of a DNG: a level for each colour, and what places, rows and columns differ."""

import math

import numpy as np
from numpy.typing import NDArray

from restore.image.dng_reader import Dng

__all__ = ["black_levels", "without_offsets"]

Levels = tuple[float, float, float, float]

_ROWS_AT_ONCE = 64


def black_levels(dng: Dng, cfa: NDArray[np.uint8], usual: Levels) -> Levels:
    """Return the digital numbers of no light of red, green, blue and second green.

    They are means over the sensor. For a colour that the filter lacks it is that of green.

    Args:
        dng: What the file says.
        cfa: ``[P, P]``, see ``RawPicture``.
        usual: LibRaw's levels, for files that state none; their rows and columns count in them.
    """
    pattern = _pattern(dng, cfa)
    if pattern is None:
        return usual
    more = _mean(dng.black_of_rows) + _mean(dng.black_of_columns)
    colours = np.tile(cfa, np.array(pattern.shape) // cfa.shape)
    means = [
        float(pattern[colours == colour].mean()) + more if (colours == colour).any() else None
        for colour in range(4)
    ]
    present = [mean for mean in means if mean is not None]
    lacking = max(present) if means[1] is None else means[1]
    red, green, blue, second = (lacking if mean is None else mean for mean in means)
    return red, green, blue, second


def without_offsets(
    mosaic: NDArray[np.uint16], dng: Dng, cfa: NDArray[np.uint8], saturated: Levels
) -> NDArray[np.uint16]:
    """Return a mosaic whose black is that of ``black_levels`` in every place.

    What is below black stays, as far as there is room for it above 0.

    Args:
        mosaic: ``[H, W]`` as stored.
        dng: What the file says.
        cfa: ``[P, P]``, see ``RawPicture``.
        saturated: Digital numbers from which samples of each colour are saturated, and stay.
    """
    height, width = mosaic.shape
    pattern = _differences(dng, cfa)
    rows, columns = (
        each - _mean(each) if each.size == size else np.zeros(size)
        for each, size in ((dng.black_of_rows, height), (dng.black_of_columns, width))
    )
    if not (pattern.any() or rows.any() or columns.any()):
        return mosaic
    limits = np.array(saturated)[cfa]
    result = np.empty_like(mosaic)
    x = np.arange(width)
    for top in range(0, height, _ROWS_AT_ONCE):
        y = np.arange(top, min(top + _ROWS_AT_ONCE, height))[:, None]
        stored = mosaic[y[0, 0] : y[-1, 0] + 1]
        offsets = pattern[y % len(pattern), x % pattern.shape[1]] + rows[y] + columns[x]
        limit = limits[y % len(cfa), x % len(cfa)]
        level = np.rint(stored - offsets).clip(0, limit)
        result[y[0, 0] : y[-1, 0] + 1] = np.where(stored >= limit, stored, level)
    return result


def _pattern(dng: Dng, cfa: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Return black of each place until both it and the filter begin again; None if not stated."""
    if dng.black is None:
        return None
    times = [
        math.lcm(own, side) // own for own, side in zip(dng.black.shape, cfa.shape, strict=True)
    ]
    return np.tile(dng.black, times)


def _differences(dng: Dng, cfa: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how the black of each place differs from the mean of its colour."""
    pattern = _pattern(dng, cfa)
    if pattern is None:
        return np.zeros((1, 1))
    colours = np.tile(cfa, np.array(pattern.shape) // cfa.shape)
    means = np.zeros(4)
    for colour in np.unique(colours):
        means[colour] = pattern[colours == colour].mean()
    return pattern - means[colours]


def _mean(levels: NDArray[np.float64]) -> float:
    """Return the mean as LibRaw adds it to its levels: a whole number."""
    return math.floor(levels.mean() + 0.5) if levels.size else 0.0
