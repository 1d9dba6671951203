"""EXIF in TIFF: read as one block, and written as the block that it was.

The block goes to the front of the file, where the offsets in it, and in makers' notes, are right as
they are; its Exif and GPS directories become those of the TIFF.
"""

import io
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import tifffile

from restore.image.exif_block import block_of, exif_parts, is_whole
from restore.image.ifd import (
    ByteOrder,
    Directory,
    items_of,
    layout_of,
    read_directory,
    short_or_long,
)
from restore.image.metadata import DESCRIPTIVE_TAGS, EXIF_IFD, GPS_IFD

__all__ = ["FrontExif", "exif_of_tiff", "front_exif"]

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_LONG = 4
# tifffile cannot write directory pointers: unused tags are written as placeholders for them.
_PLACEHOLDERS = {EXIF_IFD: EXIF_IFD - 1, GPS_IFD: GPS_IFD + 1}


def exif_of_tiff(file: BinaryIO, offset: int | None = None) -> bytes | None:
    """Return the descriptive tags of a TIFF, or of a TIFF-based RAW file, as EXIF, or None.

    Args:
        file: The file.
        offset: Where the directory of the picture begins; None for the first one.
    """
    parts = exif_parts(file, offset, DESCRIPTIVE_TAGS.__contains__)
    if parts is None:
        return None
    resolution = [
        items_of(parts.main[tag], parts.order) if tag in parts.main else ()
        for tag in (_X_RESOLUTION, _Y_RESOLUTION)
    ]
    if resolution == [(1, 1), (1, 1)]:  # written where the resolution is unknown
        unknown = (_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT)
        parts = replace(
            parts, main={tag: entry for tag, entry in parts.main.items() if tag not in unknown}
        )
    return block_of(parts)


@dataclass(frozen=True, kw_only=True)
class FrontExif:
    """An EXIF block to be written at the front of a TIFF.

    Attributes:
        block: The block, or b"".
        order: Its byte order, which the TIFF must have, too.
        main: Its first directory.
        pointers: Offsets of its Exif and GPS directories by ``EXIF_IFD`` and ``GPS_IFD``.
    """

    block: bytes = b""
    order: ByteOrder = "<"
    main: Directory = field(default_factory=dict)
    pointers: Mapping[int, int] = field(default_factory=dict)

    def begin(self, file: BinaryIO) -> None:
        """Write the block to a file that holds the header of a TIFF only."""
        file.seek(0, os.SEEK_END)
        file.write(self.block[8:])

    @property
    def places(self) -> list[tuple[int, int, int, int, bool]]:
        """Tags for tifffile that ``finish`` will turn into pointers."""
        return [(_PLACEHOLDERS[code], _LONG, 1, 0, True) for code in self.pointers]

    def finish(self, file: BinaryIO) -> None:
        """Turn the placeholders in a complete TIFF into pointers."""
        if not self.pointers:
            return
        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            page: Any = tiff.pages.first
            entries = {code: page.tags[_PLACEHOLDERS[code]].offset for code in self.pointers}
        for code, entry in entries.items():
            file.seek(entry)
            file.write(struct.pack(f"{self.order}HHII", code, _LONG, 1, self.pointers[code]))


def front_exif(exif: bytes | None, order: ByteOrder = "<") -> FrontExif:
    """Return an EXIF block for the front of a TIFF.

    Of a block that is cut short, what lies in it is put together anew: in the TIFF, other data
    would lie where its offsets point to.

    Args:
        exif: EXIF block, or None.
        order: Byte order where there is no block.
    """
    if not exif:
        return FrontExif(order=order)
    if not is_whole(exif):
        parts = exif_parts(io.BytesIO(exif))
        exif = block_of(parts) if parts else None
        if not exif:
            return FrontExif(order=order)
    file = io.BytesIO(exif)
    layout = layout_of(file)
    assert layout is not None  # is_whole or block_of has seen to it
    main, _ = read_directory(file, layout, layout.first)
    pointers = {tag: short_or_long(main.get(tag), layout.order) for tag in (EXIF_IFD, GPS_IFD)}
    return FrontExif(
        block=exif + bytes(len(exif) % 2),
        order=layout.order,
        main=main,
        pointers={tag: place for tag, place in pointers.items() if place},
    )
