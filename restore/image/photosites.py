"""Hot and dead photosites: single ones that differ from all around them as no light does."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture
from restore.image.sample_noise import SampleNoise

__all__ = ["defects", "filled", "without_defects"]

_NEIGHBOURS, _SURROUNDINGS = 8, 48
_RADIUS = 9
# How far beyond its neighbours a photosite is looked at: in standard deviations of what
# neighbours differ by at this brightness, and in shares of what they, and the surroundings, span
# themselves. Of these, some may be defective.
_SIGMAS, _SPAN, _WIDE_SPAN = 8.0, 1.0, 2.0
_MOST_DEFECTIVE = 2
# A lens spreads the smallest star over its neighbours: 15 % for a width at half of the height of
# 1.2 pixels. Of a hot photosite they see nothing but their own noise.
_SPREAD, _OWN_SIGMAS = 0.05, 3.0
# Where light makes specks as small as that, it makes others that are nearly as small.
_NEARLY = 0.2
_FEWEST, _TIMES = 3, 2
_PASSES, _ROWS_AT_ONCE = 2, 256
_AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))
_ADJACENT = [index for index, (y, x) in enumerate(_AROUND) if 0 in (y, x)]


def without_defects(
    raw: RawPicture, known: NDArray[np.bool_] | None = None, *, in_doubt: bool = False
) -> tuple[RawPicture, int, int]:
    """Return a RAW picture without hot and dead photosites.

    A picture that is sharp to the pixel has specks that look like them. It then has others of
    which a little falls on the photosites beside. So what was found is filled only where it is
    several, and at least twice as many as there are of those.

    Args:
        raw: RAW picture.
        known: photosites ``[H, W]`` that are defective in any case, as a dark frame shows; or
            None.
        in_doubt: whether what was found is filled in any case.

    Returns:
        The picture, how many photosites were filled, and how many were left in doubt.
    """
    found, similar = _found(raw)
    is_certain = in_doubt or np.count_nonzero(found) >= max(_FEWEST, _TIMES * similar)
    sure = np.zeros_like(found) if known is None else known
    if is_certain:
        sure = sure | found
    left = np.count_nonzero(found & ~sure)
    return filled(raw, sure), int(np.count_nonzero(sure)), int(left)


def filled(raw: RawPicture, where: NDArray[np.bool_]) -> RawPicture:
    """Return a RAW picture with the medians of sound neighbours of their colour at ``where``."""
    if not where.any():
        return raw
    mosaic = raw.mosaic.copy()
    rows, columns = np.nonzero(where)
    around = _Places.around(raw, rows, columns)
    values = mosaic[around.rows, around.columns].astype(np.float32)
    values[where[around.rows, around.columns]] = np.nan
    is_alone = np.isnan(values).all(axis=0)
    values[:, is_alone] = mosaic[rows, columns][is_alone]
    mosaic[rows, columns] = np.rint(np.nanmedian(values, axis=0)).astype(np.uint16)
    return replace(raw, mosaic=mosaic)


def defects(raw: RawPicture) -> NDArray[np.bool_]:
    """Return where photosites are hot or dead, or look like it, ``[H, W]``.

    A photosite looks defective if it stands far outside what its eight nearest neighbours of the
    same colour span, compared with what neighbours of that brightness usually differ by, and with
    what its wider surroundings span; and if the four photosites beside it, whichever their colour,
    show nothing of it, nor clearly more than one of the eight around it: another defective one.
    Light passes through the lens and falls on several photosites, so stars and thin lines stay, and
    so does most fine texture.
    """
    return _found(raw)[0]


def _found(raw: RawPicture) -> tuple[NDArray[np.bool_], int]:
    """Return what ``defects`` does, and how many specks are nearly as small."""
    found = np.zeros(raw.mosaic.shape, dtype=bool)
    similar = 0
    if min(raw.mosaic.shape) < 2 * len(raw.cfa) + 2:
        return found, similar
    noise = SampleNoise.of(raw)
    rows, columns = _standing_out(raw, noise)
    for _ in range(_PASSES):
        # In the second pass, the neighbours of what was found are no longer in its shadow.
        spread = _spread(filled(raw, found), noise, rows, columns)
        is_defect = spread < _SPREAD
        similar = int(np.count_nonzero(~is_defect & (spread < _NEARLY)))
        if not is_defect.any():
            break
        found[rows[is_defect], columns[is_defect]] = True
        rows, columns = rows[~is_defect], columns[~is_defect]
    return found, similar


def _standing_out(raw: RawPicture, noise: SampleNoise) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of what lies far outside its neighbours one period away.

    They are of the same colour. A first, quick choice, that leaves one of the four out.
    """
    side = len(raw.cfa)
    height, width = raw.mosaic.shape
    margins = (_SIGMAS * noise.sigmas).astype(np.int32)
    rows, columns = [], []
    for top in range(0, height, _ROWS_AT_ONCE):
        lines = np.arange(top, min(top + _ROWS_AT_ONCE, height))
        here = raw.mosaic[lines].astype(np.int32)
        above, below = (
            raw.mosaic[_inside(lines + step, height, side)].astype(np.int32)
            for step in (-side, side)
        )
        across = np.arange(width)
        before, after = (here[:, _inside(across + step, width, side)] for step in (-side, side))
        vertical = np.maximum(above, below), np.minimum(above, below)
        level = np.maximum(before, after), np.minimum(before, after)
        one, other = np.minimum(vertical[0], level[0]), np.maximum(vertical[1], level[1])
        high, low = np.maximum(one, other), np.minimum(one, other)
        row, column = np.nonzero((here > high + margins[high]) | (here < low - margins[low]))
        rows.append(row + top)
        columns.append(column)
    return np.concatenate(rows), np.concatenate(columns)


