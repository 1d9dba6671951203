"""Items and properties of ISO base media files (AVIF, HEIF): reading them, and adding some.

ISO/IEC 14496-12 describes boxes, ISO/IEC 23008-12 items and their properties.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from restore.errors import CorruptImage

__all__ = ["Item", "Items", "box", "boxes_in", "full_box", "read_items", "with_items"]

_MOST_ITEMS = 10_000
_PICTURES = (b"av01", b"hvc1", b"grid")


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item beside the picture, such as EXIF.

    Attributes:
        kind: Type of four letters.
        content_type: MIME type where the kind is ``mime``.
        data: Its bytes.
    """

    kind: bytes
    content_type: bytes = b""
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Items:
    """What a file says about its primary picture.

    Attributes:
        properties: Type and content of each of its properties, in order.
        described_by: Items that refer to it: EXIF, XMP.
    """

    properties: tuple[tuple[bytes, bytes], ...]
    described_by: tuple[Item, ...]

    def property(self, kind: bytes, start: bytes = b"") -> bytes | None:
        """Return the content of the first property of a type that begins so, or None."""
        return next(
            (body for own, body in self.properties if own == kind and body.startswith(start)), None
        )


def box(kind: bytes, body: bytes) -> bytes:
    """Return a box."""
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, body: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    """Return a box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags) + body)


def read_items(data: bytes) -> Items:
    """Return what a file says about its primary picture.

    Raises:
        CorruptImage: boxes that contradict each other.
    """
    try:
        return _Meta(data).items()
    except (struct.error, LookupError) as error:
        raise CorruptImage("has damaged boxes") from error


def with_items(data: bytes, properties: Sequence[bytes], items: Sequence[Item]) -> bytes:
    """Return a file with more properties of its pictures and more items that describe it.

    Args:
        data: File of one picture, and perhaps its alpha, as libavif and libheif write it: all
            items in the file's box mdat.
        properties: Boxes; those that move pixels (irot, imir) apply to alpha, too.
        items: Items that describe the primary picture.
    """
    return _Meta(data).extended(properties, items) if properties or items else data


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and content of each box of a file of boxes, or of a box of boxes.

    Raises:
        CorruptImage: a box is longer than what is left.
    """
    for kind, start, end in _boxes(data):
        yield kind, data[start:end]


def _boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of the content of each box."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = end if size == 0 else start + size
        if stop < body or stop > end:
            raise CorruptImage("is cut short, or has damaged boxes")
        yield kind, body, stop
        start = stop


@dataclass(frozen=True)
class _Place:
    """Where an item lies: its parts in the file or, if ``is_inside``, in the box idat."""

    is_inside: bool
    parts: tuple[tuple[int, int], ...]


