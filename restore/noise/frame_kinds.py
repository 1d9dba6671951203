"""Frames that tell of a camera's noise: dark ones, flat ones, and those of one exposure."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture

__all__ = ["DARKEST_FLAT", "Floats", "FrameKind", "kind_of", "pairs_of", "planes_of"]

Floats = NDArray[np.float64]

DARKEST_FLAT = 0.01
"""Light of a flat frame, at least."""
_BLOCK = 32
"""Side in samples of one colour of the blocks whose means tell what a frame shows."""
_BRIGHTEST_FLAT = 0.9
_MOST_GLOW = 0.02
_UNEVEN = 0.03
"""Share of a flat frame's light by which blocks may differ from a quadratic surface."""
_ALIKE = 0.02


class FrameKind(StrEnum):
    """What a frame shows."""

    DARK = "dark"
    FLAT = "flat"
    SCENE = "scene"


def planes_of(frame: RawPicture) -> list[tuple[int, Floats]]:
    """Return each place of the filter as its colour and its samples ``[h, w]``, white at 1."""
    side = len(frame.cfa)
    planes = []
    for y in range(side):
        for x in range(side):
            code = int(frame.cfa[y, x])
            black = frame.black_level[code]
            samples = frame.mosaic[y::side, x::side].astype(np.float64)
            colour = GREEN if code == SECOND_GREEN else code
            planes.append((colour, (samples - black) / (frame.white_level - black)))
    return planes


def kind_of(frame: RawPicture) -> FrameKind:
    """Return what a frame shows: nothing, an even surface, or a scene."""
    is_flat = is_dark = True
    for _, plane in planes_of(frame):
        means = _block_means(plane, _BLOCK)
        if means.size < 9:
            return FrameKind.SCENE
        light = float(np.median(means))
        uneven = float(np.abs(means - _surface(means)).mean())
        is_dark &= light < _MOST_GLOW and float(np.abs(means - light).max()) < _MOST_GLOW / 4
        is_flat &= (
            light > DARKEST_FLAT
            and float(means.max()) < _BRIGHTEST_FLAT
            and uneven < _UNEVEN * light
        )
    return FrameKind.DARK if is_dark else FrameKind.FLAT if is_flat else FrameKind.SCENE


def _block_means(plane: Floats, side: int) -> Floats:
    side = max(1, min(side, min(plane.shape) // 4))
    tall, wide = (size // side for size in plane.shape)
    blocks = plane[: tall * side, : wide * side].reshape(tall, side, wide, side)
    means: Floats = blocks.mean(axis=(1, 3))
    return means


def _surface(means: Floats) -> Floats:
    """Return the quadratic surface that fits means of blocks, as vignetting does."""
    rows, columns = (each.ravel() for each in np.indices(means.shape, dtype=np.float64))
    terms = np.stack([rows**0, rows, columns, rows**2, rows * columns, columns**2], axis=1)
    fit, *_ = np.linalg.lstsq(terms, means.ravel(), rcond=None)
    surface: Floats = (terms @ fit).reshape(means.shape)
    return surface


def pairs_of(frames: Sequence[RawPicture]) -> list[tuple[RawPicture, RawPicture]]:
    """Return frames next to each other that have the same exposure."""
    means = [float(frame.mosaic.mean()) - max(frame.black_level) for frame in frames]
    order = sorted(range(len(frames)), key=lambda index: means[index])
    pairs = []
    while len(order) > 1:
        one, other = order[:2]
        first, second = frames[one], frames[other]
        allowed = _ALIKE * max(means[one], DARKEST_FLAT * first.range_dn)
        is_alike = first.exposure_time_s == second.exposure_time_s
        is_alike &= means[other] - means[one] < allowed
        if is_alike:
            pairs.append((first, second))
        order = order[2 if is_alike else 1 :]
    return pairs
