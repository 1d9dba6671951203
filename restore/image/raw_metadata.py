"""EXIF and XMP of RAW files, found in the container of each maker and taken whole.

Makers' notes stay as they are: their offsets count from the start of the block, where the block
puts them again (see ``exif_block``).
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from restore.errors import CorruptImage
from restore.image.ciff import read_ciff
from restore.image.exif_block import MAKER_NOTE, ExifParts, block_of, exif_parts
from restore.image.ifd import ByteOrder, Directory, Entry, ValueType, layout_of, read_directory
from restore.image.isobmff import boxes_in
from restore.image.jpeg_stream import header_segments
from restore.image.metadata import DESCRIPTIVE_TAGS, EXIF_HEADER
from restore.image.shot import Shot, completed_exif

__all__ = ["RawMetadata", "read_raw_metadata"]

_XMP = 700
# Of TIFF/EP (ISO 12234-2), which has them in the first directory; EXIF in one of its own.
_SHOT_TAGS = frozenset(
    {33434, 33437, 34850, 34855, 36867, 36868, *range(37377, 37387), *range(42033, 42038)}
)
_PANASONIC_JPEG = 0x2E
_FUJI_JPEG = 84
_HEAD_BYTES = 1 << 18
_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\x00"
_APP1 = 0xE1
_MOST_BOXES = 64
_MOST_BOX_BYTES = 8 << 20
_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_ADOBE_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_MOST_MINOLTA_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True)
class RawMetadata:
    """What a RAW file says beside its samples.

    Attributes:
        exif: EXIF block, or None.
        xmp: XMP packet, or None.
    """

    exif: bytes | None = None
    xmp: bytes | None = None


def read_raw_metadata(file: BinaryIO) -> RawMetadata:
    """Return EXIF and XMP of a RAW file of any maker; what is damaged is left out."""
    file.seek(0)
    head = file.read(16)
    if head.startswith(b"FUJIFILMCCD-RAW"):
        return _of_fuji(file)
    if head.startswith(b"\x00MRM"):
        return _of_minolta(file)
    if head[6:14] == b"HEAPCCDR":
        return _with(RawMetadata(), read_ciff(file))
    if head[4:8] == b"ftyp":
        return _of_canon(file)
    return _of_panasonic(file) if head.startswith(b"IIU\x00") else _of_tiff(file)


def _with(found: RawMetadata, shot: Shot) -> RawMetadata:
    return replace(found, exif=completed_exif(found.exif, shot))


def _of_tiff(file: BinaryIO) -> RawMetadata:
    """Return the metadata of the first directory, what TIFF/EP has in it moved to EXIF's place."""
    wanted = DESCRIPTIVE_TAGS | _SHOT_TAGS | {_XMP}
    parts = exif_parts(file, None, wanted.__contains__)
    if parts is None:
        return RawMetadata()
    main = {tag: entry for tag, entry in parts.main.items() if tag in DESCRIPTIVE_TAGS}
    shot = {tag: entry for tag, entry in parts.main.items() if tag in _SHOT_TAGS}
    xmp = parts.main[_XMP].data.rstrip(b"\x00") if _XMP in parts.main else None
    block = block_of(replace(parts, main=main, details=shot | parts.details))
    return RawMetadata(exif=block, xmp=xmp or None)


def _of_panasonic(file: BinaryIO) -> RawMetadata:
    """Return the metadata of the JPEG in a file, which has the maker's notes, or its own."""
    own, layout = _of_tiff(file), layout_of(file)
    if layout is None:
        return own
    found, _ = read_directory(file, layout, layout.first, _PANASONIC_JPEG.__eq__)
    jpeg = _of_jpeg(found[_PANASONIC_JPEG].data) if _PANASONIC_JPEG in found else RawMetadata()
    return RawMetadata(exif=jpeg.exif or own.exif, xmp=jpeg.xmp or own.xmp)


def _of_fuji(file: BinaryIO) -> RawMetadata:
    file.seek(_FUJI_JPEG)
    (place,) = struct.unpack(">I", file.read(4).ljust(4, b"\x00"))
    file.seek(place)
    return _of_jpeg(file.read(_HEAD_BYTES))


def _of_jpeg(data: bytes) -> RawMetadata:
    exif = xmp = None
    if data.startswith(b"\xff\xd8"):
        for each in header_segments(data[:_HEAD_BYTES]):
            content = data[each.start + 4 : each.stop]
            if each.marker == _APP1 and content.startswith(EXIF_HEADER):
                exif = exif or content.removeprefix(EXIF_HEADER)
            elif each.marker == _APP1 and content.startswith(_XMP_HEADER):
                xmp = xmp or content.removeprefix(_XMP_HEADER)
    return RawMetadata(exif=exif or None, xmp=xmp or None)


def _of_minolta(file: BinaryIO) -> RawMetadata:
    """Return the metadata of the TIFF in the block TTW."""
    file.seek(4)
    size = int.from_bytes(file.read(4), "big")
    blocks = file.read(min(size, _MOST_MINOLTA_BYTES))
    place = 0
    while place + 8 <= len(blocks):
        length = int.from_bytes(blocks[place + 4 : place + 8], "big")
        if blocks[place : place + 4] == b"\x00TTW":
            return _of_tiff(io.BytesIO(blocks[place + 8 : place + 8 + length]))
        place += 8 + length
    return RawMetadata()


def _of_canon(file: BinaryIO) -> RawMetadata:
    """Return the metadata of a CR3: four TIFFs in one box, XMP in another."""
    exif = xmp = None
    for kind, body in _large_boxes(file):
        if kind == b"moov":
            exif = exif or _of_movie(body)
        elif kind == b"uuid" and body.startswith(_ADOBE_XMP):
            xmp = xmp or body[len(_ADOBE_XMP) :].strip(b"\x00")
    return RawMetadata(exif=exif, xmp=xmp or None)


def _large_boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the boxes moov and uuid of a file, whose other boxes may be larger than memory."""
    place = 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        skipped = 8
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
            skipped = 16
        if size < skipped:  # to the end of the file, or damaged
            return
        if kind in (b"moov", b"uuid") and size <= _MOST_BOX_BYTES:
            file.seek(place + skipped)
            yield kind, file.read(size - skipped)
        place += size


def _of_movie(movie: bytes) -> bytes | None:
    """Return the block in the box moov: main, Exif, maker's and GPS directory, each a TIFF."""
    try:
        canon = next(
            body[len(_CANON) :]
            for kind, body in boxes_in(movie)
            if kind == b"uuid" and body.startswith(_CANON)
        )
        boxes = dict(boxes_in(canon))
    except (CorruptImage, StopIteration, struct.error):
        return None
    main, details, gps = (_directory(boxes.get(kind, b"")) for kind in (b"CMT1", b"CMT2", b"CMT4"))
    if main is None:
        return None
    order, first = main
    shot = details[1] if details and details[0] == order else {}
    note = boxes.get(b"CMT3", b"")
    layout = layout_of(io.BytesIO(note))
    if layout and layout.order == order and layout.first == 8:
        # Its offsets count from the header of its own TIFF: a note at offset 8 needs no others.
        shot[MAKER_NOTE] = Entry(ValueType.UNDEFINED, len(note) - 8, note[8:], 8)
    return block_of(ExifParts(order, first, shot, gps[1] if gps and gps[0] == order else {}))


def _directory(tiff: bytes) -> tuple[ByteOrder, Directory] | None:
    parts = exif_parts(io.BytesIO(tiff))
    return (parts.order, parts.main) if parts else None
