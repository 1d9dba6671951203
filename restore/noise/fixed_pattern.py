"""What does not change from frame to frame: black level, gains of photosites, defective ones."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from restore.image.photosites import defects
from restore.image.raw_picture import GREEN, RawPicture
from restore.noise.frame_kinds import Floats, pairs_of, planes_of
from restore.noise.measured_camera import MOST_HOT

__all__ = ["black_level_of", "defective_in", "prnu_of"]


def black_level_of(
    darks: Sequence[RawPicture], warn: Callable[[str], None]
) -> tuple[float, float, float, float]:
    """Return the means of dark frames without their hot photosites, for each colour."""
    first = darks[0]
    levels = list(first.black_level)
    side = len(first.cfa)
    for y in range(side):
        for x in range(side):
            planes = np.stack([frame.mosaic[y::side, x::side] for frame in darks])
            low, high = np.quantile(planes, (0.001, 0.999))
            within = planes[(planes >= low) & (planes <= high)]
            levels[int(first.cfa[y, x])] = round(float(within.mean()), 3)
    if side == 1:
        levels = 4 * [levels[GREEN]]
    most = max(abs(one - other) for one, other in zip(levels, first.black_level, strict=True))
    if most > 1:
        warn(f"dark frames lie up to {most:.3g} from the black level that the files state")
    red, green, blue, second = levels
    return red, green, blue, second


def prnu_of(flats: Sequence[RawPicture]) -> float | None:
    """Return how much the gains of photosites differ: what two flat frames have in common."""
    values = []
    for pair in pairs_of(flats):
        for (_, one), (_, other) in zip(*map(planes_of, pair), strict=True):
            common = float((_fine(one) * _fine(other)).mean())
            values.append(max(common, 0.0) / float(one.mean() * other.mean()))
    return round(math.sqrt(float(np.median(values))), 6) if values else None


def _fine(plane: Floats) -> Floats:
    """Return differences of neighbours, with the variance of samples, and without the largest."""
    width = plane.shape[1] // 2 * 2
    fine: Floats = (plane[:, 1:width:2] - plane[:, :width:2]) / math.sqrt(2)
    return fine.clip(*np.quantile(fine, (0.0005, 0.9995)))


def defective_in(
    darks: Sequence[RawPicture], flats: Sequence[RawPicture], warn: Callable[[str], None]
) -> tuple[tuple[int, int], ...]:
    """Return rows and columns of photosites that are hot in the dark, or dead in the light.

    Where there are more than ``MOST_HOT`` the frames show something else: none are returned, and
    ``warn`` is told.
    """
    found: NDArray[np.bool_] | None = None
    for frames in (darks, flats):
        if not frames:
            continue
        # One after the other: all at once would be in memory twice.
        mean = np.zeros(frames[0].mosaic.shape)
        for frame in frames:
            mean += frame.mosaic
        mean /= len(frames)
        averaged = replace(frames[0], mosaic=np.rint(mean).astype(np.uint16))
        own = defects(averaged)
        found = own if found is None else found | own
    if found is None:
        return ()
    if (count := int(np.count_nonzero(found))) > MOST_HOT:
        warn(f"{count:,} photosites stand out, more than can be defective; none are noted")
        return ()
    rows, columns = np.nonzero(found)
    return tuple(zip(rows.tolist(), columns.tolist(), strict=True))
