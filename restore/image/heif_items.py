"""What AVIF and HEIF say of a picture beside its pixels: colours, EXIF, XMP, orientation."""

import struct
from dataclasses import replace

from restore.image.cicp import Cicp
from restore.image.isobmff import Item, Items, box
from restore.image.metadata import EXIF_HEADER, orientation_of, with_orientation
from restore.image.picture import Picture
from restore.image.stated import with_stated_primaries
from restore.image.xmp import xmp_with_orientation

__all__ = [
    "cicp_of",
    "described",
    "exif_of_item",
    "items_of",
    "orientation_of_items",
    "properties_of",
]

_PROFILES = (b"prof", b"rICC")
_XMP_TYPE = b"application/rdf+xml"
_UNSPECIFIED = 2


def described(picture: Picture, items: Items) -> Picture:
    """Return a picture with the colour space and the metadata that its file states.

    Its orientation is set already, and replaces that of EXIF and XMP, unless the boxes say nothing
    of it and EXIF does: so converters from JPEG wrote it.
    """
    icc = next((profile for name in _PROFILES if (profile := items.property(b"colr", name))), None)
    exif = next(
        (exif_of_item(each.data) for each in items.described_by if each.kind == b"Exif"), b""
    )
    if not (items.property(b"irot") or items.property(b"imir")):
        picture = replace(picture, orientation=orientation_of(exif))
    xmp = next((each.data for each in items.described_by if each.content_type == _XMP_TYPE), None)
    picture = replace(
        picture,
        icc=icc[4:] if icc else None,
        cicp=cicp_of(items.property(b"colr", b"nclx")),
        exif=with_orientation(exif, picture.orientation) or None,
        xmp=xmp_with_orientation(xmp, picture.orientation) or None,
    )
    return with_stated_primaries(picture)


def properties_of(picture: Picture) -> list[bytes]:
    """Return boxes of the profile and the orientation."""
    profile = [box(b"colr", b"prof" + picture.icc)] if picture.icc else []
    return profile + _turning(picture.orientation)


def items_of(picture: Picture) -> list[Item]:
    """Return items of EXIF and XMP."""
    items = []
    if picture.exif:
        # An offset to the header of TIFF comes first.
        exif = with_orientation(picture.exif, picture.orientation)
        items.append(Item(kind=b"Exif", data=bytes(4) + exif))
    if xmp := xmp_with_orientation(picture.xmp, picture.orientation):
        items.append(Item(kind=b"mime", content_type=_XMP_TYPE, data=xmp))
    return items


def cicp_of(colr: bytes | None) -> Cicp | None:
    """Return the code points in the content of a colr box of type nclx, or None."""
    if colr is None or len(colr) < 11:
        return None
    primaries, transfer, matrix, flags = struct.unpack_from(">HHHB", colr, 4)
    if primaries == transfer == _UNSPECIFIED:
        return None
    return Cicp(primaries, transfer, matrix, bool(flags & 0x80))


def exif_of_item(data: bytes) -> bytes:
    """Return the EXIF block in an item: behind an offset, and perhaps the header of JPEG."""
    if len(data) < 4:
        return b""
    (offset,) = struct.unpack_from(">I", data)
    is_prefixed = data[4:].startswith(EXIF_HEADER)
    return data[4 + (len(EXIF_HEADER) if is_prefixed else offset) :]


# Quarter turns against the clock, and the axis of the mirror that follows, of each orientation.
_TURNS: dict[int, tuple[int, int | None]] = {
    1: (0, None),
    2: (0, 1),
    3: (2, None),
    4: (0, 0),
    5: (1, 0),
    6: (3, None),
    7: (3, 0),
    8: (1, None),
}
# The same eight, where a file says it in the other of two ways.
_ORIENTATIONS = {turn: each for each, turn in _TURNS.items()} | {
    (1, 1): 7,
    (2, 0): 2,
    (2, 1): 4,
    (3, 1): 5,
}


def orientation_of_items(items: Items) -> int:
    """Return the orientation 1..8 that the properties irot and imir mean together."""
    turn, mirror = items.property(b"irot"), items.property(b"imir")
    return _ORIENTATIONS[turn[0] & 3 if turn else 0, mirror[0] & 1 if mirror else None]


def _turning(orientation: int) -> list[bytes]:
    turn, axis = _TURNS[orientation]
    boxes = [box(b"irot", bytes((turn,)))] if turn else []
    return boxes if axis is None else [*boxes, box(b"imir", bytes((axis,)))]
