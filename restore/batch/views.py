"""What a report page stores of a picture: its result and what was removed, in bounded size."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.image.colour import in_srgb_primaries, linear_to_srgb, srgb_to_linear
from restore.image.compare import upright_pixels
from restore.image.picture import Picture, Transfer
from restore.image.places import Place, informative_places

__all__ = ["View", "Views", "views_of"]

Pixels = NDArray[np.uint8]

_MOST_BYTES = 138_000
"""Of all images of a picture, which base64 makes a third longer."""
_THUMBNAIL_SIDE = 112
_THUMBNAIL_QUALITY = 60
_WHOLE = "whole"
_GAINS = (8.0, 4.0, 2.0, 1.0, 0.5)
_CLIPPED_SHARE = 1e-3
_ERROR_WHITES = (2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True)
class View:
    """A rectangle of a picture.

    Attributes:
        place: Where it lies in the upright picture.
        after: The result as a WebP in a data URI.
        difference: Before minus after, multiplied by ``Views.gain``, around 128; the same.
        error: The expected error, from black to white at ``Views.error_white``; the same, or "".
    """

    place: Place
    after: str
    difference: str
    error: str = ""


@dataclass(frozen=True)
class Views:
    """All that a page stores of a picture.

    Noise hardly compresses. So it is stored once, and the page makes both the picture before and
    the exaggerated view of what was removed from it.

    Attributes:
        height, width: Size of the upright picture in pixels.
        overview: The whole picture, scaled down by ``reduction``.
        reduction: Pixels of the picture for each pixel of the overview, 1 or more.
        places: Parts at 1:1; none where the overview is at 1:1.
        gain: See ``View.difference``.
        thumbnail: The result as a small data URI.
        error_white: Expected error that is shown as white, in levels of 255; 0 where none is known.
    """

    height: int
    width: int
    overview: View
    reduction: float
    places: tuple[View, ...]
    gain: float
    thumbnail: str
    error_white: float = 0.0


@dataclass(frozen=True)
class _Plan:
    """Longest side of the overview, side of the places, and WebP qualities."""

    overview: int
    side: int
    quality: int
    difference_quality: int


# From good to small; the last one fits pure noise.
_PLANS = (
    _Plan(960, 288, 95, 95),
    _Plan(960, 288, 85, 85),
    _Plan(960, 256, 80, 70),
    _Plan(800, 224, 80, 60),
    _Plan(720, 208, 75, 50),
    _Plan(640, 192, 75, 40),
    _Plan(560, 176, 70, 30),
    _Plan(480, 160, 60, 20),
    _Plan(360, 128, 40, 10),
    _Plan(240, 96, 20, 5),
)


def views_of(
    before: Pixels, after: Pixels, like: Picture, error: NDArray[np.float32] | None = None
) -> Views:
    """Return a picture before and after as sRGB, in at most 190 kB of text.

    Args:
        before: ``[H, W, C]`` as ``viewable`` makes it.
        after: The same, of the same size.
        like: Picture that gives the orientation and the primaries.
        error: Expected error of each pixel, ``[H, W]``, in levels of 255, if it is known.
    """
    error_white = 0.0 if error is None else _white_of(error)
    heat = None if error is None else upright_pixels(_heat(error, error_white), like.orientation)
    before, after = (upright_pixels(pixels, like.orientation) for pixels in (before, after))
    to_srgb = _converter(like)
    height, width = after.shape[:2]
    largest = _PLANS[0]
    whole = _Pair(
        Place(_WHOLE, 0, 0, height, width),
        to_srgb(_fitted(before, largest.overview)),
        to_srgb(_fitted(after, largest.overview)),
        None if heat is None else _fitted(heat, largest.overview),
    )
    places = [
        _Pair(
            place,
            to_srgb(before[place.area]),
            to_srgb(after[place.area]),
            None if heat is None else heat[place.area],
        )
        for place in informative_places(after, largest.side)
    ]
    thumbnail = _webp(to_srgb(_fitted(after, _THUMBNAIL_SIDE)), _THUMBNAIL_QUALITY)
    room = _MOST_BYTES - len(thumbnail)
    good, small = 0, len(_PLANS) - 1
    while good < small:  # to the first plan that fits; each is smaller than those before it
        middle = (good + small) // 2
        fits = _size(_planned(whole, places, _PLANS[middle])) <= room
        good, small = (good, middle) if fits else (middle + 1, small)
    views, gain = _planned(whole, places, _PLANS[small])
    overview, *parts = (View(place, *map(_uri, files)) for place, *files in views)
    return Views(
        height=height,
        width=width,
        overview=overview,
        reduction=max(1.0, max(height, width) / _PLANS[small].overview),
        places=tuple(parts),
        gain=gain,
        thumbnail=_uri(thumbnail),
        error_white=error_white,
    )


@dataclass(frozen=True)
class _Pair:
    """A place before and after, as sRGB, and its expected error as ``_heat`` shows it."""

    place: Place
    before: Pixels
    after: Pixels
    heat: Pixels | None

    def fitted(self, side: int) -> "_Pair":
        """Return all of it, scaled down."""
        heat = None if self.heat is None else _fitted(self.heat, side)
        return _Pair(self.place, _fitted(self.before, side), _fitted(self.after, side), heat)

    def middle(self, side: int) -> "_Pair":
        """Return its middle, at the same scale."""
        place = self.place
        rows, columns = min(side, place.height), min(side, place.width)
        top, left = (place.height - rows) // 2, (place.width - columns) // 2
        part = Place(place.name, place.top + top, place.left + left, rows, columns)
        area = slice(top, top + rows), slice(left, left + columns)
        heat = None if self.heat is None else self.heat[area]
        return _Pair(part, self.before[area], self.after[area], heat)


_Files = tuple[list[tuple[Place, bytes, bytes, bytes]], float]


def _planned(whole: _Pair, places: list[_Pair], plan: _Plan) -> _Files:
    """Return overview and places as files of result, difference and error, and the gain."""
    pairs = [whole.fitted(plan.overview)]
    if max(whole.place.height, whole.place.width) > plan.overview:
        pairs += [pair.middle(plan.side) for pair in places]
    differences = [pair.before.astype(np.int16) - pair.after for pair in pairs]
    gain = _gain(differences)
    return [
        (
            pair.place,
            _webp(pair.after, plan.quality),
            _webp(_around_gray(difference, gain), plan.difference_quality),
            b"" if pair.heat is None else _webp(pair.heat, plan.difference_quality),
        )
        for pair, difference in zip(pairs, differences, strict=True)
    ], gain


def _gain(differences: list[NDArray[np.int16]]) -> float:
    """Return the largest gain that clips next to nothing."""
    values = np.concatenate([np.abs(each).ravel() for each in differences])
    largest = float(np.quantile(values, 1 - _CLIPPED_SHARE))
    return next((gain for gain in _GAINS if gain * largest <= 127), _GAINS[-1])


def _around_gray(difference: NDArray[np.int16], gain: float) -> Pixels:
    codes: Pixels = np.rint(128 + gain * difference).clip(0, 255).astype(np.uint8)
    return codes


def _size(files: _Files) -> int:
    return sum(len(data) for _, *contents in files[0] for data in contents)


def _white_of(error: NDArray[np.float32]) -> float:
    """Return the least of some round levels that hardly any error exceeds."""
    largest = float(np.nanquantile(error, 1 - _CLIPPED_SHARE)) if np.isfinite(error).any() else 0.0
    return next((level for level in _ERROR_WHITES if level >= largest), _ERROR_WHITES[-1])


def _heat(error: NDArray[np.float32], white: float) -> Pixels:
    """Return ``[H, W, 3]``, from black over red and yellow to white; black where none is known."""
    place = np.nan_to_num(error).clip(0, white) / np.float32(white) * 3
    steps = np.stack([place, place - 1, place - 2], axis=2).clip(0, 1)
    codes: Pixels = np.rint(255 * steps).astype(np.uint8)
    return codes


def _converter(like: Picture) -> Callable[[Pixels], Pixels]:
    """Return how pixels become sRGB; their curve is taken for sRGB's, or they are encoded so."""
    if not like.primaries or like.channels == 1:
        return lambda pixels: pixels

    def convert(pixels: Pixels) -> Pixels:
        encoded = pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        light = Picture(
            pixels=srgb_to_linear(encoded), transfer=Transfer.LINEAR, primaries=like.primaries
        )
        shown = linear_to_srgb(in_srgb_primaries(light).pixels).clip(0, 1) * 255
        converted: Pixels = np.rint(shown).astype(np.uint8).transpose(1, 2, 0)
        return converted

    return convert


def _fitted(pixels: Pixels, side: int) -> Pixels:
    """Return the picture with no side longer than ``side``, each pixel a mean over its area."""
    longest = max(pixels.shape[:2])
    if longest <= side:
        return pixels
    height, width = (max(1, round(size * side / longest)) for size in pixels.shape[:2])
    image = _image(pixels).resize((width, height), Image.Resampling.BOX)
    return np.asarray(image).reshape(height, width, pixels.shape[2])


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _webp(pixels: Pixels, quality: int) -> bytes:
    file = BytesIO()
    _image(pixels).save(file, "WEBP", quality=quality, method=2)
    return file.getvalue()


def _uri(data: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}" if data else ""
