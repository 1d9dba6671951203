"""Directories of TIFF and EXIF, with every value in the bytes that are stored.

TIFF 6.0, section 2; BigTIFF as libtiff documents it; EXIF 3.0, section 4.6. Libraries decode values
and encode them again, which costs text that is not ASCII, the byte order of comments, and the place
of makers' notes.
"""

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import BinaryIO, Literal

__all__ = [
    "BYTES_OF_ITEM",
    "ByteOrder",
    "Directory",
    "Entry",
    "Layout",
    "ValueType",
    "directory_bytes",
    "entry_of",
    "items_of",
    "layout_of",
    "numbers_of",
    "read_directory",
    "reordered",
    "short_or_long",
    "tiff_header",
]


ByteOrder = Literal["<", ">"]
"""A byte order as ``struct`` has it."""

_ORDERS: dict[bytes, ByteOrder] = {b"II": "<", b"MM": ">"}


class ValueType:
    """Numbers of the types of values."""

    ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL = 2, 3, 4, 5, 7, 10
    IFD, LONG8, SLONG8, IFD8 = 13, 16, 17, 18


BYTES_OF_ITEM = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Size of one item of every type of values."""

_BYTES_OF_NUMBER = BYTES_OF_ITEM | {ValueType.RATIONAL: 4, ValueType.SRATIONAL: 4}
_NUMBER_CODES = dict(zip((1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 16, 17), "BHIIbhiifdQq", strict=True))
_MOST_ENTRIES = 4096
_MOST_NUMERATOR = 2**31 - 1


@dataclass(frozen=True)
class Entry:
    """One value of a directory.

    Attributes:
        kind: Type, one of ``ValueType`` and others.
        count: Number of items.
        data: Their bytes, in the byte order of the file.
        place: Offset of ``data``.
    """

    kind: int
    count: int
    data: bytes
    place: int = 0


Directory = dict[int, Entry]
"""Entries by their tags."""


@dataclass(frozen=True)
class Layout:
    """How a file stores numbers.

    Attributes:
        order: Byte order.
        is_big: Whether it is a BigTIFF.
        first: Offset of the first directory.
    """

    order: ByteOrder
    is_big: bool
    first: int


def layout_of(file: BinaryIO) -> Layout | None:
    """Return the layout of a file, or of an EXIF block; None if it has no header of TIFF.

    The magic number is not checked: some RAW files have another than 42.
    """
    file.seek(0)
    head = file.read(16)
    order = _ORDERS.get(head[:2])
    if order is None or len(head) < 8:
        return None
    if struct.unpack_from(f"{order}H", head, 2)[0] == 43:
        return Layout(order, True, struct.unpack_from(f"{order}Q", head.ljust(16, b"\x00"), 8)[0])
    return Layout(order, False, struct.unpack_from(f"{order}I", head, 4)[0])


def read_directory(
    file: BinaryIO, layout: Layout, offset: int, wanted: Callable[[int], bool] = lambda _tag: True
) -> tuple[Directory, int]:
    """Return the entries of a directory, and the offset of the next one or 0.

    Entries that are damaged, or whose values lie outside the file, are left out; together, values
    take no more memory than the file is long.

    Args:
        file: Seekable file.
        layout: Its layout.
        offset: Where the directory begins.
        wanted: Tells whether to read a tag.
    """
    count_format, entry_format = ("Q", "HHQ8s") if layout.is_big else ("H", "HHI4s")
    entry = struct.Struct(layout.order + entry_format)
    inline = 8 if layout.is_big else 4
    found: Directory = {}
    try:
        file.seek(offset)
        head = file.read(struct.calcsize(f"={count_format}"))
        (count,) = struct.unpack(layout.order + count_format, head)
        stored = file.read(min(count, _MOST_ENTRIES) * entry.size)
        after = file.read(inline)
    except (struct.error, OSError, OverflowError, ValueError):
        return {}, 0
    budget = file.seek(0, 2)  # values do not overlap, but for hostile ones
    whole = stored[: len(stored) // entry.size * entry.size]
    for index, (tag, kind, items, value) in enumerate(entry.iter_unpack(whole)):
        size = items * BYTES_OF_ITEM.get(kind, 0)
        if not 0 < size <= budget or not wanted(tag) or tag in found:
            continue
        if size <= inline:
            place = offset + len(head) + index * entry.size + entry.size - inline
            data = value[:size]
        else:
            (place,) = struct.unpack(layout.order + ("Q" if layout.is_big else "I"), value)
            data = _bytes_at(file, place, size)
            budget -= len(data)
        if len(data) == size:
            found[tag] = Entry(kind, items, data, place)
    following = int.from_bytes(after, "little" if layout.order == "<" else "big")
    return found, following if len(after) == inline else 0


def _bytes_at(file: BinaryIO, place: int, size: int) -> bytes:
    try:
        file.seek(place)
        return file.read(size)
    except (OSError, OverflowError, ValueError):
        return b""


def items_of(entry: Entry, order: str) -> tuple[int, ...]:
    """Return the whole numbers of an entry; a fraction is two. Empty for floating point."""
    code = {1: "B", 3: "H", 4: "I", 5: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}.get(entry.kind)
    if code is None:
        return ()
    return struct.unpack(
        f"{order}{len(entry.data) // struct.calcsize('=' + code)}{code}", entry.data
    )


def numbers_of(entry: Entry, order: str) -> tuple[float, ...]:
    """Return the numbers of an entry of any type; a fraction over zero is nan."""
    code = _NUMBER_CODES.get(entry.kind)
    if code is None:
        return ()
    count = len(entry.data) // struct.calcsize("=" + code)
    numbers = struct.unpack(f"{order}{count}{code}", entry.data)
    if entry.kind not in (ValueType.RATIONAL, ValueType.SRATIONAL):
        return tuple(map(float, numbers))
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return tuple(above / below if below else math.nan for above, below in pairs)


def entry_of(kind: int, values: Sequence[float] | bytes, order: str) -> Entry:
    """Return an entry of these values.

    Args:
        kind: Type; fractions are written as the nearest ones with a short denominator.
        values: Numbers, or the bytes of text and data.
        order: Byte order.
    """
    if isinstance(values, bytes):
        return Entry(kind, len(values), values)
    numbers: Iterable[float] = values
    if kind in (ValueType.RATIONAL, ValueType.SRATIONAL):
        numbers = (part for value in values for part in _fraction(value))
    whole = _NUMBER_CODES[kind] not in "fd"
    data = b"".join(
        struct.pack(order + _NUMBER_CODES[kind], int(number) if whole else number)
        for number in numbers
    )
    return Entry(kind, len(values), data)


def _fraction(value: float) -> tuple[int, int]:
    value = max(-_MOST_NUMERATOR, min(_MOST_NUMERATOR, value))
    most = min(1_000_000, int(_MOST_NUMERATOR / max(1.0, abs(value))))
    fraction = Fraction(value).limit_denominator(most)
    return fraction.numerator, fraction.denominator


def short_or_long(entry: Entry | None, order: str) -> int | None:
    """Return the only number of an entry, or None where it holds anything else."""
    if entry is None or entry.count != 1:
        return None
    numbers = items_of(entry, order)
    return numbers[0] if len(numbers) == 1 else None


def reordered(entry: Entry, order: str, to: str) -> Entry:
    """Return an entry in another byte order; what has no defined type stays as it is."""
    size = _BYTES_OF_NUMBER[entry.kind]
    if order == to or size == 1:
        return entry
    data = bytearray(len(entry.data))
    for byte in range(size):
        data[byte::size] = entry.data[size - 1 - byte :: size]
    return replace(entry, data=bytes(data))


def tiff_header(order: str, first: int) -> bytes:
    """Return the eight bytes that begin a classic TIFF."""
    return (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, first)


def directory_bytes(
    entries: Mapping[int, Entry], order: str, places: Mapping[int, int], next_offset: int = 0
) -> bytes:
    """Return a directory of a classic TIFF.

    Args:
        entries: Entries of the directory.
        order: Byte order of their values and of the directory.
        places: Offset of every value of more than four bytes, by tag.
        next_offset: Offset of the directory that follows.
    """
    parts = [struct.pack(f"{order}H", len(entries))]
    for tag in sorted(entries):
        entry = entries[tag]
        is_inline = len(entry.data) <= 4
        value = entry.data.ljust(4, b"\x00") if is_inline else struct.pack(f"{order}I", places[tag])
        parts.append(struct.pack(f"{order}HHI", tag, entry.kind, entry.count) + value)
    return b"".join([*parts, struct.pack(f"{order}I", next_offset)])
