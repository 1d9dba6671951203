"""What a TIFF must fulfil before its pixels are decoded: tifffile forgives more than we may."""

import math
import struct
from typing import Any

import numpy as np
import tifffile

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.webp import webp_size

__all__ = ["check_directory", "check_segments"]

_MOST_TAGS = 4096
# Sizes, kind, compression and place of the samples, their extra channels; XMP and ICC.
_TAGS_THAT_MATTER = {
    *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
    *(322, 323, 324, 325, 338, 339, 347, 700, 34675),
}
# None, CCITT, LZW, deflate, PackBits, LZMA, Zstandard: they fill a strip and no more.
_PLAIN_COMPRESSIONS = {1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000}
_HEAD_BYTES = 1 << 16
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG2000_START = b"\xff\x4f\xff\x51"


def check_directory(tiff: tifffile.TiffFile, page: Any) -> None:
    """Check that no tag that matters was damaged: tifffile would go on without it.

    Raises:
        CorruptImage: one was.
    """
    count_format, entry_bytes = ("Q", 20) if tiff.is_bigtiff else ("H", 12)
    file, order = tiff.filehandle, tiff.byteorder
    file.seek(page.offset)
    (count,) = struct.unpack(order + count_format, file.read(struct.calcsize("=" + count_format)))
    entries = file.read(min(count, _MOST_TAGS) * entry_bytes)
    stored = {code for code, _ in struct.iter_unpack(f"{order}H{entry_bytes - 2}s", entries)}
    if damaged := (stored & _TAGS_THAT_MATTER) - {tag.code for tag in page.tags}:
        raise CorruptImage(f"is damaged or cut short (TIFF tag {min(damaged)})")


def check_segments(tiff: tifffile.TiffFile, page: Any) -> None:
    """Check that all strips or tiles lie in the file, and decode to no more than they should.

    Raises:
        CorruptImage: one is missing, which tifffile would fill with zeros, or is too large.
        UnsupportedImage: a compression that cannot be checked.
    """
    if max(page.tilewidth, page.tilelength) > 2 * max(page.imagewidth, page.imagelength) + 1024:
        raise CorruptImage("has tiles that are larger than the picture")
    file_size = tiff.filehandle.size
    offsets = np.asarray(page.dataoffsets, dtype=np.uint64)
    counts = np.asarray(page.databytecounts, dtype=np.uint64)
    expected = math.prod(page.chunked)
    if len(offsets) != expected or len(counts) != expected:
        raise CorruptImage("has another number of strips or tiles than its size asks for")
    if not (offsets.all() and counts.all()):
        raise CorruptImage("lacks some of its strips or tiles")
    if (offsets > file_size).any() or (counts > file_size - offsets).any():
        raise CorruptImage("is cut short")
    if page.compression in _PLAIN_COMPRESSIONS:
        return
    size_of = _SIZES.get(int(page.compression))
    if size_of is None:
        name = getattr(page.compression, "name", str(page.compression))
        raise UnsupportedImage(f"is compressed as {name}; save it with LZW or deflate first")
    most = 2 * math.prod(page.chunks) + 4096
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        width, height = size_of(tiff.filehandle.read(min(count, _HEAD_BYTES)))
        if width * height > most:
            raise CorruptImage("has a strip or tile that is larger than it says")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height from the start of a JPEG stream.

    Raises:
        CorruptImage: there is no frame.
    """
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # filling
            position += 1
            continue
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        (length,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + length
    raise CorruptImage("has damaged JPEG data")


def _jpeg2000_size(data: bytes) -> tuple[int, int]:
    """Return width and height from the start of JPEG 2000 data.

    Raises:
        CorruptImage: there is no code stream, or one of more than four components.
    """
    start = data.find(_JPEG2000_START)
    if start < 0 or len(data) < start + 42:
        raise CorruptImage("has damaged JPEG 2000 data")
    width, height = struct.unpack_from(">II", data, start + 8)
    (components,) = struct.unpack_from(">H", data, start + 40)
    if components > 4:
        raise CorruptImage("has damaged JPEG 2000 data")
    return width, height


# Decoders take memory at once for the width and height that compressed data state.
_SIZES = {7: _jpeg_size, 33003: _jpeg2000_size, 33005: _jpeg2000_size, 34712: _jpeg2000_size}
_SIZES |= {50001: webp_size}
