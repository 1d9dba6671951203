"""JPEG with its metadata: EXIF and XMP of one 64 kB segment each, IPTC and comments."""

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.jpeg_frame import read_frame
from restore.image.jpeg_samples import decode_jpeg
from restore.image.limits import check_least_bytes
from restore.image.losses import note_loss
from restore.image.metadata import (
    EXIF_ERRORS,
    EXIF_HEADER,
    EXIF_IFD,
    ORIENTATION,
    bare_exif,
    orientation_of,
    quiet_pillow,
    well_formed_exif,
)
from restore.image.picture import Picture
from restore.image.pillow import (
    gray_or_rgb,
    loaded_samples,
    pillow_options,
    read_with_pillow,
    write_with_pillow,
)

__all__ = ["kept_segments", "read_jpeg", "write_jpeg"]

_LONGEST_SIDE = 65500
_SEGMENT = 65_533
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
_MAKER_NOTE = 0x927C


def read_jpeg(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a JPEG, or the first picture of a multi-picture file (MPO).

    Raises:
        UnsupportedImage: CMYK.
        CorruptImage: no frame header, or one of more pixels than the file can hold.
        Exception: whatever Pillow raises on damaged data.
    """
    frame = read_frame(file)
    check_least_bytes(frame.width, frame.height, frame.least_bytes, file.seek(0, 2))
    file.seek(0)

    def samples_of(image: Image.Image) -> tuple[NDArray[np.uint8], str]:
        file.seek(0)
        try:
            return decode_jpeg(file.read(), "GRAY" if gray_or_rgb(image).mode == "L" else "RGB")
        except ValueError:  # an unusual sampling of the colours, or not JPEG at all
            file.seek(0)
            return loaded_samples(image)

    return read_with_pillow(
        file,
        ImageFormat.JPEG,
        check_size,
        samples_of=samples_of,
        notes_of=lambda image: kept_segments(getattr(image, "applist", ())),
    )


def write_jpeg(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture`` without chroma subsampling; what was read from JPEG keeps its segments.

    Raises:
        OutputError: the picture is too large.
    """
    blocks = replace(picture, exif=_exif(picture.exif), xmp=_xmp(picture.xmp))
    options = pillow_options(blocks, ImageFormat.JPEG, encoding.quality)
    encoded = write_with_pillow(
        picture,
        ImageFormat.JPEG,
        options | {"subsampling": "4:4:4"},
        longest_side=_LONGEST_SIDE,
    )
    is_same = picture.format is ImageFormat.JPEG
    return _with_segments(encoded, picture.notes) if is_same else encoded


def _exif(exif: bytes | None) -> bytes | None:
    """Return an EXIF block that fits: without its thumbnail, then without the maker's notes.

    If it still does not fit, only the orientation is kept.
    """
    if not exif or _fits(exif):
        return exif
    for what, shorter in (("thumbnail", well_formed_exif), ("maker's notes", _without_notes)):
        block = shorter(exif)
        if block and _fits(block):
            note_loss(f"the {what} of its EXIF, which is too long for a JPEG")
            return block
    note_loss("its EXIF, which is too long for a JPEG")
    turned = Image.Exif()
    turned[ORIENTATION] = orientation_of(exif)
    return bare_exif(turned.tobytes())


def _xmp(xmp: bytes | None) -> bytes | None:
    """Return an XMP packet if it fits."""
    if xmp and len(_XMP_HEADER) + len(xmp) > _SEGMENT:
        note_loss("its XMP, which is too long for a JPEG")
        return None
    return xmp


def _fits(exif: bytes) -> bool:
    return len(EXIF_HEADER) + len(exif) <= _SEGMENT


def _without_notes(exif: bytes) -> bytes | None:
    parsed = Image.Exif()
    with quiet_pillow(), suppress(*EXIF_ERRORS):
        parsed.load(EXIF_HEADER + exif)
        parsed.get_ifd(EXIF_IFD).pop(_MAKER_NOTE, None)
        return bare_exif(parsed.tobytes())
    return None


_START = b"\xff\xd8"
_JFIF_MARKER, _IPTC_MARKER, _COMMENT_MARKER = b"\xff\xe0", b"\xff\xed", b"\xff\xfe"
_JFIF, _IPTC = b"JFIF\x00", b"Photoshop 3.0\x00"
_JFIF_BYTES = 18
"""Length of the JFIF segment that libjpeg writes, with its marker and length field."""
_DENSITY = slice(11, 16)
"""Bytes of the density in it: the unit, and pixels per unit in each direction."""


def kept_segments(found: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the segments that hold the density, Photoshop's IPTC block, and comments.

    Args:
        found: names and contents of the segments, as Pillow lists them.
    """
    header, kept = b"", []
    for name, content in found:
        if name == "APP0" and content.startswith(_JFIF) and len(content) >= 12 and not header:
            # Without the thumbnail.
            header = _segment(_JFIF_MARKER, content[:12] + b"\x00\x00")
        elif name == "APP13" and content.startswith(_IPTC):
            kept.append(_segment(_IPTC_MARKER, content))
        elif name == "COM":
            kept.append(_segment(_COMMENT_MARKER, content))
    return b"".join([header, *kept])


def _with_segments(jpeg: bytes, segments: bytes) -> bytes:
    """Return a JPEG written by libjpeg with ``kept_segments`` of another file inserted.

    They follow EXIF, which readers expect first.
    """
    if not segments or jpeg[2:4] != _JFIF_MARKER:
        return jpeg
    header, others = jpeg[2 : 2 + _JFIF_BYTES], segments
    if segments[:2] == _JFIF_MARKER:
        header = header[: _DENSITY.start] + segments[_DENSITY] + header[_DENSITY.stop :]
        others = segments[_JFIF_BYTES:]
    end = 2 + _JFIF_BYTES
    while jpeg[end] == 0xFF and 0xE0 <= jpeg[end + 1] <= 0xEF:
        end += 2 + int(struct.unpack_from(">H", jpeg, end + 2)[0])
    return b"".join([_START, header, jpeg[2 + _JFIF_BYTES : end], others, jpeg[end:]])


def _segment(marker: bytes, content: bytes) -> bytes:
    return marker + struct.pack(">H", len(content) + 2) + content
