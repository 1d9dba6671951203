"""How few bytes the strips or tiles of a TIFF can have, by compression."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["least_bytes", "stored_bytes"]

_MODIFIED_HUFFMAN, _GROUP_3, _GROUP_4 = 2, 3, 4
_WHITE_1664_BITS = 6
"""Bits of the code for 1664 white pixels, of all codes the one with the fewest per pixel."""

_MOST_DECODED: Mapping[int, int] = {
    1: 1,
    5: 2731,  # LZW: strings of at most 4096 bytes, 12 bits each where the table is full
    8: 1032,  # deflate: 258 bytes for two bits
    32946: 1032,
    32773: 64,  # PackBits: 128 bytes for two
    34925: 8192,  # LZMA: 273 bytes for 14 decisions of 0.022 bits
    50000: 1 << 15,  # Zstandard: blocks of 128 KiB that repeat one byte take four
}
"""Bytes that one compressed byte yields at most, by the number of the compression."""


def least_bytes(page: Any) -> float | None:
    """Return how many bytes the pixels of a page take at least; None if its segments tell."""
    width, height = int(page.imagewidth), int(page.imagelength)
    compression = int(page.compression)
    if compression in (_GROUP_3, _GROUP_4):
        return height / 8  # a row like the one above takes a bit
    if compression == _MODIFIED_HUFFMAN:
        return max(height, height * width / 1664 * _WHITE_1664_BITS / 8)  # rows are whole bytes
    most = _MOST_DECODED.get(compression)
    if most is None:
        return None
    bits = width * height * page.samplesperpixel * page.bitspersample
    return float(bits / 8 / most)


def stored_bytes(offsets: NDArray[np.uint64], counts: NDArray[np.uint64]) -> int:
    """Return in how many bytes of a file strips or tiles lie; shared ones count once."""
    order = np.argsort(offsets)
    starts, ends = offsets[order], (offsets + counts)[order]
    reached = np.maximum.accumulate(ends)
    before = np.concatenate([np.zeros(1, np.uint64), reached[:-1]])
    return int((reached - np.maximum(starts, before)).sum())
