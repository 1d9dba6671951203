"""The name that a capture's file has for the optical element that it went through."""

import io
import re
from dataclasses import replace

from restore.errors import InputError
from restore.image.codecs import ImageFormat
from restore.image.exif_block import ExifParts, block_of, exif_parts
from restore.image.exr_attributes import text_of_notes
from restore.image.ifd import ValueType, entry_of
from restore.image.picture import Picture

__all__ = ["ELEMENT_ATTRIBUTE", "check_capture", "exif_with_element", "stated_element"]

ELEMENT_ATTRIBUTE = "imrestoreElement"
"""Attribute of an EXR file that names the element that a capture went through.

Other formats say ``imrestoreElement=NAME`` in the tag ImageDescription of TIFF and EXIF.
"""

_IMAGE_DESCRIPTION = 0x010E
_STATED = re.compile(rb"\b%s=(\w{1,64})" % ELEMENT_ATTRIBUTE.encode())


def stated_element(picture: Picture) -> str:
    """Return the name of the element that a file says its capture went through, or ""."""
    if picture.format is ImageFormat.EXR:
        return text_of_notes(picture.notes, ELEMENT_ATTRIBUTE)
    found = _STATED.search(_description(_parts(picture.exif)))
    return found[1].decode("ascii", "replace") if found else ""


def exif_with_element(exif: bytes | None, name: str) -> bytes | None:
    """Return an EXIF block whose ImageDescription ends with the name of an element.

    Args:
        exif: Block of the capture, or None.
        name: Name of the element.
    """
    parts = _parts(exif)
    earlier = _STATED.sub(b"", _description(parts)).rstrip(b" ;")
    text = b"; ".join(filter(None, (earlier, f"{ELEMENT_ATTRIBUTE}={name}".encode())))
    entry = entry_of(ValueType.ASCII, text + b"\0", parts.order)
    return block_of(replace(parts, main=parts.main | {_IMAGE_DESCRIPTION: entry}))


def _parts(exif: bytes | None) -> ExifParts:
    return (exif_parts(io.BytesIO(exif)) if exif else None) or ExifParts("<")


def _description(parts: ExifParts) -> bytes:
    entry = parts.main.get(_IMAGE_DESCRIPTION)
    return entry.data.rstrip(b"\0") if entry else b""


def check_capture(picture: Picture, name: str | None, weights: str) -> None:
    """Refuse a capture that names another element than the weights'.

    Args:
        picture: the capture.
        name: name of the weights' element, or None if it is not known.
        weights: what the weights are called.

    Raises:
        InputError: names both.
    """
    if name is None:
        return
    stated = stated_element(picture)
    if stated and stated != name:
        raise InputError(
            f"was captured through the element {stated}, and {weights} was trained for {name}; "
            "use the weights of its element"
        )
