"""EXIF blocks taken apart and put together again, without a change of the values in them.

Makers' notes hold offsets, most of them counted from the start of the block. A note stays where it
was; where that is not possible, the offsets of notes that are plain directories are moved with it.
"""

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from restore.image.ifd import (
    BYTES_OF_ITEM,
    ByteOrder,
    Directory,
    Entry,
    ValueType,
    directory_bytes,
    layout_of,
    read_directory,
    short_or_long,
    tiff_header,
)
from restore.image.metadata import EXIF_IFD, GPS_IFD

__all__ = [
    "MAKER_NOTE",
    "ExifParts",
    "block_of",
    "directory_block",
    "exif_parts",
    "is_whole",
    "shortened",
]

MAKER_NOTE = 0x927C
"""Tag of the Exif directory."""

_INTEROPERABILITY_IFD = 0xA005
_POINTERS = frozenset({EXIF_IFD, GPS_IFD, _INTEROPERABILITY_IFD})
_HIGHEST_PLACE = 60_000
"""Offset up to which a maker's note keeps its place: a block for a JPEG has 64 kB."""
# Notes that are directories with offsets from the start of the block, and what precedes these.
_NOTE_HEADERS = (
    (b"SONY", 12),
    (b"Panasonic", 12),
    (b"OLYMP\x00", 8),
    (b"EPSON\x00", 8),
    (b"SIGMA\x00", 10),
    (b"FOVEON\x00", 10),
    (b"AOC\x00", 6),
    (b"QVC\x00", 6),
    (b"", 0),
)
_MOST_NOTE_ENTRIES = 512


@dataclass(frozen=True)
class ExifParts:
    """The directories of an EXIF block, without the thumbnail.

    Attributes:
        order: Byte order, ``<`` or ``>``.
        main: First directory, without pointers.
        details: Exif directory.
        gps: GPS directory.
        interoperability: Directory that the Exif directory points to.
    """

    order: ByteOrder
    main: Directory = field(default_factory=dict)
    details: Directory = field(default_factory=dict)
    gps: Directory = field(default_factory=dict)
    interoperability: Directory = field(default_factory=dict)


def exif_parts(
    file: BinaryIO, offset: int | None = None, wanted: Callable[[int], bool] = lambda _tag: True
) -> ExifParts | None:
    """Return the directories of an EXIF block, or those of a TIFF; None without a TIFF header.

    Args:
        file: Seekable file.
        offset: Where the main directory begins; None for the first one.
        wanted: Tells whether to read a tag of the main directory.
    """
    layout = layout_of(file)
    if layout is None:
        return None

    def directory(entries: Directory, tag: int) -> Directory:
        place = short_or_long(entries.get(tag), layout.order)
        return read_directory(file, layout, place)[0] if place else {}

    first = layout.first if offset is None else offset
    main, _ = read_directory(file, layout, first, lambda tag: tag in _POINTERS or wanted(tag))
    details = directory(main, EXIF_IFD)
    return ExifParts(
        order=layout.order,
        main=_without_pointers(main),
        details=_without_pointers(details),
        gps=_without_pointers(directory(main, GPS_IFD)),
        interoperability=_without_pointers(directory(details, _INTEROPERABILITY_IFD)),
    )


def block_of(parts: ExifParts) -> bytes | None:
    """Return an EXIF block of these directories, or None if all are empty."""
    if not (parts.main or parts.details or parts.gps):
        return None
    details = dict(parts.details)
    note = details.get(MAKER_NOTE)
    pinned = note is not None and len(note.data) > 4 and 8 <= note.place <= _HIGHEST_PLACE
    space = _Space(note.place, len(note.data)) if note and pinned else _Space()
    interoperability = _Placed.of(parts.interoperability, space)
    if interoperability:
        details[_INTEROPERABILITY_IFD] = _pointer(0, parts.order)
    gps = _Placed.of(parts.gps, space)
    at = {MAKER_NOTE: note.place} if note and pinned else {}
    exif = _Placed.of(details, space, at)
    main = dict(parts.main)
    main |= {
        tag: _pointer(0, parts.order) for tag, each in ((EXIF_IFD, exif), (GPS_IFD, gps)) if each
    }
    first = _Placed.of(main, space)
    if first is None:
        return None
    pointers = {_INTEROPERABILITY_IFD: interoperability, EXIF_IFD: exif, GPS_IFD: gps}
    block = bytearray(space.end)
    block[:8] = tiff_header(parts.order, first.start)
    for each in (interoperability, gps, exif, first):
        if each:
            _write(block, each, parts.order, pointers)
    return bytes(block)


def directory_block(entries: Directory, order: str) -> bytes:
    """Return one directory with the header of a TIFF, as ``exif_parts`` reads it."""
    space = _Space()
    placed = _Placed.of(entries, space)
    if placed is None:
        return b""
    block = bytearray(space.end)
    block[:8] = tiff_header(order, placed.start)
    _write(block, placed, order, {})
    return bytes(block)


