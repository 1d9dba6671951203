"""What a JPEG can hold of EXIF and XMP: one segment of 64 kilobytes each."""

import logging
from contextlib import suppress

from PIL import Image

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

__all__ = ["exif_for_jpeg", "xmp_for_jpeg"]

_SEGMENT = 65_533
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
_MAKER_NOTE = 0x927C

log = logging.getLogger(__name__)


def exif_for_jpeg(exif: bytes | None) -> bytes | None:
    """Return an EXIF block that fits: without its thumbnail, then without the maker's notes.

    Where that is still too much, what is left says how the picture is to be turned.
    """
    if not exif or _fits(exif):
        return exif
    for what, shorter in (("thumbnail", well_formed_exif), ("maker's notes", _without_notes)):
        block = shorter(exif)
        if block and _fits(block):
            log.warning("EXIF is too long for a JPEG: its %s is left out", what)
            return block
    log.warning("EXIF is too long for a JPEG: it is left out")
    turned = Image.Exif()
    turned[ORIENTATION] = orientation_of(exif)
    return bare_exif(turned.tobytes())


def xmp_for_jpeg(xmp: bytes | None) -> bytes | None:
    """Return an XMP packet if it fits."""
    if xmp and len(_XMP_HEADER) + len(xmp) > _SEGMENT:
        log.warning("XMP is too long for a JPEG: it is left out")
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
