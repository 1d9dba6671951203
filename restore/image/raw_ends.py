"""RAW files that are cut short: data that their own directories place beyond the end.

LibRaw makes up what is missing, often as black.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from restore.image.ifd import Directory, Layout, items_of, layout_of, read_directory

__all__ = ["bytes_missing"]

_STRIPS, _TILES, _JPEG = (273, 279), (324, 325), (513, 514)
_SUB_IFDS = 330
_MOST_DIRECTORIES = 32
_ELSEWHERE = 0xFFFFFFFF
"""Offset of strips in RW2, which says in a tag of its own where they are."""
_ISO_BOX = struct.Struct(">I4s")
_TO_THE_END, _LARGE = 0, 1
_FUJI_MAGIC = b"FUJIFILMCCD-RAW"
_FUJI_PLACES = (84, 92, 100)
"""Where a RAF says offset and length of its preview, metadata and sensor's data."""


def bytes_missing(file: BinaryIO) -> int:
    """Return how many bytes of the largest picture in a RAW file lie beyond its end; 0 for none.

    Directories of TIFF, boxes of CR3 and the header of RAF tell. Other containers have theirs at
    the end, so that LibRaw refuses them.

    Args:
        file: Seekable file.
    """
    size = file.seek(0, 2)
    places = list(_places(file))
    if not places:
        return 0
    start, length = max(places, key=lambda place: place[1])
    return max(0, start + length - size)


def _places(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the offset and the number of bytes of everything that may hold pixels."""
    file.seek(0)
    head = file.read(128)
    if head[4:8] == b"ftyp":
        yield from _boxes(file)
    elif head.startswith(_FUJI_MAGIC):
        if len(head) == 128:
            yield from (struct.unpack_from(">II", head, place) for place in _FUJI_PLACES)
    elif layout := layout_of(file):
        yield from _segments(file, layout)


def _boxes(file: BinaryIO) -> Iterator[tuple[int, int]]:
    place, size = 0, file.seek(0, 2)
    while place < size:
        file.seek(place)
        head = file.read(16).ljust(16, b"\x00")
        length, _ = _ISO_BOX.unpack_from(head)
        if length == _LARGE:
            (length,) = struct.unpack_from(">Q", head, 8)
        if length == _TO_THE_END or length < _ISO_BOX.size:
            return
        yield place, length
        place += length


def _segments(file: BinaryIO, layout: Layout) -> Iterator[tuple[int, int]]:
    """Yield the strips, tiles or JPEG stream of each directory, and of those below it, as one."""
    waiting, seen = [layout.first], set[int]()
    wanted = {_SUB_IFDS, *_STRIPS, *_TILES, *_JPEG}.__contains__
    while waiting and len(seen) < _MOST_DIRECTORIES:
        place = waiting.pop()
        if place in seen or not place:
            continue
        seen.add(place)
        directory, following = read_directory(file, layout, place, wanted)
        waiting.append(following)
        waiting.extend(_numbers(directory, _SUB_IFDS, layout))
        for offsets, counts in (_STRIPS, _TILES, _JPEG):
            starts, lengths = (_numbers(directory, tag, layout) for tag in (offsets, counts))
            if starts and len(starts) == len(lengths) and _ELSEWHERE not in starts:
                end = max(start + length for start, length in zip(starts, lengths, strict=True))
                yield end - sum(lengths), sum(lengths)


def _numbers(directory: Directory, tag: int, layout: Layout) -> tuple[int, ...]:
    return items_of(directory[tag], layout.order) if tag in directory else ()
