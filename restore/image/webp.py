"""Lossy and lossless WebP; lossless files stay lossless."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from restore.errors import CorruptImage
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.limits import check_least_bytes
from restore.image.metadata import bare_exif
from restore.image.picture import Picture
from restore.image.pillow import pillow_options, read_with_pillow, write_with_pillow

__all__ = ["least_webp_bytes", "read_webp", "webp_exif", "webp_size", "write_webp"]

_LONGEST_SIDE = 16383

_MACROBLOCK = 16
_LEAST_BITS_PER_MACROBLOCK = 3
"""Of lossy data: the modes of luma and chroma take 3.4 with the fixed probabilities."""


def read_webp(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a WebP of one frame.

    Raises:
        UnsupportedImage: an animation.
        CorruptImage: a damaged header, or one of more pixels than the file can hold.
        Exception: whatever Pillow raises on damaged data.
    """
    # Pillow allocates the canvas as soon as it opens a file.
    width, height = webp_size(file.read(30))
    check_least_bytes(width, height, least_webp_bytes(file, width, height), file.seek(0, 2))
    check_size(width, height, 3)
    is_lossless = _first_chunk(file) == _LOSSLESS
    file.seek(0)
    return read_with_pillow(file, ImageFormat.WEBP, check_size, is_lossless=is_lossless)


def write_webp(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture``; quality 100 is lossless, and so is None if it came from lossless WebP.

    Raises:
        OutputError: the picture is too large.
    """
    quality = encoding.quality
    lossless = quality == 100 or (quality is None and picture.is_lossless)
    options = pillow_options(picture, ImageFormat.WEBP, quality)
    return write_with_pillow(
        picture,
        ImageFormat.WEBP,
        options | {"lossless": lossless, "exact": True},
        longest_side=_LONGEST_SIDE,
    )


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height from the first 30 bytes of a WebP file.

    Raises:
        CorruptImage: there are fewer bytes.
    """
    if len(data) < 30:
        raise CorruptImage("is cut short")
    match data[12:16]:
        case b"VP8X":
            width, height = (int.from_bytes(data[i : i + 3], "little") for i in (24, 27))
            return width + 1, height + 1
        case b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def least_webp_bytes(file: BinaryIO, width: int, height: int) -> int:
    """Return how many bytes a picture of this size and of the kind in ``file`` takes at least.

    Of lossless WebP there is no such bound: libwebp writes pictures of one colour in 34 bytes.
    """
    if _first_chunk(file) != _LOSSY:
        return 0
    blocks = -(-width // _MACROBLOCK) * -(-height // _MACROBLOCK)
    return blocks * _LEAST_BITS_PER_MACROBLOCK // 8


def webp_exif(file: BinaryIO) -> bytes | None:
    """Return the EXIF block of a file, without decoding its pixels as Pillow does."""
    file.seek(0)
    for name, size in _chunks(file):
        if name == _EXIF:
            return bare_exif(file.read(size))
    return None


_LOSSY, _LOSSLESS, _ANIMATED, _EXIF = b"VP8 ", b"VP8L", b"ANMF", b"EXIF"


def _first_chunk(file: BinaryIO) -> bytes:
    """Return the name of the first chunk that holds pixels."""
    kinds = (_LOSSY, _LOSSLESS, _ANIMATED)
    return next((name for name, _ in _chunks(file) if name in kinds), b"")


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield name and size of every chunk, with the file positioned at its content."""
    place = 12
    while len(head := _at(file, place)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        yield name, size
        place += 8 + size + size % 2


def _at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.read(8)
