"""The parts of a CZI file (ZISRAW, of Zeiss microscopes): its blocks of pixels and its metadata.

A file consists of segments: 32 bytes of name and sizes, then data. The first one says where the
directory lies, whose entries say of each block where it lies in the file and in the picture: where
its first pixel is along X and Y, and which place it has along the other dimensions. Layout as in
Zeiss's libCZI (https://zeiss.github.io/libczi).
"""

import io
import math
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage

__all__ = ["Block", "CziParts", "PixelType", "decoded", "read_parts"]

_HEADER = struct.Struct("<16sqq")
_FILE = struct.Struct("<ii8s16s16siqqiq")
_ENTRY = struct.Struct("<2siqiiB5si")
_DIMENSION = struct.Struct("<4siifi")
_DIRECTORY_BYTES, _METADATA_BYTES, _BLOCK_BYTES = 128, 256, 256
_MOST_BLOCKS = 1 << 20
_MOST_DIMENSIONS = 16
_MOST_XML = 1 << 25
_DISTANCE = re.compile(rb'<Distance Id="([XYZ])"(?=(.{0,500}))', re.DOTALL)
_VALUE = re.compile(rb"<Value>\s{0,9}([-+.\deE]{1,40})\s{0,9}</Value>")
_MOST_DISTANCES = 64
_METRES_PER_MICROMETRE = 1e-6


@dataclass(frozen=True)
class PixelType:
    """How pixels are stored: their dtype and their samples, blue before red."""

    dtype: str
    samples: int


_PIXEL_TYPES = {
    0: PixelType("<u1", 1), 1: PixelType("<u2", 1), 2: PixelType("<f4", 1),
    3: PixelType("<u1", 3), 4: PixelType("<u2", 3), 8: PixelType("<f4", 3),
    9: PixelType("<u1", 4),
}  # fmt: skip
_RAW, _JPEG_XR, _ZSTD, _ZSTD_HEADED = 0, 4, 5, 6
"""Compressions; Zeiss's own library reads no others."""


@dataclass(frozen=True)
class Block:
    """One rectangle of one plane.

    Attributes:
        left, top: its place in the picture, in pixels from any origin.
        width, height: its size in pixels.
        place: where it lies along each other dimension, by the dimension's letter.
        kind: how pixels are stored.
        compression: how they are compressed.
        position: where the block lies in the file.
    """

    left: int
    top: int
    width: int
    height: int
    place: Mapping[str, int]
    kind: PixelType
    compression: int
    position: int


@dataclass(frozen=True)
class CziParts:
    """What a file holds.

    Attributes:
        blocks: blocks of full resolution.
        pixel_size_um: sizes of a pixel in micrometres by axis: X, Y and Z, where they are stated.
        left_out: what else is in the file.
    """

    blocks: list[Block]
    pixel_size_um: Mapping[str, float]
    left_out: tuple[str, ...]


def read_parts(file: BinaryIO) -> CziParts:
    """Read the directory of a file, and no pixels.

    Raises:
        CorruptImage: it is damaged or cut short.
        UnsupportedImage: one of several files, or pixels that are not supported.
        struct.error: it ends early.
    """
    fields = _FILE.unpack(_segment(file, 0, b"ZISRAWFILE", _FILE.size))
    part, directory, metadata, attachments = (fields[index] for index in (5, 6, 7, 9))
    if part:
        raise UnsupportedImage("is one of several CZI files that belong together")
    blocks = _blocks(file, directory)
    xml = _metadata(file, metadata) if metadata else b""
    left_out = ["the metadata of the CZI file but for axes and size of pixels"] if xml else []
    if attachments:
        left_out.append("attachments of the CZI file")
    return CziParts(blocks, dict(_pixel_sizes(xml)), tuple(left_out))


def _segment(file: BinaryIO, position: int, name: bytes, size: int) -> bytes:
    """Return the first ``size`` bytes of a segment's data."""
    if position < 0:
        raise CorruptImage("has a segment before its start")
    file.seek(position)
    found, _, _ = _HEADER.unpack(file.read(_HEADER.size))
    if found.rstrip(b"\0") != name:
        raise CorruptImage(f"has no {name.decode()} where it says")
    data = file.read(size)
    if len(data) < size:
        raise CorruptImage("is cut short")
    return data


def _blocks(file: BinaryIO, position: int) -> list[Block]:
    (count,) = struct.unpack_from(
        "<i", _segment(file, position, b"ZISRAWDIRECTORY", _DIRECTORY_BYTES)
    )
    if not 0 < count <= _MOST_BLOCKS:
        raise CorruptImage(f"says that it has {count:,} blocks of pixels")
    found = (_block(file) for _ in range(count))
    blocks = [block for block in found if block is not None]
    if not blocks:
        raise CorruptImage("has no pixels of full resolution")
    return blocks


