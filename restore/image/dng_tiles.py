"""The samples of a DNG as compressed tiles: lossless JPEG as cameras write it, deflate for floats.

Lossless JPEG is process 14 of ITU-T T.81; floats follow Adobe's specification of DNG 1.4.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

__all__ = ["Tiles", "float_tiles", "lossless_tiles"]

_SIDE = 256
_MULTIPLE = 16
# Predictor 1, the left neighbour, is the only one that all RAW converters decode.
_LEFT = 1
_UNKNOWN_COLOURS = 0
_DEFLATE_LEVEL = 4


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """The tiles of a picture, row by row.

    Attributes:
        width, height: Size of every tile in pixels; those at the right and lower edge reach beyond
            the picture.
        data: Each of them encoded.
    """

    width: int
    height: int
    data: list[bytes]


def lossless_tiles(samples: NDArray[np.uint16]) -> Tiles:
    """Encode a mosaic ``[H, W]``, or RGB ``[H, W, 3]``, as lossless JPEG.

    Two neighbours in a row of a mosaic make one pixel of two components, so that every sample is
    predicted from one of its own colour: that is how cameras store a Bayer mosaic in DNG.
    """

    def encoded(tile: NDArray[np.uint16]) -> bytes:
        components = tile.reshape(len(tile), -1, 2) if tile.ndim == 2 else tile
        return bytes(
            imagecodecs.jpeg_encode(
                components,
                lossless=True,
                predictor=_LEFT,
                bitspersample=16,
                colorspace=_UNKNOWN_COLOURS,
                outcolorspace=_UNKNOWN_COLOURS,
            )
        )

    return _tiles(samples, encoded)


def float_tiles(samples: NDArray[np.float16]) -> Tiles:
    """Encode ``[H, W, S]`` as deflate of the differences of neighbours, byte by byte."""

    def encoded(tile: NDArray[np.float16]) -> bytes:
        differences = imagecodecs.floatpred_encode(tile, axis=-2)
        return bytes(imagecodecs.deflate_encode(differences.tobytes(), level=_DEFLATE_LEVEL))

    return _tiles(samples, encoded)


def _tiles(samples: NDArray[Any], encoded: Callable[[NDArray[Any]], bytes]) -> Tiles:
    rows, columns = samples.shape[:2]
    height, width = _size(rows, columns)
    places = [(top, left) for top in range(0, rows, height) for left in range(0, columns, width)]

    def at(place: tuple[int, int]) -> bytes:
        top, left = place
        tile = samples[top : top + height, left : left + width]
        missing = ((0, height - tile.shape[0]), (0, width - tile.shape[1]), (0, 0))
        return encoded(np.pad(tile, missing[: tile.ndim], mode="edge"))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return Tiles(width=width, height=height, data=list(pool.map(at, places)))


def _size(rows: int, columns: int) -> tuple[int, int]:
    """Return height and width of tiles that LibRaw decodes, multiples of 16.

    It takes a single tile for a strip, and one of half the width for two fields of a Kodak; of one
    that is wider than the picture it continues rows in the next ones.
    """
    height = min(_SIDE, _MULTIPLE * math.ceil(rows / 2 / _MULTIPLE))
    width = min(_SIDE, max(_MULTIPLE, columns - columns % _MULTIPLE))
    return height, width - _MULTIPLE if 2 * width == columns and width > _MULTIPLE else width
