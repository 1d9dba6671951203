"""PNG of every bit depth, with its metadata byte for byte; libpng decodes the pixels.

Pillow is not used here: it silently reduces 16-bit colour to 8 bits, and pads a picture whose last
rows are missing.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.cicp import Cicp
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.density import density_of, pixel_size_chunk_body
from restore.image.icc import LONGEST_PROFILE, check_profile
from restore.image.limits import check_least_bytes, too_long
from restore.image.metadata import bare_exif, orientation_of
from restore.image.picture import Picture
from restore.image.png_rows import compressed, filtered_rows
from restore.image.samples import PALETTE_REMARK, depth_remarks, planes
from restore.image.stated import with_stated_primaries

__all__ = ["read_png", "write_png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_GRAY, _RGB, _PALETTE, _GRAY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_BIT_DEPTHS = {
    _GRAY: (1, 2, 4, 8, 16),
    _RGB: (8, 16),
    _PALETTE: (1, 2, 4, 8),
    _GRAY_ALPHA: (8, 16),
    _RGB_ALPHA: (8, 16),
}
_SAMPLES = {_GRAY: 1, _RGB: 3, _PALETTE: 1, _GRAY_ALPHA: 2, _RGB_ALPHA: 4}
# First column, first row, and the steps between them, of the seven passes of Adam7.
_PASSES = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"mDCV", b"mDCv", b"cLLI", b"cLLi", b"pHYs")
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_MOST_BLOCK_BYTES = 64 << 20
_LONGEST_SIDE = 1_000_000  # of libpng
_IDAT_BYTES = 1 << 20
_MOST_INFLATED = 1032
"""Bytes that a byte of deflate yields at most: 258 for every two bits."""


@dataclass
class _Chunks:
    """What a file's chunks say; ``pixels`` are the bodies of IDAT."""

    width: int = 0
    height: int = 0
    bit_depth: int = 0
    colour: int = 0
    is_interlaced: bool = False
    palette: bytes = b""
    transparency: bytes = b""
    pixels: list[memoryview] = field(default_factory=list)
    icc: bytes | None = None
    cicp: Cicp | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    colour_chunks: list[bytes] = field(default_factory=list)
    text_chunks: list[bytes] = field(default_factory=list)

    @property
    def row_bits_per_column(self) -> int:
        return self.bit_depth * _SAMPLES[self.colour]


