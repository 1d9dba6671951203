"""EXIF in TIFF: read as one block, and written as text tags and separate directories."""

import io
import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from restore.image.metadata import (
    DESCRIPTIVE_TAGS,
    EXIF_ERRORS,
    EXIF_IFD,
    GPS_IFD,
    bare_exif,
    movable_entries,
    quiet_pillow,
)

__all__ = [
    "ExtraTag",
    "append_directories",
    "descriptive_texts",
    "directory_places",
    "exif_of_tiff",
]

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296


def exif_of_tiff(file: BinaryIO) -> bytes | None:
    """Return the descriptive tags of a TIFF, or of a TIFF-based RAW file, as EXIF, or None."""
    file.seek(0)
    with quiet_pillow():
        try:
            stored = Image.Exif()
            stored.load_from_fp(file)
            block = Image.Exif()
            for tag, value in movable_entries(stored).items():
                if tag in DESCRIPTIVE_TAGS:
                    block[tag] = value
            for pointer in (EXIF_IFD, GPS_IFD):
                directory = movable_entries(stored.get_ifd(pointer))
                if directory:
                    block.get_ifd(pointer).update(directory)
            if block.get(_X_RESOLUTION) == block.get(_Y_RESOLUTION) == 1:
                for tag in (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT):
                    block.pop(tag, None)  # written where the resolution is unknown
            return bare_exif(block.tobytes()) if len(block) else None
        except EXIF_ERRORS:
            return None


_ASCII, _LONG = 2, 4
# tifffile cannot write directory pointers: unused tags are written as placeholders for them.
_PLACEHOLDERS = {EXIF_IFD: EXIF_IFD - 1, GPS_IFD: GPS_IFD - 1}


ExtraTag = tuple[int, int, int, Any, bool]
"""A tag as tifffile takes it: code, type, count, value, and that it is written once."""


def descriptive_texts(main: Mapping[int, Any]) -> list[ExtraTag]:
    """Return the texts of a main directory that describe a photograph, as tags for tifffile."""
    texts = ((code, main[code]) for code in sorted(DESCRIPTIVE_TAGS & main.keys()))
    return [
        (code, _ASCII, 0, text, True)
        for code, text in texts
        if text and isinstance(text, str | bytes)
    ]


def directory_places(codes: Iterable[int]) -> list[ExtraTag]:
    """Return tags for tifffile that ``append_directories`` will turn into pointers."""
    return [(_PLACEHOLDERS[code], _LONG, 1, 0, True) for code in codes]


def append_directories(buffer: BinaryIO, directories: Mapping[int, dict[int, Any]]) -> None:
    """Append directories to a classic little-endian TIFF and make their placeholders pointers.

    Args:
        buffer: the file, written with ``directory_places``.
        directories: entries of each directory, tag to value, by ``EXIF_IFD`` or ``GPS_IFD``.
    """
    for code, entries in directories.items():
        _append_directory(buffer, code, entries)


def _append_directory(buffer: BinaryIO, code: int, entries: dict[int, Any]) -> None:
    """Append a directory to a little-endian TIFF and let its placeholder point to it."""
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as tiff:
        page: Any = tiff.pages.first
        entry = page.tags[_PLACEHOLDERS[code]].offset
    start = math.ceil(buffer.seek(0, io.SEEK_END) / 2) * 2
    directory = _serialised(entries, start)
    buffer.write(bytes(start - buffer.tell()))
    buffer.write(directory)
    buffer.seek(entry)
    buffer.write(struct.pack("<HHII", code, _LONG, 1, start))


def _serialised(entries: dict[int, Any], start: int) -> bytes:
    """Return a directory at offset ``start``, without the entries that cannot be written."""
    directory = ImageFileDirectory_v2(ifh=b"II*\x00\x00\x00\x00\x00")
    with quiet_pillow():
        for tag, value in entries.items():
            alone = ImageFileDirectory_v2(ifh=b"II*\x00\x00\x00\x00\x00")
            try:
                alone[tag] = value
                alone.tobytes(start)
            except EXIF_ERRORS:
                continue  # damaged before it came here
            directory[tag] = value
        return directory.tobytes(start)
