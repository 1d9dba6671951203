"""TIFF: 8 and 16 bits and floating point, gray and RGB, any compression, with its blocks."""

import io
import logging
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.metadata import (
    DESCRIPTIVE_TAGS,
    bare_exif,
    exif_directories,
)
from restore.image.picture import ImageFormat, Picture, Transfer
from restore.image.samples import planes, stored_samples

__all__ = ["read_tiff", "write_tiff"]

_DNG_VERSION, _SUB_IFDS, _XMP, _ICC, _EXIF_IFD, _GPS_IFD = 50706, 330, 700, 34675, 34665, 34853
_MAKE, _MODEL, _ORIENTATION = 271, 272, 274
_ASCII, _BYTE, _SHORT, _LONG = 2, 1, 3, 4
_RAW_PHOTOMETRIC = {32803, 34892}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_UNSIGNED, _FLOAT = 1, 3
# tifffile reports every oddity of a file; what matters comes as an exception.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
# tifffile writes no directory pointers itself: these unused neighbours keep their places.
_PLACEHOLDERS = {_EXIF_IFD: _EXIF_IFD - 1, _GPS_IFD: _GPS_IFD - 1}


def read_tiff(file: BinaryIO, check_size: Callable[[int, int], None]) -> Picture:
    """Read a TIFF or BigTIFF of one picture.

    Raises:
        UnsupportedImage: camera RAW, several pages, CMYK, Lab, signed or wide integers.
        CorruptImage: sizes that contradict each other.
        Exception: whatever tifffile raises on damaged data.
    """
    with tifffile.TiffFile(file) as tiff:
        page = _only_page(tiff)
        check_size(page.imagewidth, page.imagelength)
        peak, is_float = _sample_kind(page)
        samples = _decoded(page)
        big = tiff.is_bigtiff
        icc, xmp = _bytes_of(page, _ICC), _bytes_of(page, _XMP)
        stored_orientation = page.tags.valueof(_ORIENTATION)
        associated = tuple(page.extrasamples[:1]) == (tifffile.EXTRASAMPLE.ASSOCALPHA,)
    pixels, alpha = planes(samples, peak)
    exif = None if big else _exif_of(file)  # Pillow misreads the wide directories of BigTIFF
    bits = page.bitspersample
    return Picture(
        pixels=pixels,
        alpha=alpha,
        alpha_is_premultiplied=associated and alpha is not None,
        bit_depth=max(16, bits) if is_float else (8 if bits <= 8 else 16),
        is_float=is_float,
        transfer=Transfer.LINEAR if is_float else Transfer.SRGB,
        format=ImageFormat.TIFF,
        icc=icc,
        exif=exif,
        xmp=xmp,
        orientation=stored_orientation if stored_orientation in range(1, 9) else 1,
    )


def _only_page(tiff: tifffile.TiffFile) -> Any:
    every: list[Any] = list(tiff.pages)
    pages = [page for page in every if not page.is_reduced and not page.is_mask]
    if _is_raw(tiff, every[0]):
        raise UnsupportedImage("is a camera RAW file; develop it to TIFF or JPEG first")
    if len(pages) != 1:
        raise UnsupportedImage(f"has {len(pages)} pages; split it into single pictures first")
    return pages[0]


def _is_raw(tiff: tifffile.TiffFile, first: Any) -> bool:
    if _DNG_VERSION in first.tags or first.photometric in _RAW_PHOTOMETRIC:
        return True
    if tiff.filehandle.size > 16:
        tiff.filehandle.seek(8)
        if tiff.filehandle.read(2) == b"CR":
            return True
    # NEF, ARW and their kin keep the sensor's data in directories below a preview's.
    return _SUB_IFDS in first.tags and _MAKE in first.tags and bool(first.is_reduced)


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


def _decoded(page: Any) -> NDArray[Any]:
    """Return the samples of one page, ``[H, W]`` or ``[H, W, S]``, black at 0."""
    samples: NDArray[Any] = page.asarray(maxworkers=1)
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    if samples.shape[:2] != (page.imagelength, page.imagewidth):
        raise CorruptImage("holds other pixels than it says")
    count = samples.shape[2] if samples.ndim == 3 else 1
    match int(page.photometric):
        case 0 | 1 if count <= 2:
            if page.photometric == _WHITE_IS_ZERO:
                samples = samples.copy()
                gray = samples if samples.ndim == 2 else samples[..., 0]
                np.subtract(2**page.bitspersample - 1, gray, out=gray, casting="unsafe")
            return samples.astype(np.uint8) if samples.dtype == np.bool_ else samples
        case 2 | 6 if 3 <= count <= 4:
            return samples
        case 3 if count == 1 and page.bitspersample == 8:
            return np.ascontiguousarray((page.colormap >> 8).T.astype(np.uint8)[samples])
    raise UnsupportedImage(
        f"has {count} samples per pixel of the kind {page.photometric.name}; "
        "convert it to gray or RGB first"
    )


