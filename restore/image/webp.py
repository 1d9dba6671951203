"""Lossy and lossless WebP; lossless files stay lossless."""

import struct
from typing import BinaryIO

from restore.errors import CorruptImage
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.picture import Picture
from restore.image.pillow import pillow_options, read_with_pillow, write_with_pillow

__all__ = ["read_webp", "webp_size", "write_webp"]

_LONGEST_SIDE = 16383


def read_webp(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a WebP of one frame.

    Raises:
        UnsupportedImage: an animation.
        CorruptImage: a damaged header.
        Exception: whatever Pillow raises on damaged data.
    """
    # Pillow allocates the canvas as soon as it opens a file.
    check_size(*webp_size(file.read(30)))
    file.seek(0)
    is_lossless = _is_lossless(file)
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


def _is_lossless(file: BinaryIO) -> bool:
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L", b"ANMF"):
            return name == b"VP8L"
        file.seek(size + size % 2, 1)
    return False
