"""Pixels per inch that a PNG or JPEG states outside EXIF: taken along to where they can be stated.

TIFF states them in tags that EXIF has, too.
"""

import io
import struct

from restore.image.codecs import ImageFormat
from restore.image.exif_block import exif_parts
from restore.image.jpeg_stream import header_segments
from restore.image.picture import Picture

__all__ = ["density_of", "jfif_header", "pixel_size_chunk_body", "says_resolution"]

_JFIF, _JFIF_MARKER = b"JFIF\x00", 0xE0
_PER_INCH, _PER_CENTIMETRE = 1, 2
_INCHES_PER_METRE = 1 / 0.0254
_X_RESOLUTION = 282
_NEARLY_WHOLE = 0.01
_MOST_OF_JFIF = 65_535


def density_of(picture: Picture) -> tuple[float, float] | None:
    """Return pixels per inch across and down that a PNG or JPEG states, or None."""
    match picture.format:
        case ImageFormat.PNG:
            return _of_chunks(picture.png_chunks)
        case ImageFormat.JPEG:
            return _of_segments(picture.notes)
    return None


def says_resolution(exif: bytes | None) -> bool:
    """Return whether an EXIF block states the resolution itself."""
    parts = exif_parts(io.BytesIO(exif), wanted=lambda tag: tag == _X_RESOLUTION) if exif else None
    return parts is not None and _X_RESOLUTION in parts.main


def jfif_header(density: tuple[float, float] | None) -> bytes:
    """Return the content of a segment of JFIF, with whole pixels per inch."""
    x, y = (round(each) for each in density) if density else (0, 0)
    if not (0 < x <= _MOST_OF_JFIF and 0 < y <= _MOST_OF_JFIF):
        return _JFIF + struct.pack(">BBBHHBB", 1, 1, 0, 1, 1, 0, 0)
    return _JFIF + struct.pack(">BBBHHBB", 1, 1, _PER_INCH, x, y, 0, 0)


def pixel_size_chunk_body(density: tuple[float, float]) -> bytes:
    """Return the body of a chunk pHYs, in pixels per metre."""
    x, y = (round(each * _INCHES_PER_METRE) for each in density)
    return struct.pack(">IIB", x, y, 1)


def _of_chunks(chunks: bytes) -> tuple[float, float] | None:
    position = 0
    while position + 12 <= len(chunks):
        (length,) = struct.unpack_from(">I", chunks, position)
        if chunks[position + 4 : position + 8] == b"pHYs" and length == 9:
            x, y, unit = struct.unpack_from(">IIB", chunks, position + 8)
            return _checked(x / _INCHES_PER_METRE, y / _INCHES_PER_METRE) if unit == 1 else None
        position += 12 + length
    return None


def _of_segments(notes: bytes) -> tuple[float, float] | None:
    for each in header_segments(notes, 0):
        content = notes[each.start + 4 : each.stop]
        if each.marker == _JFIF_MARKER and content.startswith(_JFIF) and len(content) >= 12:
            unit, x, y = struct.unpack_from(">BHH", content, 7)
            inch = {_PER_INCH: 1.0, _PER_CENTIMETRE: 2.54}.get(unit)
            return _checked(inch * x, inch * y) if inch else None
    return None


def _checked(x: float, y: float) -> tuple[float, float] | None:
    return (_nearly_whole(x), _nearly_whole(y)) if x > 0 and y > 0 else None


def _nearly_whole(value: float) -> float:
    """Return 300 for 299.9994, which 11811 pixels per metre are."""
    return float(round(value)) if abs(value - round(value)) < _NEARLY_WHOLE else value
