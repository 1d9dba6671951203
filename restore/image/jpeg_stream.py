"""JPEG streams taken apart: segments, quantisation tables, and what follows the end marker.

ITU-T T.81, annex B. Coded pixels are copied where they are unchanged, and tables taken over where
they are fine enough, so that a result is not coded worse than its input.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Coded",
    "Segment",
    "Tables",
    "coded_of",
    "end_of_stream",
    "fine_tables",
    "header_segments",
    "segment",
    "without_metadata",
]

_START, _END, _SCAN, _TABLES = 0xD8, 0xD9, 0xDA, 0xDB
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_COMMENT, _ADOBE = 0xFE, 0xEE
_APPLICATION = range(0xE0, 0xF0)
# A marker in coded data: neither a stuffed byte, nor a restart, nor filling.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}

# Sums of the tables of annex K of T.81 at quality 90, as libjpeg scales them.
_SUM_OF_LUMA_90, _SUM_OF_CHROMA_90 = 736, 1110
"""Tables of no larger sum are at least as fine."""


class Segment(NamedTuple):
    """A segment of a header: its marker, and where it is, marker and length included."""

    marker: int
    start: int
    stop: int


@dataclass(frozen=True)
class Tables:
    """How a stream quantises.

    Attributes:
        quantisation: Tables of the components, without repetitions of the last, as Pillow takes
            them.
        sampling: Chroma subsampling, as Pillow takes it.
    """

    quantisation: tuple[list[int], ...]
    sampling: str


@dataclass(frozen=True)
class Coded:
    """The stream that a picture was decoded from.

    Attributes:
        stream: From its start to its end marker.
        checksum: Of some rows of the picture's pixels, to tell quickly that they have changed.
    """

    stream: bytes
    checksum: int

    def may_hold(self, pixels: NDArray[np.float32]) -> bool:
        """Return False if the stream certainly does not decode to these pixels."""
        return self.checksum == _checksum(pixels)


_ROWS = 16
"""One row of so many is in the checksum."""


def coded_of(stream: bytes, pixels: NDArray[np.float32]) -> Coded:
    """Return a stream that decodes to ``pixels``."""
    return Coded(stream, _checksum(pixels))


def _checksum(pixels: NDArray[np.float32]) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels[:, ::_ROWS]).tobytes())


def segment(marker: int, content: bytes) -> bytes:
    """Return a segment."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def header_segments(data: bytes, start: int = 2) -> Iterator[Segment]:
    """Yield the segments up to the first scan, and that as the last one.

    Args:
        data: A stream from its start marker on, or segments alone.
        start: Where the first segment is.
    """
    position = start
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # filling
            position += 1
            continue
        if marker == _END:
            return
        stop = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        yield Segment(marker, position, min(stop, len(data)))
        if marker == _SCAN:
            return
        position = stop


def end_of_stream(data: bytes) -> int | None:
    """Return where the first picture of a file ends, its end marker included; None if cut short."""
    position = 2
    for each in header_segments(data):
        position = each.stop
    while found := _MARKER.search(data, position):
        if found[0][1] == _END:
            return found.end()
        position = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return None


def without_metadata(stream: bytes) -> tuple[bytes, bytes]:
    """Return the segments of a stream that decoders need, and its scans.

    That is all but applications' segments and comments; Adobe's states the colour transform.
    """
    needed, end = [], len(stream)
    for each in header_segments(stream):
        if each.marker == _SCAN:
            end = each.start
            break
        is_metadata = each.marker in _APPLICATION or each.marker == _COMMENT
        if not is_metadata or each.marker == _ADOBE:
            needed.append(stream[each.start : each.stop])
    return b"".join(needed), stream[end:]


def fine_tables(stream: bytes) -> Tables | None:
    """Return the tables of a stream if they are at least as fine as those of quality 90."""
    found: dict[int, list[int]] = {}
    components: list[tuple[int, int, int]] = []
    for each in header_segments(stream):
        body = stream[each.start + 4 : each.stop]
        if each.marker == _TABLES:
            found |= _quantisation(body)
        elif each.marker in _FRAMES and len(body) >= 6 + 3 * body[5]:
            parts = (body[6 + 3 * index : 9 + 3 * index] for index in range(body[5]))
            components = [(part[1] >> 4, part[1] & 15, part[2]) for part in parts]
    if len(components) not in (1, 3) or any(table not in found for *_, table in components):
        return None
    own = [found[table] for *_, table in components]
    if sum(own[0]) > _SUM_OF_LUMA_90 or any(sum(each) > _SUM_OF_CHROMA_90 for each in own[1:]):
        return None
    while len(own) > 1 and own[-1] == own[-2]:
        own.pop()  # Pillow takes the last one for all further components
    return Tables(tuple(own), _sampling(components))


def _quantisation(body: bytes) -> dict[int, list[int]]:
    """Return the tables in a segment by their numbers, in the order of rows."""
    found, position = {}, 0
    while position < len(body):
        is_wide, number = body[position] >> 4 == 1, body[position] & 15
        size = 128 if is_wide else 64
        values = body[position + 1 : position + 1 + size]
        if len(values) < size:
            break
        stored = struct.unpack(">64H" if is_wide else "64B", values)
        table = [0] * 64
        for place, value in zip(_ZIGZAG, stored, strict=True):
            table[place] = value
        found[number] = table
        position += 1 + size
    return found


# Where each coefficient of the stored order is in rows: along diagonals, there and back.
_ZIGZAG = sorted(
    range(64),
    key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else k % 8),
)


def _sampling(components: list[tuple[int, int, int]]) -> str:
    """Return the chroma subsampling; 4:4:4 where it is an unusual one, which is never worse."""
    (width, height, _), *chroma = components
    if chroma and all((h, v) == (1, 1) for h, v, _ in chroma):
        return _SAMPLINGS.get((width, height), "4:4:4")
    return "4:4:4"