def is_whole(exif: bytes) -> bool:
    """Return whether the directories of a block, and all their values, lie within it."""
    file = io.BytesIO(exif)
    layout = layout_of(file)
    if layout is None or layout.is_big:
        return False
    places, seen = [layout.first], set[int]()
    while places:
        offset = places.pop()
        if offset + 2 > len(exif) or offset in seen:
            return False
        seen.add(offset)
        (count,) = struct.unpack_from(f"{layout.order}H", exif, offset)
        entries, _ = read_directory(file, layout, offset)
        if len(entries) != count:
            return False
        found = (short_or_long(entries.get(tag), layout.order) for tag in _POINTERS)
        places += [place for place in found if place is not None]
    return True


def shortened(exif: bytes, most: int) -> tuple[bytes | None, list[str]]:
    """Return a block of at most so many bytes, and what is not in it any more.

    The thumbnail goes first, then one after another the longest values. Nothing is left of a block
    that cannot be read.
    """
    file = io.BytesIO(exif)
    layout, parts = layout_of(file), exif_parts(file)
    block = block_of(parts) if parts else None
    if layout is None or parts is None or block is None:
        return None, []
    lost = ["thumbnail"] if read_directory(file, layout, layout.first)[1] else []
    while block is not None and len(block) > most:
        parts, name = _without_longest(parts)
        lost.append(name)
        block = block_of(parts)
    return block, lost


def _without_longest(parts: ExifParts) -> tuple[ExifParts, str]:
    directories: dict[str, Directory] = {
        name: getattr(parts, name) for name in ("main", "details", "gps", "interoperability")
    }
    _, name, tag = max(
        (len(entry.data), name, tag)
        for name, directory in directories.items()
        for tag, entry in directory.items()
    )
    directories[name] = {other: entry for other, entry in directories[name].items() if other != tag}
    main, details, gps, interoperability = directories.values()
    rest = ExifParts(parts.order, main, details, gps, interoperability)
    return rest, _NAMES.get(tag, f"tag 0x{tag:04X}")


_NAMES = {
    MAKER_NOTE: "maker's notes",
    0x010E: "description",
    0x9286: "user comment",
    0xC4A5: "print settings",
}


def _without_pointers(directory: Directory) -> Directory:
    return {tag: entry for tag, entry in directory.items() if tag not in _POINTERS}


def _pointer(offset: int, order: str) -> Entry:
    return Entry(ValueType.LONG, 1, struct.pack(f"{order}I", offset))


class _Space:
    """Room in a block, with a part in it that is taken."""

    def __init__(self, start: int = 0, size: int = 0) -> None:
        self._taken = range(start, start + size)
        self._next = 8
        self.end = max(8, start + size)

    def take(self, size: int) -> int:
        """Return the even offset of so many bytes."""
        place = self._next
        if self._taken and place < self._taken.stop and place + size > self._taken.start:
            place = self._taken.stop + self._taken.stop % 2
        self._next = place + size + size % 2
        self.end = max(self.end, self._next)
        return place


@dataclass(frozen=True)
class _Placed:
    """A directory and where it and its values go."""

    entries: Directory
    start: int
    places: Mapping[int, int]

    @classmethod
    def of(
        cls, entries: Directory, space: _Space, fixed: Mapping[int, int] | None = None
    ) -> "_Placed | None":
        if not entries:
            return None
        start = space.take(2 + 12 * len(entries) + 4)
        places = dict(fixed or {})
        for tag, entry in sorted(entries.items()):
            if len(entry.data) > 4 and tag not in places:
                places[tag] = space.take(len(entry.data))
        return cls(entries, start, places)


def _write(
    block: bytearray, placed: _Placed, order: str, pointers: Mapping[int, _Placed | None]
) -> None:
    entries = dict(placed.entries)
    for tag, other in pointers.items():
        if tag in entries and other:
            entries[tag] = _pointer(other.start, order)
    directory = directory_bytes(entries, order, placed.places)
    block[placed.start : placed.start + len(directory)] = directory
    for tag, place in placed.places.items():
        data = entries[tag].data
        if tag == MAKER_NOTE:
            data = _moved_note(entries[tag], place, order)
        block[place : place + len(data)] = data


def _moved_note(note: Entry, place: int, order: str) -> bytes:
    """Return a maker's note for another place in the block.

    Only offsets that point into the note, from the start of the block, are changed.
    """
    data = bytearray(note.data)
    skipped = next(size for name, size in _NOTE_HEADERS if note.data.startswith(name))
    if place == note.place or len(data) < skipped + 2:
        return note.data
    (count,) = struct.unpack_from(f"{order}H", data, skipped)
    if not 0 < count <= _MOST_NOTE_ENTRIES or skipped + 2 + 12 * count > len(data):
        return note.data
    for index in range(count):
        at = skipped + 2 + 12 * index
        kind, items, offset = struct.unpack_from(f"{order}HII", data, at + 2)
        size = items * BYTES_OF_ITEM.get(kind, 0)
        if not size:
            return note.data  # no directory
        if size > 4 and note.place <= offset and offset + size <= note.place + len(data):
            struct.pack_into(f"{order}I", data, at + 8, offset - note.place + place)
    # Canon's end with their own place.
    if len(data) >= 8 and data[-8:] == tiff_header(order, note.place):
        data[-8:] = tiff_header(order, place)
    return bytes(data)
