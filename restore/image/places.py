"""Places of a picture at which a person judges it: flat, texture, edge, subject."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Place", "informative_places"]

_MOST_PIXELS = 2_000_000
_LEAST_SIDE = 64
_SMOOTHING_PX = 1.0
_MIDTONES = (25.0, 230.0)
_CLIPPED_COSTS = 10.0
_SUBJECT_SHARE = 1 / 8
"""Scale of what makes up a subject, such as the eyes and mouth of a face, in sides of a place."""
_SKIN_CB, _SKIN_CR = (77, 127), (133, 173)
"""Chai and Ngan, "Face segmentation using skin-color map", IEEE TCSVT 1999."""
_SKIN_WEIGHT = 3.0


@dataclass(frozen=True)
class Place:
    """A rectangle of a picture.

    Attributes:
        name: What it shows.
        top, left: Its first row and column.
        height, width: Its size in pixels.
    """

    name: str
    top: int
    left: int
    height: int
    width: int

    @property
    def area(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def informative_places(pixels: NDArray[np.uint8], side: int) -> list[Place]:
    """Return up to four squares, always the same ones, whose centres are half a side apart or more.

    Texture has gradients in all directions, an edge those in one (by the structure tensor); a flat
    place has few, in the midtones; a subject has contrast at the scale of a face that fills a
    square, in the middle of the picture and in colours of skin rather than elsewhere.

    Args:
        pixels: ``[H, W, 1 or 3]``, without noise, which would pass for texture.
        side: Of the squares, in pixels; they are at most half as high and wide as the picture, but
            not smaller than 64 pixels where that fits.
    """
    height, width = pixels.shape[:2]
    side = min(side, max(_LEAST_SIDE, min(height, width) // 2))
    rows, columns = min(side, height), min(side, width)
    step = max(1, round((height * width / _MOST_PIXELS) ** 0.5))
    scores = _scores(_reduced(pixels, step), max(2, side // step))
    taken: list[Place] = []
    for name, score in scores.items():
        # The score of a square stands at its centre.
        tops = np.arange(score.shape[0]) * step - rows // 2
        lefts = np.arange(score.shape[1]) * step - columns // 2
        free = ((tops >= 0) & (tops <= height - rows))[:, None] & (
            (lefts >= 0) & (lefts <= width - columns)
        )
        for other in taken:
            near_rows = np.abs(tops - other.top) < rows // 2
            near_columns = np.abs(lefts - other.left) < columns // 2
            free &= ~(near_rows[:, None] & near_columns)
        if free.any():
            best = np.argmax(np.where(free, score, -np.inf))
            row, column = np.unravel_index(best, score.shape)
            taken.append(Place(name, int(tops[row]), int(lefts[column]), rows, columns))
    return taken


def _reduced(pixels: NDArray[np.uint8], step: int) -> NDArray[np.float32]:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    small = np.asarray(image.reduce(step) if step > 1 else image, np.float32)
    return small[..., None] if small.ndim == 2 else small


def _scores(pixels: NDArray[np.float32], side: int) -> dict[str, NDArray[np.float32]]:
    """Return how well a square of ``side`` around each pixel shows each kind of place."""
    from scipy import ndimage

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        averaged: NDArray[np.float32] = ndimage.uniform_filter(values, side, mode="reflect")
        return averaged

    luma = pixels.mean(axis=2)
    smooth = ndimage.gaussian_filter(luma, _SMOOTHING_PX)
    down, across = np.gradient(smooth) if min(smooth.shape) > 1 else (smooth * 0, smooth * 0)
    vertical, horizontal, mixed = mean(down * down), mean(across * across), mean(down * across)
    energy = np.maximum(vertical + horizontal, 1e-6)
    coherence = np.hypot(vertical - horizontal, 2 * mixed) / energy
    strength = np.sqrt(energy)
    low, high = _MIDTONES
    outside = mean(((luma < low) | (luma > high)).astype(np.float32))
    return {
        "flat": -strength - _CLIPPED_COSTS * outside,
        "texture": strength * (1 - coherence),
        "edge": strength * coherence,
        "subject": _subject(pixels, smooth, side, mean),
    }


def _subject(
    pixels: NDArray[np.float32],
    smooth: NDArray[np.float32],
    side: int,
    mean: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    from scipy import ndimage

    coarse = ndimage.gaussian_filter(smooth, side * _SUBJECT_SHARE)
    contrast = np.sqrt(np.maximum(mean(coarse * coarse) - mean(coarse) ** 2, 0))
    height, width = smooth.shape
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    central = np.exp(-(rows**2) - columns**2).astype(np.float32)
    skin = mean(_is_skin(pixels).astype(np.float32))
    subject: NDArray[np.float32] = contrast * central * (1 + _SKIN_WEIGHT * skin)
    return subject


def _is_skin(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    if pixels.shape[2] == 1:
        return np.zeros(pixels.shape[:2], bool)
    red, green, blue = np.moveaxis(pixels, 2, 0)
    cb = 128 - 0.168736 * red - 0.331264 * green + 0.5 * blue
    cr = 128 + 0.5 * red - 0.418688 * green - 0.081312 * blue
    within: NDArray[np.bool_] = (
        (cb >= _SKIN_CB[0]) & (cb <= _SKIN_CB[1]) & (cr >= _SKIN_CR[0]) & (cr <= _SKIN_CR[1])
    )
    return within