def read_png(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a PNG; palettes become colour, transparent colours become alpha.

    Raises:
        CorruptImage: a chunk does not match its checksum, or the header is invalid.
            Or there are more pixels than the file can hold.
        UnsupportedImage: an animation, or a side of more than a million pixels.
        Exception: whatever libpng raises on damaged pixels.
    """
    chunks = _read_chunks(file.read(), check_size)
    samples = _deinterlaced(chunks) if chunks.is_interlaced else _whole(chunks)
    is_deep = chunks.bit_depth == 16
    pixels, alpha = planes(samples, 65535 if is_deep else 255)
    bit_depth = 16 if is_deep else 8
    is_palette = chunks.colour == _PALETTE
    picture = Picture(
        pixels=pixels,
        alpha=alpha,
        bit_depth=bit_depth,
        format=ImageFormat.PNG,
        icc=chunks.icc,
        cicp=chunks.cicp,
        exif=chunks.exif,
        xmp=chunks.xmp,
        orientation=orientation_of(chunks.exif),
        png_chunks=b"".join(chunks.colour_chunks),
        notes=b"".join(chunks.text_chunks),
        remarks=[PALETTE_REMARK] if is_palette else depth_remarks(chunks.bit_depth, bit_depth),
    )
    return with_stated_primaries(picture)


def write_png(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture`` with 8 or 16 bits per sample and its blocks.

    Raises:
        OutputError: a side of more than a million pixels, which libpng would not read.
    """
    if max(picture.height, picture.width) > _LONGEST_SIDE:
        raise too_long("PNG", _LONGEST_SIDE, other="tiff")
    bit_depth = encoding.bit_depth
    count = picture.channels + (picture.alpha is not None)
    colour = {count: colour for colour, count in _SAMPLES.items() if colour != _PALETTE}[count]
    header = _HEADER.pack(picture.width, picture.height, bit_depth, colour, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    chunks.append(picture.png_chunks)
    density = density_of(picture)
    if density and picture.format is not ImageFormat.PNG:
        chunks.append(_chunk(b"pHYs", pixel_size_chunk_body(density)))
    if picture.cicp:
        # Only of a PNG does the range tell about samples that we hold; other decoders widen it.
        full_range = picture.cicp.is_full_range or picture.format is not ImageFormat.PNG
        codes = (picture.cicp.primaries, picture.cicp.transfer, 0, full_range)
        chunks.append(_chunk(b"cICP", bytes(codes)))
    if picture.icc:
        chunks.append(_chunk(b"iCCP", b"ICC profile\x00\x00" + zlib.compress(picture.icc)))
    if picture.exif:
        chunks.append(_chunk(b"eXIf", picture.exif))
    if picture.xmp:
        chunks.append(_chunk(b"iTXt", _XMP_KEYWORD + b"\x00\x00\x00\x00\x00" + picture.xmp))
    if picture.format is ImageFormat.PNG:
        chunks.append(picture.notes)
    filtered = filtered_rows(picture, np.uint8 if bit_depth == 8 else np.uint16)
    rows = memoryview(compressed(filtered))
    del filtered  # not kept while the chunks are put together
    parts: list[bytes | memoryview] = [_SIGNATURE, *chunks]
    for start in range(0, len(rows), _IDAT_BYTES):
        parts += _chunk_parts(b"IDAT", rows[start : start + _IDAT_BYTES])
    return b"".join([*parts, _chunk(b"IEND", b"")])


def _read_chunks(data: bytes, check_size: CheckSize) -> _Chunks:
    found = _Chunks()
    for kind, body in _verified(data):
        if (kind == b"IHDR") is (found.bit_depth != 0):
            raise CorruptImage("has a damaged header")
        match kind:
            case b"IHDR":
                _read_header(found, body)
                _check_size(found, len(data), check_size)
            case b"PLTE" if found.colour == _PALETTE:
                found.palette = bytes(body)
            case b"tRNS":
                found.transparency = bytes(body)
            case b"IDAT":
                found.pixels.append(body)
            case b"acTL":
                raise UnsupportedImage("is an animation; extract one frame first")
            case b"iCCP":
                if found.icc is not None:
                    raise CorruptImage("has two colour profiles")
                found.icc = _inflated(bytes(body).partition(b"\x00")[2][1:], LONGEST_PROFILE + 1)
                check_profile(len(found.icc or b""))
            case b"cICP" if len(body) == 4:
                primaries, transfer, matrix, is_full_range = body
                found.cicp = Cicp(primaries, transfer, matrix, bool(is_full_range))
            case b"eXIf":
                found.exif = bare_exif(bytes(body))
            case b"iTXt" if bytes(body[: len(_XMP_KEYWORD) + 1]) == _XMP_KEYWORD + b"\x00":
                found.xmp = _itxt_text(bytes(body))
            case _ if kind in _COLOUR_CHUNKS and len(body) <= 64:
                found.colour_chunks.append(_chunk(kind, bytes(body)))
            case _ if kind in _TEXT_CHUNKS:
                found.text_chunks.append(_chunk(kind, bytes(body)))
    if not found.pixels:
        raise CorruptImage("is cut short: it has no pixels")
    if found.colour == _PALETTE and (not found.palette or len(found.palette) % 3):
        raise CorruptImage("has a damaged palette")
    return found


def _read_header(found: _Chunks, body: memoryview) -> None:
    if len(body) != _HEADER.size:
        raise CorruptImage("has a damaged header")
    width, height, bits, colour, compression, filtering, interlacing = _HEADER.unpack(body)
    if bits not in _BIT_DEPTHS.get(colour, ()) or compression or filtering or interlacing > 1:
        raise CorruptImage("has a damaged header")
    if max(width, height) > _LONGEST_SIDE:
        raise UnsupportedImage(f"has a side of more than {_LONGEST_SIDE:,} pixels")
    found.width, found.height = width, height
    found.bit_depth, found.colour = bits, colour
    found.is_interlaced = interlacing == 1


def _check_size(found: _Chunks, file_size: int, check_size: CheckSize) -> None:
    width, height = found.width, found.height
    least = width * height * found.row_bits_per_column / 8 / _MOST_INFLATED
    check_least_bytes(width, height, least, file_size)
    check_size(width, height, 3 if found.colour == _PALETTE else _SAMPLES[found.colour])


def _verified(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield kind and body of every chunk up to IEND.

    Raises:
        CorruptImage: the file ends early, or a chunk does not match its checksum, which neither
            libpng nor Pillow verifies for pixels.
    """
    view, position = memoryview(data), len(_SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data):
            break
        if view[end - 4 : end] != struct.pack(">I", zlib.crc32(view[position + 4 : end - 4])):
            raise CorruptImage(f"is damaged: wrong checksum of {kind.decode('latin-1')!r}")
        if kind == b"IEND":
            return
        yield kind, view[position + 8 : end - 4]
        position = end
    raise CorruptImage("is cut short")


def _whole(chunks: _Chunks) -> NDArray[np.generic]:
    """Decode a picture that is not interlaced; its compressed pixels are freed before."""
    png = _cleaned(chunks, chunks.pixels, chunks.width, chunks.height)
    chunks.pixels.clear()
    return _decoded(png, chunks.width, chunks.height)


def _cleaned(
    chunks: _Chunks, bodies: Sequence[bytes | memoryview], width: int, height: int
) -> bytes:
    """Return a PNG of compressed rows with only the chunks that define pixels.

    Cleaned so that libpng prints no warnings.
    """
    header = _HEADER.pack(width, height, chunks.bit_depth, chunks.colour, 0, 0, 0)
    parts: list[bytes | memoryview] = [_SIGNATURE, _chunk(b"IHDR", header)]
    transparency = chunks.transparency
    if chunks.colour == _PALETTE:
        entries = 1 << chunks.bit_depth
        parts.append(_chunk(b"PLTE", chunks.palette[: 3 * entries].ljust(3 * entries, b"\x00")))
        transparency = transparency[:entries]
    expected = {_GRAY: 2, _RGB: 6, _PALETTE: len(transparency)}.get(chunks.colour)
    if transparency and len(transparency) == expected:
        parts.append(_chunk(b"tRNS", transparency))
    for body in bodies:
        parts += _chunk_parts(b"IDAT", body)
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


def _decoded(png: bytes, width: int, height: int) -> NDArray[np.generic]:
    """Decode ``[H, W]`` or ``[H, W, S]``."""
    samples: NDArray[np.generic] = imagecodecs.png_decode(png)
    if samples.shape[:2] != (height, width):
        raise CorruptImage("has pixels that do not match the size in its header")
    return samples


def _deinterlaced(chunks: _Chunks) -> NDArray[np.generic]:
    """Decode the seven passes as pictures of their own; libpng prints a warning otherwise."""
    passes = []
    for x, y, step_x, step_y in _PASSES:
        width = (chunks.width - x + step_x - 1) // step_x
        height = (chunks.height - y + step_y - 1) // step_y
        if width > 0 and height > 0:
            row_bytes = 1 + (width * chunks.row_bits_per_column + 7) // 8
            passes.append(
                (slice(y, None, step_y), slice(x, None, step_x), width, height, row_bytes)
            )
    inflater, stream = zlib.decompressobj(), b"".join(chunks.pixels)
    chunks.pixels.clear()
    samples: NDArray[np.generic] | None = None
    for row_slice, column_slice, width, height, row_bytes in passes:
        rows = inflater.decompress(stream, height * row_bytes)
        stream = inflater.unconsumed_tail
        if len(rows) < height * row_bytes:
            raise CorruptImage("is cut short")
        rows = zlib.compress(rows, 0)
        part = _decoded(_cleaned(chunks, [rows], width, height), width, height)
        if samples is None:
            samples = np.empty((chunks.height, chunks.width, *part.shape[2:]), part.dtype)
        samples[row_slice, column_slice] = part
    if samples is None:
        raise CorruptImage("has no pixels")
    return samples


def _chunk(kind: bytes, body: bytes | memoryview) -> bytes:
    return b"".join(_chunk_parts(kind, body))


def _chunk_parts(kind: bytes, body: bytes | memoryview) -> list[bytes | memoryview]:
    checksum = struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
    return [struct.pack(">I", len(body)), kind, body, checksum]


def _inflated(data: bytes, most: int = _MOST_BLOCK_BYTES) -> bytes | None:
    """Decompress a block, no more than ``most`` bytes of it; one that is damaged is dropped."""
    inflater = zlib.decompressobj()
    try:
        block = inflater.decompress(data, most)
    except zlib.error:
        return None
    is_whole = inflater.eof or (most < _MOST_BLOCK_BYTES and len(block) == most)
    return block if block and is_whole else None


def _itxt_text(body: bytes) -> bytes | None:
    """Return the text of an iTXt chunk: keyword, flags, language, translated keyword, text."""
    rest = body[len(_XMP_KEYWORD) + 1 :]
    is_compressed = rest[:1] == b"\x01"
    text = rest[2:].split(b"\x00", 2)[-1]
    return (_inflated(text) if is_compressed else text) or None
