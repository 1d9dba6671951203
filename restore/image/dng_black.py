"""The black levels of a DNG: a level for each colour, and what places, rows and columns differ."""

import math

import numpy as np
from numpy.typing import NDArray

from restore.image.dng_reader import Dng
from restore.image.raw_picture import GREEN

__all__ = ["black_levels", "without_offsets"]

Levels = tuple[float, float, float, float]

_ROWS_AT_ONCE = 64


def black_levels(dng: Dng, cfa: NDArray[np.uint8], usual: Levels) -> Levels:
    """Return the digital numbers of no light of red, green, blue and second green, at least 0.

    They are means over the sensor. For a colour that the filter lacks it is that of green.

    Args:
        dng: What the file says.
        cfa: ``[P, P]``, see ``RawPicture``.
        usual: LibRaw's levels, for files that state none; their rows and columns count in them.
    """
    pattern = _pattern(dng, cfa)
    if pattern is None:
        return usual
    means, more = _means(pattern, cfa), _of_rows_and_columns(dng, cfa)
    lacking = means.get(GREEN, max(means.values()))
    red, green, blue, second = (means.get(colour, lacking) + more for colour in range(4))
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
    # Those of another area are known in the mean only.
    rows, columns = (
        each if each.size == size else np.full(size, _mean(each))
        for each, size in ((dng.black_of_rows, height), (dng.black_of_columns, width))
    )
    rows = rows - _of_rows_and_columns(dng, cfa)
    pattern = _differences(dng, cfa)
    if not (pattern.any() or (rows + columns[0]).any() or np.ptp(columns)):
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


def _means(pattern: NDArray[np.float64], cfa: NDArray[np.uint8]) -> dict[int, float]:
    """Return the mean level of each colour of the filter."""
    colours = np.tile(cfa, np.array(pattern.shape) // cfa.shape)
    return {int(each): float(pattern[colours == each].mean()) for each in np.unique(colours)}


def _differences(dng: Dng, cfa: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how the black of each place differs from the mean of its colour."""
    pattern = _pattern(dng, cfa)
    if pattern is None:
        return np.zeros((1, 1))
    result = pattern.copy()
    colours = np.tile(cfa, np.array(pattern.shape) // cfa.shape)
    for colour, mean in _means(pattern, cfa).items():
        result[colours == colour] -= mean
    return result


def _of_rows_and_columns(dng: Dng, cfa: NDArray[np.uint8]) -> float:
    """Return what they add to the levels of all colours: their mean, if no level becomes negative.

    It is rounded as LibRaw rounds it.
    """
    more = _mean(dng.black_of_rows) + _mean(dng.black_of_columns)
    pattern = _pattern(dng, cfa)
    return more if pattern is None else max(more, -min(_means(pattern, cfa).values()))


def _mean(levels: NDArray[np.float64]) -> float:
    return math.floor(levels.mean() + 0.5) if levels.size else 0.0
