"""Reading TIFF, checked before pixels are decoded: tifffile tolerates more damage than we may."""

import io
import logging
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from restore.errors import CameraRaw, CorruptImage, SeveralPages, UnsupportedImage
from restore.image.codec import CheckSize
from restore.image.codecs import RAW_ADVICE, ImageFormat
from restore.image.icc import is_encoded, other_primaries
from restore.image.jpeg_frame import read_frame
from restore.image.limits import check_least_bytes
from restore.image.metadata import ORIENTATION
from restore.image.picture import Picture, Transfer
from restore.image.samples import PALETTE_REMARK, depth_remarks, planes
from restore.image.tiff_damage import decode_page
from restore.image.tiff_exif import exif_of_tiff
from restore.image.tiff_least import least_bytes, stored_bytes
from restore.image.tiff_tags import PHOTOSHOP_LAYERS, noted_tags
from restore.image.webp import least_webp_bytes, webp_size

__all__ = [
    "black_at_zero",
    "check_directory",
    "check_segments",
    "checked_page",
    "checked_pages",
    "decoded_page",
    "described",
    "peak_of",
    "read_tiff",
]

_MOST_TAGS = 4096
# Sizes, kind, compression and place of the samples, their extra channels; XMP and ICC.
_TAGS_THAT_MATTER = {
    *(256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
    *(322, 323, 324, 325, 338, 339, 347, 700, 34675),
}
_HEAD_BYTES = 1 << 16
_JPEG2000_START = b"\xff\x4f\xff\x51"


def check_directory(tiff: tifffile.TiffFile, page: Any) -> None:
    """Check that no relevant tag is damaged: tifffile would silently skip it.

    Raises:
        CorruptImage: a relevant tag is damaged.
    """
    count_format, entry_bytes = ("Q", 20) if tiff.is_bigtiff else ("H", 12)
    file, order = tiff.filehandle, tiff.byteorder
    file.seek(page.offset)
    (count,) = struct.unpack(order + count_format, file.read(struct.calcsize("=" + count_format)))
    entries = file.read(min(count, _MOST_TAGS) * entry_bytes)
    stored = {code for code, _ in struct.iter_unpack(f"{order}H{entry_bytes - 2}s", entries)}
    if damaged := (stored & _TAGS_THAT_MATTER) - {tag.code for tag in page.tags}:
        raise CorruptImage(f"is damaged or cut short (TIFF tag {min(damaged)})")


def check_segments(tiff: tifffile.TiffFile, page: Any) -> None:
    """Check that all strips or tiles lie in the file, and do not decode to more than expected.

    Raises:
        CorruptImage: a strip or tile is missing (tifffile would fill it with zeros) or too large,
            or all of them together have too few bytes for the picture.
        UnsupportedImage: a compression that cannot be checked.
    """
    if max(page.tilewidth, page.tilelength) > 2 * max(page.imagewidth, page.imagelength) + 1024:
        raise CorruptImage("has tiles that are larger than the picture")
    file_size = tiff.filehandle.size
    offsets = np.asarray(page.dataoffsets, dtype=np.uint64)
    counts = np.asarray(page.databytecounts, dtype=np.uint64)
    expected = math.prod(page.chunked)
    if len(offsets) != expected or len(counts) != expected:
        raise CorruptImage("has a number of strips or tiles that does not match its size")
    if not (offsets.all() and counts.all()):
        raise CorruptImage("lacks some of its strips or tiles")
    if (offsets > file_size).any() or (counts > file_size - offsets).any():
        raise CorruptImage("is cut short")
    least, there = least_bytes(page), stored_bytes(offsets, counts)
    if least is not None:
        # Fills a strip and no more.
        check_least_bytes(page.imagewidth, page.imagelength, least, there)
        return
    size_of = _SIZES.get(int(page.compression))
    if size_of is None:
        name = getattr(page.compression, "name", str(page.compression))
        raise UnsupportedImage(f"is compressed as {name}; save it with LZW or deflate first")
    most, least = 2 * math.prod(page.chunks) + 4096, 0
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        tiff.filehandle.seek(offset)
        width, height, own = size_of(tiff.filehandle.read(min(count, _HEAD_BYTES)))
        if width * height > most:
            raise CorruptImage("has a strip or tile that is larger than it says")
        least += own
    check_least_bytes(page.imagewidth, page.imagelength, least, there)


def _jpeg_size(data: bytes) -> tuple[int, int, int]:
    frame = read_frame(io.BytesIO(data))
    return frame.width, frame.height, frame.least_bytes


def _jpeg2000_size(data: bytes) -> tuple[int, int, int]:
    """Return width, height and the least bytes from the start of JPEG 2000 data.

    Flat pictures take next to nothing.

    Raises:
        CorruptImage: there is no code stream, or one of more than four components.
    """
    start = data.find(_JPEG2000_START)
    if start < 0 or len(data) < start + 42:
        raise CorruptImage("has damaged JPEG 2000 data")
    width, height = struct.unpack_from(">II", data, start + 8)
    (components,) = struct.unpack_from(">H", data, start + 40)
    if components > 4:
        raise CorruptImage("has damaged JPEG 2000 data")
    return width, height, 0


def _webp_size(data: bytes) -> tuple[int, int, int]:
    width, height = webp_size(data)
    return width, height, least_webp_bytes(io.BytesIO(data), width, height)


# Decoders allocate memory at once for the width and height stated in compressed data.
_SIZES = {
    7: _jpeg_size,
    33003: _jpeg2000_size,
    33005: _jpeg2000_size,
    34712: _jpeg2000_size,
    50001: _webp_size,
}


_DNG_VERSION, _SUB_IFDS, _XMP, _ICC = 50706, 330, 700, 34675
_MAKE, _TRANSFER_FUNCTION = 271, 301
_LEFT_OUT = {
    _SUB_IFDS: "its further versions (SubIFDs)",
    _TRANSFER_FUNCTION: "its transfer function",
}
_RAW_PHOTOMETRIC = {32803, 34892}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_JPEG = 7
_UNSIGNED, _FLOAT = 1, 3
_MOST_PAGES = 32
# tifffile logs every oddity of a file; what matters is raised as an exception.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def read_tiff(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a TIFF or BigTIFF of one picture; thumbnails and masks beside it are left out.

    Raises:
        SeveralPages: several pages.
        UnsupportedImage: camera RAW, CMYK, Lab, signed or wide integers.
        CorruptImage: sizes that contradict each other, or data that lie outside the file.
        Exception: whatever tifffile raises on damaged data.
    """
    with tifffile.TiffFile(file) as tiff:
        page = checked_page(tiff, check_size)
        like = described(page, file)
        samples, damaged = decoded_page(page)
        pixels, alpha = planes(samples, peak_of(page))
    return replace(like, pixels=pixels, alpha=alpha, damaged=damaged)


def checked_page(tiff: tifffile.TiffFile, check_size: CheckSize) -> Any:
    """Return the page of the only picture in a file, checked.

    Raises:
        UnsupportedImage: as ``read_tiff``.
        CorruptImage: as ``read_tiff``.
    """
    page = _only_page(tiff)
    checked_pages(tiff, [page], check_size)
    return page


def checked_pages(tiff: tifffile.TiffFile, pages: Sequence[Any], check_size: CheckSize) -> None:
    """Check pages of one size, as one picture with the rows of all of them.

    Raises:
        UnsupportedImage: as ``read_tiff``.
        CorruptImage: as ``read_tiff``.
    """
    for page in pages:
        check_directory(tiff, page)
        _sample_kind(page)
        _check_colours(page)
        if not page.imagewidth or not page.imagelength:
            raise CorruptImage("has no pixels")
        check_segments(tiff, page)
    page = pages[0]
    samples = 3 if page.photometric == _PALETTE else page.samplesperpixel
    check_size(page.imagewidth, len(pages) * page.imagelength, samples)


def described(page: Any, file: BinaryIO) -> Picture:
    """Return a picture without rows that holds everything but the pixels of a checked page."""
    bits, (_, is_float) = page.bitspersample, _sample_kind(page)
    stored_orientation = page.tags.valueof(ORIENTATION)
    extra = next(iter(page.extrasamples), None)
    count = 3 if page.photometric == _PALETTE else page.samplesperpixel
    pixels, alpha = planes(np.empty((0, page.imagewidth, count), np.uint8), 1)
    has_alpha = alpha is not None
    icc = _bytes_of(page, _ICC)
    bit_depth = max(16, bits) if is_float else (8 if bits <= 8 else 16)
    is_palette = page.photometric == _PALETTE
    return Picture(
        pixels=pixels,
        alpha=alpha,
        alpha_is_premultiplied=has_alpha and extra == tifffile.EXTRASAMPLE.ASSOCALPHA,
        alpha_is_opacity=not has_alpha or extra != tifffile.EXTRASAMPLE.UNSPECIFIED,
        bit_depth=bit_depth,
        is_float=is_float,
        transfer=Transfer.LINEAR if is_float and not is_encoded(icc) else Transfer.SRGB,
        format=ImageFormat.TIFF,
        icc=icc,
        primaries=other_primaries(icc),
        exif=exif_of_tiff(file, page.offset),
        xmp=_bytes_of(page, _XMP),
        orientation=stored_orientation if stored_orientation in range(1, 9) else 1,
        notes=noted_tags(file, page.offset, has_layers=PHOTOSHOP_LAYERS in page.tags),
        left_out=[what for tag, what in _LEFT_OUT.items() if tag in page.tags],
        remarks=[PALETTE_REMARK] if is_palette else depth_remarks(bits, bit_depth),
    )


def _only_page(tiff: tifffile.TiffFile) -> Any:
    first: Any = tiff.pages.first
    if _is_raw(tiff, first):
        raise CameraRaw(RAW_ADVICE)
    pages = []
    every: Iterable[Any] = tiff.pages
    for index, page in enumerate(every):
        if not page.is_reduced and not page.is_mask:
            pages.append(page)
        if len(pages) > 1 or index == _MOST_PAGES:
            raise SeveralPages("has several pages; split it into single pictures first")
    return pages[0] if pages else first


def _is_raw(tiff: tifffile.TiffFile, first: Any) -> bool:
    if _DNG_VERSION in first.tags or first.photometric in _RAW_PHOTOMETRIC:
        return True
    if tiff.filehandle.size > 16:
        tiff.filehandle.seek(8)
        if tiff.filehandle.read(2) == b"CR":
            return True
    # NEF, ARW and their kin keep the sensor's data in directories below a preview's.
    return _SUB_IFDS in first.tags and _MAKE in first.tags and bool(first.is_reduced)


def peak_of(page: Any) -> float:
    """Return the sample value that stands for 1.0."""
    return _sample_kind(page)[0]


def _sample_kind(page: Any) -> tuple[float, bool]:
    """Return the sample value that stands for 1.0, and whether samples are floating point."""
    bits, kind = page.bitspersample, page.sampleformat
    if kind == _FLOAT and bits in (16, 32):
        return 1.0, True
    if kind == _UNSIGNED and 1 <= bits <= 16:
        return float(2**bits - 1), False
    raise UnsupportedImage(
        f"has {bits}-bit samples of kind {kind}; 1 to 16 bits or 16- and 32-bit floats are read"
    )


def _check_colours(page: Any) -> None:
    count, photometric = page.samplesperpixel, int(page.photometric)
    is_readable = {
        _WHITE_IS_ZERO: count <= 2,
        _BLACK_IS_ZERO: count <= 2,
        _RGB: 3 <= count <= 4,
        _PALETTE: count == 1 and page.bitspersample <= 8,
        # Only JPEG data are converted to RGB while they are decoded.
        _YCBCR: count == 3 and page.compression == _JPEG,
    }.get(photometric, False)
    if not is_readable or page.imagedepth != 1:
        name = getattr(page.photometric, "name", str(photometric))
        raise UnsupportedImage(
            f"has {count} samples per pixel of the kind {name}; convert it to gray or RGB first"
        )


def decoded_page(page: Any) -> tuple[NDArray[Any], str]:
    """Return the samples, ``[H, W]`` or ``[H, W, S]``, black at 0, and what is damaged, or ""."""
    samples, damaged = decode_page(page)
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    if samples.shape[:2] != (page.imagelength, page.imagewidth):
        raise CorruptImage("has pixels that do not match the size that it states")
    return black_at_zero(page, samples), damaged


def black_at_zero(page: Any, samples: NDArray[Any]) -> NDArray[Any]:
    """Return stored samples ``[h, w]`` or ``[h, w, S]`` as gray or RGB with black at 0."""
    if page.photometric == _PALETTE:
        return np.ascontiguousarray((page.colormap >> 8).T.astype(np.uint8)[samples])
    if samples.dtype == np.bool_:
        samples = samples.astype(np.uint8)
    if page.photometric == _WHITE_IS_ZERO:
        samples = samples.copy()
        gray = samples if samples.ndim == 2 else samples[..., 0]
        np.subtract(peak_of(page), gray, out=gray, casting="unsafe")
    return samples


def _bytes_of(page: Any, code: int) -> bytes | None:
    value = page.tags.valueof(code)
    if isinstance(value, str):
        return value.encode() or None
    return bytes(value) or None if isinstance(value, bytes | tuple) else None
