"""Regions of a score map above a threshold, and the score of a part that follows from them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Region", "mask_above", "part_score", "regions_above"]

Scores = NDArray[np.float32]

_NEIGHBOURS = np.ones((3, 3))


@dataclass(frozen=True, kw_only=True)
class Region:
    """A connected region of scores above the threshold.

    Attributes:
        left, top, width, height: Bounding box in pixels of the upright picture.
        area: Area in pixels.
        peak: Highest score in it.
    """

    left: int
    top: int
    width: int
    height: int
    area: int
    peak: float


def regions_above(scores: Scores, threshold: float, min_area: int = 0) -> tuple[list[Region], int]:
    """Return the regions above the threshold, highest first, and how many are too small.

    Args:
        scores: ``[H, W]``.
        threshold: Score above which a pixel belongs to a region.
        min_area: Regions of fewer pixels are left out, and counted.
    """
    labels, count = ndimage.label(scores > threshold, structure=_NEIGHBOURS)
    if count == 0:
        return [], 0
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    peaks = ndimage.maximum(scores, labels, index=np.arange(1, count + 1))
    regions = [
        Region(
            left=columns.start,
            top=rows.start,
            width=columns.stop - columns.start,
            height=rows.stop - rows.start,
            area=int(area),
            peak=float(peak),
        )
        for (rows, columns), area, peak in zip(
            ndimage.find_objects(labels), areas, peaks, strict=True
        )
        if area >= min_area
    ]
    return sorted(regions, key=lambda region: -region.peak), count - len(regions)


def mask_above(scores: Scores, threshold: float, min_area: int = 0) -> NDArray[np.bool_]:
    """Return where the regions above the threshold are, ``[H, W]``, without those too small."""
    mask = scores > threshold
    if min_area <= 1 or not mask.any():
        return mask
    labels, count = ndimage.label(mask, structure=_NEIGHBOURS)
    is_large = np.bincount(labels.ravel(), minlength=count + 1) >= min_area
    is_large[0] = False
    large: NDArray[np.bool_] = is_large[labels]
    return large


def part_score(scores: Scores, min_area: int = 0) -> float:
    """Return the highest score that a region of ``min_area`` pixels reaches everywhere.

    So it lies above a threshold exactly if a region of that size does. Up to one pixel it is the
    highest score of all, and 0 if the map has fewer pixels than ``min_area``.

    Args:
        scores: ``[H, W]``, not negative.
        min_area: Area in pixels.
    """
    if min_area <= 1:
        return float(scores.max())
    if scores.size < min_area:
        return 0.0
    falling = np.sort(scores, axis=None)[::-1]
    low, high = 0, min_area  # ranks of scores: too high a score, and perhaps low enough a one
    while high < falling.size and not _has_region(scores, falling[high - 1], min_area):
        low, high = high, 2 * high
    high = min(high, falling.size)
    while high - low > 1:
        middle = (low + high) // 2
        if _has_region(scores, falling[middle - 1], min_area):
            high = middle
        else:
            low = middle
    return float(falling[high - 1])


def _has_region(scores: Scores, least: np.float32, min_area: int) -> bool:
    labels, count = ndimage.label(scores >= least, structure=_NEIGHBOURS)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return bool((areas >= min_area).any())