def _block(file: BinaryIO) -> Block | None:
    """Return the next entry of the directory; None for a reduced copy of others."""
    schema, pixel_type, position, part, compression, pyramid, _, dimensions = _ENTRY.unpack(
        file.read(_ENTRY.size)
    )
    if schema != b"DV" or not 0 < dimensions <= _MOST_DIMENSIONS:
        raise CorruptImage("has a damaged directory")
    sizes, place = {}, {}
    is_reduced = bool(pyramid)
    for _ in range(dimensions):
        name, start, size, _, stored = _DIMENSION.unpack(file.read(_DIMENSION.size))
        letter = name.rstrip(b"\0").decode("ascii")
        if letter in ("X", "Y"):
            sizes[letter] = (start, size)
            is_reduced |= stored not in (0, size)
        else:
            place[letter] = start
    if part:
        raise UnsupportedImage("is one of several CZI files that belong together")
    if is_reduced:
        return None
    if set(sizes) != {"X", "Y"} or min(size for _, size in sizes.values()) < 1:
        raise CorruptImage("has a block without a size")
    kind = _PIXEL_TYPES.get(pixel_type)
    if kind is None:
        raise UnsupportedImage("has pixels of another type than 8- or 16-bit integers or floats")
    (left, width), (top, height) = sizes["X"], sizes["Y"]
    return Block(left, top, width, height, place, kind, compression, position)


def _metadata(file: BinaryIO, position: int) -> bytes:
    data = _segment(file, position, b"ZISRAWMETADATA", _METADATA_BYTES)
    (size,) = struct.unpack_from("<i", data)
    return file.read(size) if 0 < size <= _MOST_XML else b""


def _pixel_sizes(xml: bytes) -> Iterator[tuple[str, float]]:
    """Yield axes and the sizes of a pixel along them in micrometres, those that make sense."""
    for distance in islice(_DISTANCE.finditer(xml), _MOST_DISTANCES):
        value = _VALUE.search(distance[2].partition(b"</Distance>")[0])
        with suppress(ValueError):
            size = float(value[1]) / _METRES_PER_MICROMETRE if value else 0.0
            if 0 < size < math.inf:
                yield distance[1].decode(), size


def decoded(file: BinaryIO, block: Block) -> NDArray[Any]:
    """Return the pixels of a block, ``[H, W, S]``, red before blue.

    Raises:
        CorruptImage: it is cut short, or holds another number of pixels.
        UnsupportedImage: another compression.
        Exception: whatever imagecodecs raises on damaged data.
    """
    head = _segment(file, block.position, b"ZISRAWSUBBLOCK", 16)
    metadata, _, size = struct.unpack("<iiq", head)
    entry = file.read(_ENTRY.size)
    *_, dimensions = _ENTRY.unpack(entry)
    taken = len(head) + len(entry) + dimensions * _DIMENSION.size
    if metadata < 0 or size < 0 or not 0 < dimensions <= _MOST_DIMENSIONS:
        raise CorruptImage("has a damaged block of pixels")
    start = block.position + _HEADER.size + max(_BLOCK_BYTES, taken) + metadata
    if start + size > file.seek(0, io.SEEK_END):
        raise CorruptImage("is cut short")
    file.seek(start)
    data = file.read(size)
    shape = (block.height, block.width, block.kind.samples)
    pixels = _decompressed(data, block.compression, shape, np.dtype(block.kind.dtype))
    return pixels[..., _swapped(block.kind.samples)]


def _decompressed(
    data: bytes, compression: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    # Into arrays of the stated size, so that no block takes more memory than it says.
    flat = shape if shape[2] > 1 else shape[:2]
    pixels = np.empty(flat, dtype)
    if compression == _JPEG_XR:
        imagecodecs.jpegxr_decode(data, out=pixels)
        # The decoder returns red before blue.
        return pixels.reshape(shape)[..., _swapped(shape[2])]
    is_halved = False
    if compression == _ZSTD_HEADED:
        data, is_halved = _behind_header(data)
    if compression in (_ZSTD, _ZSTD_HEADED):
        data = bytes(imagecodecs.zstd_decode(data, out=pixels.nbytes))
    elif compression != _RAW:
        raise UnsupportedImage(f"is compressed in a way that is not supported ({compression})")
    if len(data) < pixels.nbytes:
        raise CorruptImage("has a block with too few pixels")
    samples = np.frombuffer(data, np.uint8, pixels.nbytes)
    if is_halved:  # all low bytes first, then all high ones
        samples = samples.reshape(2, -1).T.ravel()
    return np.frombuffer(samples.tobytes(), dtype).reshape(shape)


def _swapped(samples: int) -> list[int]:
    """Return the order of samples in which red and blue have changed places."""
    return [2, 1, 0, 3][:samples] if samples > 1 else [0]


def _behind_header(data: bytes) -> tuple[bytes, bool]:
    """Return what follows the header of zstd1, and whether low and high bytes lie apart."""
    size = data[0]
    if size not in (1, 3) or (size == 3 and data[1] != 1):
        raise CorruptImage("has a damaged block of pixels")
    return data[size:], size == 3 and bool(data[2] & 1)
