"""Width and height as compressed data state them: decoders take memory for those at once."""

import struct

from restore.errors import CorruptImage

__all__ = ["jpeg2000_size", "jpeg_size", "webp_size"]

_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JPEG2000_START = b"\xff\x4f\xff\x51"


def jpeg_size(data: bytes) -> tuple[int, int]:
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


def jpeg2000_size(data: bytes) -> tuple[int, int]:
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


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height from the first 30 bytes of a WebP file.

    Raises:
        CorruptImage: they are not there.
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
