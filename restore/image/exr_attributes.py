"""Attributes of an OpenEXR header that say nothing about its samples: kept byte for byte.

The library writes the types that its Python binding knows; here they are put into a file that is
written already (OpenEXR, "File Layout"), whatever their type.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = [
    "geometry_of_notes",
    "names_of_attributes",
    "noted_attributes",
    "text_of_notes",
    "with_attributes",
]

# How samples are stored and what they mean, which the reader and the writer see to.
_OTHERWISE = frozenset(
    {
        *("channels", "compression", "dataWindow", "displayWindow", "lineOrder", "tiles", "type"),
        *("name", "version", "chunkCount", "chromaticities", "dwaCompressionLevel"),
        *("maxSamplesPerPixel", "deepImageState", "multiView", "view"),
    }
)
_PREVIEW = "preview"
_NO_PREVIEW = b"preview\x00preview\x00" + bytes(4)
"""In place of the preview, which shows the picture as it was and is not kept."""

_DEFAULTS = frozenset({"pixelAspectRatio", "screenWindowCenter", "screenWindowWidth"})
"""Attributes that every file has."""
_LONG_NAMES = 0x400
_LONGEST_SHORT_NAME = 31
_HEADER_START = 8


class _Attribute(NamedTuple):
    name: str
    whole: bytes
    """Name, type, length and value as they are stored."""


def noted_attributes(header: bytes) -> bytes:
    """Return ``Picture.notes`` of an OpenEXR file: the attributes to be kept, in order of names.

    Args:
        header: The attributes of the file.
    """
    kept = sorted(each for each in _attributes(header) if each.name not in _OTHERWISE)
    return b"".join(_NO_PREVIEW if each.name == _PREVIEW else each.whole for each in kept)


def text_of_notes(notes: bytes, name: str) -> str:
    """Return the text of an attribute among ``noted_attributes``, or "" if there is none."""
    start = name.encode("latin-1") + b"\x00string\x00"
    for each in _attributes(notes):
        if each.whole.startswith(start):
            return each.whole[len(start) + 4 :].decode("latin-1")
    return ""


def geometry_of_notes(notes: bytes) -> bytes:
    """Return those of ``noted_attributes`` that say how the picture is shown."""
    return b"".join(each.whole for each in _attributes(notes) if each.name in _DEFAULTS)


def names_of_attributes(notes: bytes, *, in_exr: bool = False) -> list[str]:
    """Return what of ``noted_attributes`` another file does not hold, in words for the user.

    Args:
        notes: The attributes.
        in_exr: Whether it is an OpenEXR file, too.
    """
    lost = [
        each.name
        for each in _attributes(notes)
        if each.name == _PREVIEW or not (in_exr or each.whole in _USUAL)
    ]
    return [f"attribute{'s' * (len(lost) > 1)} {', '.join(lost)}"] if lost else []


def with_attributes(exr: bytes, notes: bytes, count: int) -> bytes:
    """Return a file with ``noted_attributes`` of another one; what it says itself counts.

    Args:
        exr: File of one part as the library writes it.
        notes: Attributes.
        count: Number of its chunks.
    """
    own = list(_attributes(exr[_HEADER_START:]))
    end = _HEADER_START + sum(len(each.whole) for each in own)
    given = {each.name: each.whole for each in _attributes(notes)}
    kept = [
        given.pop(each.name, each.whole) if each.name in _DEFAULTS else each.whole for each in own
    ]
    for name in (*(each.name for each in own), _PREVIEW):
        given.pop(name, None)
    attributes = b"".join([*kept, *given.values()])
    moved = _HEADER_START + len(attributes) - end
    (flags,) = struct.unpack_from("<I", exr, 4)
    if any(len(part) > _LONGEST_SHORT_NAME for part in _names(attributes)):
        flags |= _LONG_NAMES
    start = end + 1
    table = struct.unpack_from(f"<{count}Q", exr, start)
    return b"".join(
        [
            *(exr[:4], struct.pack("<I", flags), attributes, b"\x00"),
            struct.pack(f"<{count}Q", *(offset + moved for offset in table)),
            exr[start + 8 * count :],
        ]
    )


def _attributes(header: bytes) -> Iterator[_Attribute]:
    position = 0
    while position < len(header) and header[position]:
        name_end = header.index(b"\x00", position)
        type_end = header.index(b"\x00", name_end + 1)
        (length,) = struct.unpack_from("<I", header, type_end + 1)
        stop = type_end + 5 + length
        yield _Attribute(header[position:name_end].decode("latin-1"), header[position:stop])
        position = stop


def _names(attributes: bytes) -> Iterator[bytes]:
    """Yield the names and types of attributes."""
    for each in _attributes(attributes):
        yield from each.whole.split(b"\x00", 2)[:2]


_USUAL = (
    b"pixelAspectRatio\x00float\x00" + struct.pack("<If", 4, 1),
    b"screenWindowCenter\x00v2f\x00" + struct.pack("<Iff", 8, 0, 0),
    b"screenWindowWidth\x00float\x00" + struct.pack("<If", 4, 1),
)
