"""The segments of a JPEG that are neither EXIF nor XMP but are worth keeping, whole."""

import struct
from collections.abc import Sequence

__all__ = ["kept_segments", "with_segments"]

_START = b"\xff\xd8"
_MARKERS = {"APP0": b"\xff\xe0", "APP13": b"\xff\xed", "COM": b"\xff\xfe"}
_JFIF = b"JFIF\x00"
_IPTC = b"Photoshop 3.0\x00"
_JFIF_BYTES = 18
"""Of the segment with its marker and length, as libjpeg writes it."""
_DENSITY = slice(11, 16)
"""Of those: the unit, and how many pixels it has in each direction."""


def kept_segments(found: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the segments that hold the density, IPTC with what Photoshop adds, and comments.

    Args:
        found: names and contents, as Pillow lists them.
    """
    kept = []
    for name, content in found:
        if name == "APP0" and content.startswith(_JFIF):
            # Without its thumbnail, which is of the picture as it was.
            content = content[:12].ljust(14, b"\x00")
        elif name != "COM" and not (name == "APP13" and content.startswith(_IPTC)):
            continue
        kept.append(_MARKERS[name] + struct.pack(">H", len(content) + 2) + content)
    return b"".join(kept)


def with_segments(jpeg: bytes, segments: bytes) -> bytes:
    """Return a file of libjpeg with ``kept_segments`` of another."""
    if not segments or jpeg[2:4] != _MARKERS["APP0"]:
        return jpeg
    header, rest = bytearray(jpeg[2 : 2 + _JFIF_BYTES]), jpeg[2 + _JFIF_BYTES :]
    if segments[:2] == _MARKERS["APP0"]:
        header[_DENSITY] = segments[_DENSITY]
        segments = segments[_JFIF_BYTES:]
    return b"".join([_START, header, segments, rest])