def _spread(
    raw: RawPicture, noise: SampleNoise, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return how much of these photosites those around show, as a share of what stands out.

    It is infinite for those that do not stand out of their surroundings.
    """
    result = np.full(rows.shape, np.inf, dtype=np.float32)
    near = _sorted(raw, rows, columns, _NEIGHBOURS)
    here = raw.mosaic[rows, columns].astype(np.float32)
    # One neighbour may be defective itself.
    low, high = near[1], near[-2]
    middle = (near[_NEIGHBOURS // 2 - 1] + near[_NEIGHBOURS // 2]) / 2
    sign = np.where(here > middle, np.float32(1), np.float32(-1))
    step = np.where(here > middle, here - high, low - here)
    margin = _SIGMAS * noise.at(middle)
    kept = np.flatnonzero(step > margin + _SPAN * (high - low))
    wide = _sorted(raw, rows[kept], columns[kept], _SURROUNDINGS)
    span = wide[-1 - _MOST_DEFECTIVE] - wide[_MOST_DEFECTIVE]
    kept = kept[step[kept] > np.maximum(margin[kept], _WIDE_SPAN * span)]
    if kept.size:
        rows, columns, sign, step = rows[kept], columns[kept], sign[kept], step[kept]
        own = step * _gains(raw, rows, columns)
        around_them = [_seen(raw, noise, rows + y, columns + x, sign) for y, x in _AROUND]
        seen, doubt = (np.stack(each) for each in zip(*around_them, strict=True))
        beside, around = np.median(seen[_ADJACENT], axis=0), np.sort(seen - doubt, axis=0)[-2]
        result[kept] = np.maximum(beside, around) / own
    return result


def _sorted(
    raw: RawPicture, rows: NDArray[np.intp], columns: NDArray[np.intp], count: int
) -> NDArray[np.float32]:
    """Return the nearest neighbours of the same colour ``[count, N]``, the darkest first."""
    around = _Places.around(raw, rows, columns, count)
    return np.sort(raw.mosaic[around.rows, around.columns].astype(np.float32), axis=0)


def _seen(
    raw: RawPicture,
    noise: SampleNoise,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    sign: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how much brighter, or darker, photosites are than those of their colour around.

    And how much of it may be their own noise. Both are balanced.
    """
    height, width = raw.mosaic.shape
    # Beside an edge, the photosite on the other side.
    rows = np.where(rows < 0, 1, np.where(rows >= height, height - 2, rows))
    columns = np.where(columns < 0, 1, np.where(columns >= width, width - 2, columns))
    around = _Places.around(raw, rows, columns)
    usual = np.median(raw.mosaic[around.rows, around.columns].astype(np.float32), axis=0)
    gains = _gains(raw, rows, columns)
    excess: NDArray[np.float32] = sign * (raw.mosaic[rows, columns] - usual) * gains
    margin: NDArray[np.float32] = np.float32(_OWN_SIGMAS) * noise.at(usual) * gains
    return excess, margin


def _gains(
    raw: RawPicture, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return factors that make a star's light about equal in all colours."""
    red, green, blue = raw.white_balance
    side = len(raw.cfa)
    factors = np.array([red, green, blue, green], dtype=np.float32)
    return factors[raw.cfa[rows % side, columns % side]]


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Rows and columns of the neighbours of photosites, ``[K, N]`` each."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]

    @classmethod
    def around(
        cls,
        raw: RawPicture,
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
        count: int = _NEIGHBOURS,
    ) -> "_Places":
        """Return the nearest neighbours of the same colour; those outside are moved inwards."""
        side = len(raw.cfa)
        offsets = _offsets(raw.cfa.tobytes(), side, count)[rows % side, columns % side]
        height, width = raw.mosaic.shape
        return cls(
            rows=_inside(rows + offsets[..., 0].T, height, side),
            columns=_inside(columns + offsets[..., 1].T, width, side),
        )


def _inside(places: NDArray[np.intp], size: int, side: int) -> NDArray[np.intp]:
    """Mirror places by whole periods until they lie inside.

    Where the size does not allow it, they are moved by as few periods as possible, or clipped.
    """
    below = np.where(places < 0, -(places // side) * side, 0)
    beyond = np.where(places >= size, -(-(places - size + 1) // side) * side, 0)
    moved = places + below - beyond
    mirrored = moved + below - beyond
    inside = (mirrored >= 0) & (mirrored < size)
    return np.asarray(np.where(inside, mirrored, moved).clip(0, size - 1))


@cache
def _offsets(cfa: bytes, side: int, count: int) -> NDArray[np.intp]:
    """Return for each place in the period its nearest neighbours of that colour, ``[P, P, K, 2]``.

    The two greens of a Bayer sensor count as one colour.
    """
    colours = np.frombuffer(cfa, dtype=np.uint8).reshape(side, side)
    colours = np.where(colours == SECOND_GREEN, GREEN, colours)
    steps = [
        (y * y + x * x, y, x)
        for y in range(-_RADIUS, _RADIUS + 1)
        for x in range(-_RADIUS, _RADIUS + 1)
        if (y, x) != (0, 0)
    ]
    steps.sort()
    result = np.empty((side, side, count, 2), dtype=np.intp)
    for row in range(side):
        for column in range(side):
            own = colours[row, column]
            same = [
                (y, x) for _, y, x in steps if colours[(row + y) % side, (column + x) % side] == own
            ]
            result[row, column] = same[:count]
    return result
