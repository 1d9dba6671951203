"""OpenEXR: scene-linear half and float pictures."""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import OpenEXR

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.exr_attributes import noted_attributes, with_attributes
from restore.image.limits import check_least_bytes
from restore.image.picture import Picture, Transfer
from restore.image.samples import as_half

__all__ = ["Channel", "ExrHeader", "read_exr", "read_exr_header", "write_exr"]

_HALF, _FLOAT = 1, 2


def read_exr(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read gray (Y) or RGB with or without alpha; other channels are refused, not dropped.

    Raises:
        UnsupportedImage: several parts, deep data, sub-sampled or other channels.
        CorruptImage: a damaged header, or a file that is cut short.
        Exception: whatever the library raises on damaged data.
    """
    header = read_exr_header(file)
    check_size(header.width, header.height, len(header.channels))
    colours = _colours(header)
    file.seek(0)
    with OpenEXR.File(file, separate_channels=True) as opened:
        if not opened.parts:  # the binding prints what is wrong, and goes on without the pixels
            raise CorruptImage("has damaged pixels")
        stored = {name: channel.pixels for name, channel in opened.channels().items()}
    pixels = np.empty((len(colours), header.height, header.width), dtype=np.float32)
    for plane, name in zip(pixels, colours, strict=True):
        plane[...] = stored.pop(name)
    alpha = stored["A"].astype(np.float32, copy=False) if "A" in stored else None
    is_half = all(channel.kind == _HALF for channel in header.channels.values())
    return Picture(
        pixels=pixels,
        alpha=alpha,
        alpha_is_premultiplied=alpha is not None,
        bit_depth=16 if is_half else 32,
        is_float=True,
        transfer=Transfer.LINEAR,
        format=ImageFormat.EXR,
        primaries=_primaries(header),
        display_window=_display_window(header),
        notes=noted_attributes(header.stored),
    )


@dataclass(frozen=True)
class Channel:
    """One channel: ``kind`` 0 integer, 1 half, 2 float; sampling 1 means every pixel."""

    kind: int
    x_sampling: int
    y_sampling: int


@dataclass(frozen=True)
class ExrHeader:
    """The part of an OpenEXR header that decides whether and how a file is read.

    Windows are the inclusive corners ``(left, top, right, bottom)``; ``stored`` are the bytes of
    all attributes.
    """

    channels: dict[str, Channel]
    data_window: tuple[int, int, int, int]
    display_window: tuple[int, int, int, int]
    chromaticities: tuple[float, ...]
    stored: bytes

    @property
    def width(self) -> int:
        """Columns of the data window."""
        return self.data_window[2] - self.data_window[0] + 1

    @property
    def height(self) -> int:
        """Rows of the data window."""
        return self.data_window[3] - self.data_window[1] + 1


def _colours(header: ExrHeader) -> list[str]:
    names = header.channels.keys()
    colours = ["R", "G", "B"] if {"R", "G", "B"} <= names else ["Y"]
    if set(names) - {"A"} != set(colours):
        named = ", ".join(name if name.isprintable() else ascii(name) for name in sorted(names))
        raise UnsupportedImage(f"has the channels {named}; RGB, RGBA, Y and YA are read")
    for channel in header.channels.values():
        if channel.kind not in (_HALF, _FLOAT):
            raise UnsupportedImage("has integer channels; half and float are read")
        if (channel.x_sampling, channel.y_sampling) != (1, 1):
            raise UnsupportedImage("has sub-sampled channels; convert it to plain RGB first")
    return colours


def _primaries(header: ExrHeader) -> str:
    """Return the chromaticities as eight numbers (red, green, blue, white; x and y), or ""."""
    values = header.chromaticities
    return " ".join(str(value) for value in values) if any(values) else ""


def _display_window(header: ExrHeader) -> tuple[int, int, int, int] | None:
    """Return the display window relative to the data window, or None where they are equal."""
    if header.display_window == header.data_window:
        return None
    x, y = header.data_window[:2]
    left, top, right, bottom = header.display_window
    return left - x, top - y, right - x, bottom - y


def write_exr(
    picture: Picture,
    encoding: SampleEncoding,
    *,
    attributes: Mapping[str, str | float] | None = None,
) -> bytes:
    """Encode linear ``picture`` as half (16) or float (32) with lossless ZIP compression.

    Args:
        picture: linear light.
        encoding: encoding with 16 or 32 bits per sample.
        attributes: additional header attributes by name.
    """
    names = ["Y"] if picture.channels == 1 else ["R", "G", "B"]
    channels = dict(zip(names, picture.pixels, strict=True))
    if picture.alpha is not None:
        channels["A"] = picture.alpha
    stored = {
        name: np.ascontiguousarray(as_half(plane) if encoding.bit_depth == 16 else plane)
        for name, plane in channels.items()
    }
    header: dict[str, Any] = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
    }
    header |= attributes or {}
    if picture.primaries:
        header["chromaticities"] = tuple(float(value) for value in picture.primaries.split())
    if picture.display_window:
        left, top, right, bottom = picture.display_window
        header["dataWindow"] = _box(-left, -top, picture.width - 1 - left, picture.height - 1 - top)
        header["displayWindow"] = _box(0, 0, right - left, bottom - top)
    buffer = io.BytesIO()
    with OpenEXR.File(header, stored) as file:
        file.write(buffer)
    if picture.format is not ImageFormat.EXR or not picture.notes:
        return buffer.getvalue()
    chunks = -(-picture.height // _ROWS_PER_CHUNK[_ZIP])
    return with_attributes(buffer.getvalue(), picture.notes, chunks)


def _box(left: int, top: int, right: int, bottom: int) -> tuple[Any, Any]:
    return np.array([left, top], np.int32), np.array([right, bottom], np.int32)


# The library can read a header alone, but does not say where the chunk table is. Unless the table
# is checked first, the library prints to standard output when a file is truncated.
_TILED, _DEEP, _MULTIPART = 0x200, 0x800, 0x1000
_MOST_ATTRIBUTES, _MOST_ATTRIBUTE_BYTES = 4096, 16 << 20
_ONE_LEVEL = 0
_ZIP = 3
# Rows per chunk of scan lines by the number of the compression: none, RLE, ZIPS, ZIP, PIZ, PXR24,
# B44, B44A, DWAA, DWAB. Chunks of other compressions are not checked.
_ROWS_PER_CHUNK = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)
# Bytes that a compressed byte yields at most: runs of 128; deflate (PXR24 drops a byte of four);
# Huffman codes with runs of 256; blocks of 16 half samples in 14 or 3 bytes; deflated blocks of 64.
_MOST_DECODED = (1, 64, 1032, 1032, 512, 1376, 3, 11, 1 << 17, 1 << 17)


def read_exr_header(file: BinaryIO) -> ExrHeader:
    """Read the header and check that all chunks lie within the file.

    Raises:
        UnsupportedImage: several parts or deep data.
        CorruptImage: a damaged header, a file that is cut short, or more pixels than it can hold.
    """
    try:
        return _read(file)
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise CorruptImage("has a damaged header") from error


def _read(file: BinaryIO) -> ExrHeader:
    size = file.seek(0, 2)
    file.seek(4)
    (flags,) = struct.unpack("<I", file.read(4))
    if flags & _MULTIPART:
        raise UnsupportedImage("has several parts; split it first")
    if flags & _DEEP:
        raise UnsupportedImage("has deep data; flatten it first")
    start = file.tell()
    attributes = _attributes(file)
    end = file.tell()
    file.seek(start)
    stored = file.read(end - start)
    header = ExrHeader(
        channels=_channels(attributes["channels"]),
        data_window=struct.unpack("<4i", attributes["dataWindow"]),
        display_window=struct.unpack("<4i", attributes["displayWindow"]),
        chromaticities=struct.unpack("<8f", attributes.get("chromaticities", bytes(32))),
        stored=stored,
    )
    if header.width > 0 and header.height > 0:
        count = _chunk_count(header, attributes, flags)
        held = _check_chunks(file, size, count, bool(flags & _TILED)) if count else size
        _check_held(header, attributes["compression"][0], held)
    return header


def _check_held(header: ExrHeader, compression: int, held: int) -> None:
    if compression < len(_MOST_DECODED):
        pixel_bytes = sum(2 if each.kind == _HALF else 4 for each in header.channels.values())
        samplings = [each.x_sampling * each.y_sampling for each in header.channels.values()]
        decoded = header.width * header.height * pixel_bytes / max([1, *samplings])
        check_least_bytes(header.width, header.height, decoded / _MOST_DECODED[compression], held)


def _attributes(file: BinaryIO) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while name := _text(file):
        _text(file)  # the type, which the name implies
        (length,) = struct.unpack("<I", file.read(4))
        value = file.read(length) if length <= _MOST_ATTRIBUTE_BYTES else b""
        if len(value) != length or len(found) == _MOST_ATTRIBUTES:
            raise CorruptImage("has a damaged header")
        found[name] = value
    return found


def _text(file: BinaryIO) -> str:
    """Read a name of up to 255 bytes that ends with a zero."""
    start = file.tell()
    text, end, _ = file.read(256).partition(b"\x00")
    if not end:
        raise CorruptImage("has a damaged header")
    file.seek(start + len(text) + 1)
    return text.decode("latin-1")


def _channels(block: bytes) -> dict[str, Channel]:
    found = {}
    while block[:1] not in (b"\x00", b""):
        name, _, block = block.partition(b"\x00")
        kind, x_sampling, y_sampling = struct.unpack_from("<i4xii", block)
        found[name.decode("latin-1")] = Channel(kind, x_sampling, y_sampling)
        block = block[16:]
    return found


def _chunk_count(header: ExrHeader, attributes: dict[str, bytes], flags: int) -> int:
    """Return how many chunks there must be, 0 if that is not known."""
    if flags & _TILED:
        width, height, mode = struct.unpack("<IIB", attributes["tiles"])
        if not width or not height:
            raise CorruptImage("has a damaged header")
        columns, rows = -(-header.width // width), -(-header.height // height)
        return columns * rows if mode & 15 == _ONE_LEVEL else 0
    compression = attributes["compression"][0]
    if compression >= len(_ROWS_PER_CHUNK):
        return 0
    return -(-header.height // _ROWS_PER_CHUNK[compression])


def _check_chunks(file: BinaryIO, size: int, count: int, is_tiled: bool) -> int:
    """Return the bytes of all chunks; those at one place count once."""
    table = file.read(8 * count)
    if len(table) < 8 * count:
        raise CorruptImage("is cut short")
    leader = struct.Struct("<16xi" if is_tiled else "<4xi")
    first = file.tell()
    held: dict[int, int] = {}
    for (offset,) in struct.iter_unpack("<Q", table):
        if not first <= offset <= size - leader.size:
            raise CorruptImage("is cut short")
        file.seek(offset)
        (length,) = leader.unpack(file.read(leader.size))
        if not 0 <= length <= size - offset - leader.size:
            raise CorruptImage("is cut short")
        held[offset] = length
    return sum(held.values())
