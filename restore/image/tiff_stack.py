"""TIFF files of many pages, OME-TIFF and ImageJ's among them, page by page.

Pages keep their order and their descriptions: the OME-XML of the first page, or ImageJ's lines,
say which page lies where along which axis, and stay true.
"""

import io
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import tifffile

from restore.errors import UnsupportedImage
from restore.image.codec import CheckSize
from restore.image.losses import note_loss
from restore.image.picture import Picture
from restore.image.samples import planes, stored_samples
from restore.image.stack import Stack
from restore.image.tiff import checked_pages, decoded_page, described, peak_of
from restore.image.tiff_exif import front_exif
from restore.image.tiff_tags import extra_tags, tags_of_notes
from restore.image.tiff_writer import dtype_of, picture_tags, resolution_of

__all__ = ["read_tiff_stack", "write_tiff_stack"]

_MOST_PAGES = 65_536
_IMAGEJ = frozenset({50838, 50839})
_MOST_CLASSIC_BYTES = (1 << 32) - (1 << 26)
_UNCOMPRESSED = 1


def read_tiff_stack(file: BinaryIO, check_size: CheckSize) -> Stack:
    """Read all pages of a TIFF but thumbnails and masks.

    Raises:
        UnsupportedImage: pages of several sizes or kinds, or planes without pages of their own.
        CorruptImage: as ``read_tiff``.
        Exception: whatever tifffile raises on damaged data.
    """
    with tifffile.TiffFile(file) as tiff:
        pages: list[Any] = []
        every: Iterable[Any] = tiff.pages
        for page in every:
            if page.is_reduced or page.is_mask:
                continue
            pages.append(page)
            if len(pages) > _MOST_PAGES:
                raise UnsupportedImage(f"has more than {_MOST_PAGES:,} pages")
        first = pages[0]
        if any(_kind(page) != _kind(first) for page in pages):
            raise UnsupportedImage(
                "has pages of several sizes or kinds; split it into single pictures first"
            )
        checked_pages(tiff, pages, check_size)
        stated = math.prod(tiff.series[0].shape) // math.prod(first.shape)
        if len(pages) == 1 < stated:
            raise UnsupportedImage(
                f"holds {stated} planes in one page; save it with a page for each"
            )
        read = []
        for page in pages:
            samples, damaged = decoded_page(page)
            pixels, alpha = planes(samples, peak_of(page))
            own = described(page, file)
            read.append(replace(own, pixels=pixels, alpha=alpha, damaged=damaged))
    return Stack(planes=tuple(read), shape=(len(read),))


def _kind(page: Any) -> tuple[Any, ...]:
    return (
        *(page.imagewidth, page.imagelength, page.samplesperpixel),
        *(page.bitspersample, page.sampleformat, page.photometric),
    )


def write_tiff_stack(stack: Stack, strip: bool) -> bytes:
    """Encode a stack as TIFF with deflate, a page for each plane; beyond 4 GB as BigTIFF.

    Args:
        stack: planes in the values to be stored.
        strip: leave out descriptions and other metadata.
    """
    first = stack.planes[0]
    dtype = dtype_of(first)
    size = math.prod(first.pixels.shape) * np.dtype(dtype).itemsize * len(stack.planes)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, bigtiff=size > _MOST_CLASSIC_BYTES) as tiff:
        for index, plane in enumerate(stack.planes):
            about_all = b"" if index or strip else stack.header
            _write_page(tiff, plane, dtype, about_all, strip=strip)
    return buffer.getvalue()


def _write_page(
    tiff: tifffile.TiffWriter,
    plane: Picture,
    dtype: type[np.generic],
    description: bytes,
    *,
    strip: bool,
) -> None:
    exif = front_exif(None if strip else plane.exif)
    own, own_order = tags_of_notes(b"" if strip else plane.notes)
    if _IMAGEJ & own.keys():
        note_loss("ImageJ's labels and overlays, which lie in the order of bytes of their file")
        own = {tag: entry for tag, entry in own.items() if tag not in _IMAGEJ}
    samples = stored_samples(plane, dtype)
    tiff.write(
        samples,
        photometric="rgb" if plane.channels == 3 else "minisblack",
        planarconfig="contig" if samples.ndim == 3 else None,
        extrasamples=["unassalpha"] if plane.alpha is not None else None,
        compression="zlib",
        predictor=dtype is not np.float16,
        iccprofile=plane.icc,
        metadata=None,
        software=False,
        description=description or None,
        extratags=[
            *picture_tags(plane),
            *extra_tags([(exif.main, exif.order), (own, own_order)], "<"),
        ],
        **resolution_of(exif),
    )
