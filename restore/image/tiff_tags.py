"""Tags of a TIFF that say nothing about its samples: kept from TIFF to TIFF, byte for byte."""

import io
import struct
from collections.abc import Collection, Iterable
from typing import Any, BinaryIO

from restore.image.exif_block import directory_block, exif_parts
from restore.image.ifd import (
    ByteOrder,
    Directory,
    Entry,
    ValueType,
    layout_of,
    read_directory,
    reordered,
)
from restore.image.metadata import DESCRIPTIVE_TAGS
from restore.words import counted

__all__ = [
    "PHOTOSHOP_LAYERS",
    "ExtraTag",
    "extra_tags",
    "lost_tags",
    "names_of_tags",
    "noted_tags",
    "tags_of_notes",
]

ExtraTag = tuple[int, int, int, Any, bool]
"""A tag as tifffile takes it: code, type, count, value or its bytes, that it is written once."""

# How samples are stored, and what a picture states about their values; pointers to directories;
# orientation, XMP and profile, which are fields of a picture.
_OTHERWISE = frozenset(
    {
        *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279),
        *(280, 281, 284, 288, 289, 290, 291, 292, 293, 301, 317, 320, 321),
        *(322, 323, 324, 325, 326, 327, 328, 330, 332, 333, 334, 336, 338, 339, 340, 341, 342),
        *(347, 351, 400, *range(512, 522), 529, 530, 531, 532, 559, 700, 32997, 32998),
        *(34665, 34675, 34853, 40965),
    }
)
_RESOLUTION = frozenset({282, 283, 296})
PHOTOSHOP_LAYERS = 37724
"""Tag of ImageSourceData."""

# Offsets of directories, and numbers that only a BigTIFF has.
_UNMOVABLE = (ValueType.IFD, ValueType.IFD8, ValueType.LONG8, ValueType.SLONG8)
_FRACTIONS = {ValueType.RATIONAL: "I", ValueType.SRATIONAL: "i"}
_NAMES = {
    33723: "IPTC",
    34377: "Photoshop settings",
    285: "page name",
    PHOTOSHOP_LAYERS: "Photoshop layers",
    **dict.fromkeys((33550, 33920, 33922, 34264, 34735, 34736, 34737), "GeoTIFF"),
    **dict.fromkeys((42112, 42113), "GDAL"),
}


def noted_tags(file: BinaryIO, offset: int, *, has_layers: bool) -> bytes:
    """Return ``Picture.notes`` of a TIFF: the tags that are neither told elsewhere nor in its EXIF.

    Args:
        file: The TIFF.
        offset: Where the directory of the picture begins.
        has_layers: Whether there are Photoshop's layers, which show the pixels as they were; they
            are not kept, but ``lost_tags`` names them.
    """
    layout = layout_of(file)
    if layout is None:
        return b""
    left_out = _OTHERWISE | DESCRIPTIVE_TAGS | {PHOTOSHOP_LAYERS}
    kept, _ = read_directory(file, layout, offset, lambda tag: tag not in left_out)
    if has_layers:
        kept[PHOTOSHOP_LAYERS] = Entry(ValueType.UNDEFINED, 1, b"\x00")
    return directory_block(kept, layout.order)


def tags_of_notes(notes: bytes) -> tuple[Directory, ByteOrder]:
    """Return the tags that ``noted_tags`` has stored, and their byte order."""
    parts = exif_parts(io.BytesIO(notes)) if notes else None
    return (parts.main, parts.order) if parts else ({}, "<")


def names_of_tags(tags: Collection[int]) -> list[str]:
    """Return what tags hold, in words for the user."""
    named = dict.fromkeys(_NAMES[tag] for tag in sorted(tags) if tag in _NAMES)
    others = sum(tag not in _NAMES for tag in tags)
    return [*named, *([counted(others, "private TIFF tag")] if others else [])]


def lost_tags(tags: Directory) -> list[str]:
    """Return what of the tags in ``Picture.notes`` no TIFF is given, in words for the user."""
    return names_of_tags([tag for tag, entry in tags.items() if not _is_movable(tag, entry)])


def _is_movable(tag: int, entry: Entry) -> bool:
    return tag != PHOTOSHOP_LAYERS and entry.kind not in _UNMOVABLE


def extra_tags(
    directories: Iterable[tuple[Directory, ByteOrder]], order: ByteOrder
) -> list[ExtraTag]:
    """Return tags for tifffile to write, in another byte order; the first of equal ones counts.

    Args:
        directories: Directories with their byte orders.
        order: Byte order of the file to be written.
    """
    found = {
        tag: reordered(entry, own, order)
        for directory, own in reversed(list(directories))
        for tag, entry in directory.items()
        if tag not in _OTHERWISE and tag not in _RESOLUTION and _is_movable(tag, entry)
    }
    return [(tag, *_written(entry, order), True) for tag, entry in sorted(found.items())]


def _written(entry: Entry, order: ByteOrder) -> tuple[int, int, Any]:
    """Return type, count and value as tifffile takes them: it miscounts fractions in bytes."""
    if entry.kind not in _FRACTIONS:
        return entry.kind, entry.count, entry.data
    numbers = struct.unpack(f"{order}{2 * entry.count}{_FRACTIONS[entry.kind]}", entry.data)
    return entry.kind, entry.count, numbers