class _Meta:
    """The box meta of a file."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        top = {kind: (start, end) for kind, start, end in _boxes(data)}
        self._start, self._end = top[b"meta"]
        self._boxes = {
            kind: (start, end) for kind, start, end in _boxes(data, self._start + 4, self._end)
        }
        self._mdat = top.get(b"mdat")

    def items(self) -> Items:
        primary = self._primary()
        kinds, places = self._kinds(), self._places()
        return Items(
            properties=tuple(self._properties(primary)),
            described_by=tuple(
                Item(kind=kinds[each][0], content_type=kinds[each][1], data=self._content(place))
                for each in self._describing(primary)
                if each in kinds and (place := places.get(each))
            ),
        )

    def extended(self, properties: Sequence[bytes], items: Sequence[Item]) -> bytes:
        kinds, places, primary = self._kinds(), self._places(), self._primary()
        pictures = [each for each, (kind, _) in kinds.items() if kind in _PICTURES]
        new = dict(zip(count(max(kinds) + 1), items, strict=False))
        bodies = {kind: self._data[start:end] for kind, (start, end) in self._boxes.items()}
        version, entries = bodies[b"iinf"][0], bodies[b"iinf"][4 + 2 :]
        if version != 0 or self._mdat is None:
            raise CorruptImage("has boxes of an unknown version")
        entries += b"".join(_entry(each, item) for each, item in new.items())
        bodies[b"iinf"] = struct.pack(">IH", 0, len(kinds) + len(new)) + entries
        references = bodies.get(b"iref", bytes(4))
        references += b"".join(box(b"cdsc", struct.pack(">HHH", each, 1, primary)) for each in new)
        bodies[b"iref"] = references
        bodies[b"iprp"] = self._more_properties(properties, primary, pictures)
        # Offsets depend on the size of what precedes the data, which does not depend on them.
        end, moved = self._mdat[1], 0
        for _ in range(2):
            bodies[b"iloc"] = _locations(places, new, end, moved)
            meta = box(b"meta", bytes(4) + b"".join(box(*each) for each in bodies.items()))
            moved = len(meta) - (self._end - self._start + 8)
        more = b"".join(item.data for item in new.values())
        start, end = self._mdat
        return b"".join(
            [
                *(self._data[: self._start - 8], meta, self._data[self._end : start - 8]),
                *(box(b"mdat", self._data[start:end] + more), self._data[end:]),
            ]
        )

    def _more_properties(
        self, properties: Sequence[bytes], primary: int, pictures: Sequence[int]
    ) -> bytes:
        start, end = self._boxes[b"iprp"]
        inside = {kind: self._data[a:b] for kind, a, b in _boxes(self._data, start, end)}
        first = 1 + sum(1 for _ in _boxes(inside[b"ipco"]))
        inside[b"ipco"] += b"".join(properties)
        associated = self._associations()
        for index, each in enumerate(properties, first):
            moves = each[4:8] in (b"irot", b"imir")
            for picture in pictures if moves else (primary,):
                associated[picture].append(index | (0x80 if moves else 0))
        ipma = struct.pack(">II", 0, len(associated)) + b"".join(
            struct.pack(">HB", each, len(own)) + bytes(own) for each, own in associated.items()
        )
        return box(b"ipco", inside[b"ipco"]) + box(b"ipma", ipma)

    def _reader(self, kind: bytes) -> "_Reader":
        start, end = self._boxes[kind]
        return _Reader(self._data, start, end)

    def _primary(self) -> int:
        reader = self._reader(b"pitm")
        return reader.number(4 if reader.version else 2)

    def _kinds(self) -> dict[int, tuple[bytes, bytes]]:
        """Return kind and MIME type of each item."""
        reader, found = self._reader(b"iinf"), {}
        reader.number(4 if reader.version else 2)
        for _, start, end in _boxes(self._data, reader.position, reader.end):
            entry = _Reader(self._data, start, end)
            if entry.version < 2:
                continue
            each = entry.number(4 if entry.version > 2 else 2)
            entry.number(2)
            kind = entry.take(4)
            texts = entry.take(entry.end - entry.position).split(b"\x00")
            found[each] = kind, texts[1] if kind == b"mime" and len(texts) > 1 else b""
        return found

    def _places(self) -> dict[int, _Place]:
        reader, found = self._reader(b"iloc"), {}
        sizes = reader.number(2)
        of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        for _ in range(min(reader.number(4 if reader.version == 2 else 2), _MOST_ITEMS)):
            each = reader.number(4 if reader.version == 2 else 2)
            is_inside = reader.version > 0 and reader.number(2) & 15 == 1
            reader.number(2)
            base = reader.number(of_base)
            parts = []
            for _ in range(min(reader.number(2), _MOST_ITEMS)):
                if reader.version > 0:
                    reader.number(of_index)
                start = base + reader.number(of_offset)
                parts.append((start, reader.number(of_length)))
            found[each] = _Place(is_inside, tuple(parts))
        return found

    def _content(self, place: _Place) -> bytes:
        start, end = self._boxes[b"idat"] if place.is_inside else (0, len(self._data))
        # Parts of a hostile file may overlap.
        if sum(length for _, length in place.parts) > len(self._data):
            raise CorruptImage("has damaged boxes")
        if any(start + offset + length > end for offset, length in place.parts):
            raise CorruptImage("is cut short")
        return b"".join(
            self._data[start + offset : start + offset + length] for offset, length in place.parts
        )

    def _describing(self, primary: int) -> list[int]:
        if b"iref" not in self._boxes:
            return []
        reader, found = self._reader(b"iref"), []
        size = 4 if reader.version else 2
        for kind, start, end in _boxes(self._data, reader.position, reader.end):
            if kind != b"cdsc":
                continue
            reference = _Reader(self._data, start, end, is_full=False)
            each = reference.number(size)
            others = min(reference.number(2), _MOST_ITEMS)
            if primary in [reference.number(size) for _ in range(others)]:
                found.append(each)
        return found

    def _properties(self, item: int) -> Iterator[tuple[bytes, bytes]]:
        start, end = self._boxes[b"iprp"]
        inside = {kind: (a, b) for kind, a, b in _boxes(self._data, start, end)}
        every = list(_boxes(self._data, *inside[b"ipco"]))
        for index in self._associations().get(item, []):
            number = index & ~0x80
            if 0 < number <= len(every):
                kind, a, b = every[number - 1]
                yield kind, self._data[a:b]

    def _associations(self) -> dict[int, list[int]]:
        """Return the properties of each item, numbered from 1, 0x80 added to essential ones."""
        start, end = self._boxes[b"iprp"]
        found: dict[int, list[int]] = {}
        for kind, a, b in _boxes(self._data, start, end):
            if kind != b"ipma":
                continue
            reader = _Reader(self._data, a, b)
            for _ in range(min(reader.number(4), _MOST_ITEMS)):
                each = reader.number(4 if reader.version else 2)
                own = found.setdefault(each, [])
                for _ in range(reader.number(1)):
                    if reader.flags & 1:
                        wide = reader.number(2)
                        own.append((wide & 0x7F) | wide >> 8 & 0x80)
                    else:
                        own.append(reader.number(1))
        return found


class _Reader:
    """Reads numbers from the content of a box."""

    def __init__(self, data: bytes, start: int, end: int, *, is_full: bool = True) -> None:
        self._data, self.position, self.end = data, start, end
        word = self.number(4) if is_full else 0
        self.version, self.flags = word >> 24, word & 0xFFFFFF

    def take(self, size: int) -> bytes:
        if self.position + size > self.end:
            raise CorruptImage("has damaged boxes")
        self.position += size
        return self._data[self.position - size : self.position]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")


def _entry(each: int, item: Item) -> bytes:
    content_type = item.content_type + b"\x00" if item.kind == b"mime" else b""
    body = struct.pack(">HH4s", each, 0, item.kind) + b"\x00" + content_type
    # Hidden: no picture to be shown.
    return full_box(b"infe", body, version=2, flags=1)


def _locations(places: dict[int, _Place], new: dict[int, Item], end: int, moved: int) -> bytes:
    """Return the content of iloc: what was there before, ``moved``, and new items after ``end``."""
    if any(place.is_inside for place in places.values()):
        raise CorruptImage("has items in the box idat")
    entries = {each: place.parts for each, place in places.items()}
    for each, item in new.items():
        entries[each] = ((end, len(item.data)),)
        end += len(item.data)
    result = struct.pack(">IHH", 0, 0x4400, len(entries))
    for each, parts in entries.items():
        result += struct.pack(">HHH", each, 0, len(parts))
        result += b"".join(struct.pack(">II", start + moved, size) for start, size in parts)
    return result