def _bytes_of(page: Any, code: int) -> bytes | None:
    value = page.tags.valueof(code)
    if isinstance(value, str):
        return value.encode() or None
    return bytes(value) or None if isinstance(value, bytes | tuple) else None


def _exif_of(file: BinaryIO) -> bytes | None:
    """Return what the directories say of the photograph as one EXIF block, or None."""
    try:
        file.seek(0)
        stored = TiffImageFile(file).getexif()
        block = Image.Exif()
        for tag, value in stored.items():
            if tag in DESCRIPTIVE_TAGS:
                block[tag] = value
        for pointer in (_EXIF_IFD, _GPS_IFD):
            directory = stored.get_ifd(pointer)
            if directory:
                block.get_ifd(pointer).update(directory)
        informative = {_MAKE, _MODEL, _ORIENTATION} & set(block)
        only_layout = not block.get_ifd(_EXIF_IFD) and not informative
        return None if only_layout else bare_exif(block.tobytes())
    except (SyntaxError, ValueError, KeyError, TypeError, OSError, struct.error, OverflowError):
        return None


def write_tiff(picture: Picture, bit_depth: int, *, as_float: bool) -> bytes:
    """Encode ``picture`` as a deflated TIFF.

    Args:
        picture: samples in the values to be stored.
        bit_depth: 8 or 16 for integers, 16 or 32 for floats.
        as_float: store floating point samples.
    """
    kinds: dict[tuple[int, bool], type[np.generic]] = {
        (8, False): np.uint8,
        (16, False): np.uint16,
        (16, True): np.float16,
        (32, True): np.float32,
    }
    extra = "assocalpha" if picture.alpha_is_premultiplied else "unassalpha"
    main, details, gps = exif_directories(picture.exif) if picture.exif else ({}, {}, {})
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        stored_samples(picture, kinds[bit_depth, as_float]),
        photometric="rgb" if picture.channels == 3 else "minisblack",
        planarconfig="contig" if picture.channels == 3 or picture.alpha is not None else None,
        extrasamples=[extra] if picture.alpha is not None else None,
        compression="zlib",
        compressionargs={"level": 6},
        predictor=bit_depth != 16 or not as_float,
        rowsperstrip=max(1, (1 << 18) // picture.width),
        iccprofile=picture.icc,
        metadata=None,
        software=False,
        description=None,
        extratags=_extra_tags(picture, main, bool(details), bool(gps)),
    )
    encoded = bytearray(buffer.getvalue())
    for code, directory in ((_EXIF_IFD, details), (_GPS_IFD, gps)):
        if directory:
            _append_directory(encoded, code, directory)
    return bytes(encoded)


def _extra_tags(
    picture: Picture, main: dict[int, Any], has_details: bool, has_gps: bool
) -> list[tuple[int, int, int, Any, bool]]:
    tags: list[tuple[int, int, int, Any, bool]] = []
    if picture.orientation != 1:
        tags.append((_ORIENTATION, _SHORT, 1, picture.orientation, True))
    if picture.xmp:
        tags.append((_XMP, _BYTE, len(picture.xmp), picture.xmp, True))
    texts = ((code, main[code]) for code in sorted(DESCRIPTIVE_TAGS & main.keys()))
    tags += [
        (code, _ASCII, 0, text, True)
        for code, text in texts
        if isinstance(text, str) and text.isascii() and text
    ]
    pointers = ((_EXIF_IFD, has_details), (_GPS_IFD, has_gps))
    return tags + [
        (_PLACEHOLDERS[code], _LONG, 1, 0, True) for code, present in pointers if present
    ]


def _append_directory(encoded: bytearray, code: int, entries: dict[int, Any]) -> None:
    """Append a directory to a little-endian TIFF and let its placeholder point to it."""
    with tifffile.TiffFile(io.BytesIO(encoded)) as tiff:
        page: Any = tiff.pages[0]
        entry = page.tags[_PLACEHOLDERS[code]].offset
    encoded += b"\x00" * (len(encoded) % 2)
    directory = ImageFileDirectory_v2(ifh=b"II*\x00\x00\x00\x00\x00")
    for tag, value in entries.items():
        directory[tag] = value
    struct.pack_into("<HHII", encoded, entry, code, _LONG, 1, len(encoded))
    encoded += directory.tobytes(len(encoded))
