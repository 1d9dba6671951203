"""Reading and writing 8-bit formats with Pillow: the common part, and all of BMP."""

import io
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restore.arguments import argument
from restore.errors import CorruptImage, OutputError, UnsupportedImage
from restore.image.codec import CheckSize
from restore.image.codecs import CODECS, ImageFormat
from restore.image.icc import other_primaries
from restore.image.limits import check_least_bytes, too_long
from restore.image.metadata import (
    EXIF_ERRORS,
    EXIF_HEADER,
    bare_exif,
    orientation_of,
    quiet_pillow,
)
from restore.image.picture import Picture
from restore.image.samples import PALETTE_REMARK, depth_remarks, planes, stored_samples
from restore.words import counted

__all__ = [
    "READERS",
    "SamplesOf",
    "gray_or_rgb",
    "loaded_samples",
    "memory_file",
    "pillow_options",
    "read_bmp",
    "read_with_pillow",
    "write_with_pillow",
]

# Plugin classes instead of Image.open: the format is known already, and our pixel limit applies.
READERS: Mapping[ImageFormat, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.AVIF: AvifImageFile,
    ImageFormat.BMP: BmpImageFile,
}
"""Formats that Pillow decodes, each with the class that opens it."""

SamplesOf = Callable[[Image.Image], tuple[NDArray[np.uint8], str]]
"""A function that decodes an opened file, and says what is damaged, or ""."""


def read_bmp(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a BMP.

    Raises:
        CorruptImage: a damaged header, or one of more pixels than the file can hold.
        Exception: whatever Pillow raises on damaged data.
    """
    size = file.seek(0, 2)
    file.seek(0)
    width, height, least = _bmp_size(file.read(_BMP_HEAD_BYTES))
    check_least_bytes(width, height, least, size)
    file.seek(0)
    return read_with_pillow(file, ImageFormat.BMP, check_size)


def loaded_samples(image: Image.Image) -> tuple[NDArray[np.uint8], str]:
    """Return the samples ``[H, W]`` or ``[H, W, S]`` as Pillow decodes them, or raises.

    Raises:
        UnsupportedImage: CMYK.
        Exception: whatever Pillow raises on damaged data.
    """
    image.load()
    return np.asarray(gray_or_rgb(image)), ""


def read_with_pillow(
    file: BinaryIO,
    image_format: ImageFormat,
    check_size: CheckSize,
    *,
    is_lossless: bool = False,
    samples_of: SamplesOf = loaded_samples,
) -> Picture:
    """Read an 8-bit picture, or the first of a multi-picture JPEG (MPO).

    Args:
        file: File positioned at its start.
        image_format: One of ``READERS``.
        check_size: Called with width and height before any pixel is decoded.
        is_lossless: Value of ``Picture.is_lossless``.
        samples_of: Function that decodes.

    Raises:
        UnsupportedImage: CMYK, or more than one frame.
        Exception: whatever Pillow raises on damaged data.
    """
    samples, damaged, info, mode = _decoded(file, image_format, check_size, samples_of)
    pixels, alpha = planes(samples, 255)
    exif = bare_exif(info.get("exif"))
    icc = info.get("icc_profile") or None
    return Picture(
        pixels=pixels,
        alpha=alpha,
        format=image_format,
        is_lossless=is_lossless,
        icc=icc,
        primaries=other_primaries(icc),
        exif=exif,
        xmp=info.get("xmp") or None,
        orientation=orientation_of(exif),
        damaged=damaged,
        left_out=_further_pictures(info.get("mp")),
        remarks=[PALETTE_REMARK] if mode == "P" else depth_remarks(1 if mode == "1" else 8, 8),
    )


def _further_pictures(index: bytes | None) -> Sequence[str]:
    """Say how many pictures follow the first of an MPO, given its index (CIPA DC-007)."""
    if not index:
        return ()
    directory = Image.Exif()
    with quiet_pillow(), suppress(*EXIF_ERRORS):
        directory.load(index)
    count = directory.get(_NUMBER_OF_IMAGES)
    if not isinstance(count, int) or count < 2:
        return ()
    return (f"{counted(count - 1, 'more picture')} of the file",)


def _decoded(
    file: BinaryIO,
    image_format: ImageFormat,
    check_size: CheckSize,
    samples_of: SamplesOf,
) -> tuple[NDArray[np.uint8], str, dict[Any, Any], str]:
    """Return samples, what is damaged, metadata, and Pillow's mode of the file.

    A separate function, so that Pillow's copy is freed when it returns.
    """
    with quiet_pillow():
        opened = READERS[image_format](file)
    with opened as image:
        check_size(*image.size, _SAMPLES.get(image.mode, 4))
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise UnsupportedImage(f"is an animation of {frames} frames; extract one first")
        mode = image.mode
        samples, damaged = samples_of(image)
        return samples, damaged, dict(image.info), mode


_NUMBER_OF_IMAGES = 0xB001
_SAMPLES = {"1": 1, "L": 1, "RGB": 3, "P": 3}

_BMP_HEAD_BYTES = 34
_BMP_CORE_HEADER = 12
_BMP_RLE = (1, 2)


def _bmp_size(head: bytes) -> tuple[int, int, float]:
    """Return width, height, and the bytes that the file takes at least, from its first bytes.

    Of run-length coding there is no such bound: it can leave out whole rows.
    """
    try:
        if struct.unpack_from("<I", head, 14)[0] == _BMP_CORE_HEADER:
            width, height, _, bits = struct.unpack_from("<4H", head, 18)
            compression = 0
        else:
            width, height, _, bits, compression = struct.unpack_from("<2i2HI", head, 18)
    except struct.error as error:
        raise CorruptImage("is cut short") from error
    width, height = abs(width), abs(height)
    return width, height, 0 if compression in _BMP_RLE else width * height * bits / 8


def gray_or_rgb(image: Image.Image) -> Image.Image:
    """Return an image in one of the modes L, RGB and RGBA.

    Raises:
        UnsupportedImage: it has another kind of samples, such as CMYK.
    """
    match image.mode:
        case "L" | "RGB" | "RGBA":
            return image
        case "1":
            return image.convert("L")
        case "P" | "RGBX":
            return image.convert("RGB")
        case "CMYK":
            raise UnsupportedImage(
                "is CMYK, which the networks do not support; convert it to RGB first"
            )
    raise UnsupportedImage(f"has pixels of mode {image.mode}; convert it to RGB first")


def pillow_options(
    blocks: Picture, image_format: ImageFormat, quality: int | None
) -> dict[str, Any]:
    """Return quality and metadata as options of Pillow's ``Image.save``.

    Args:
        blocks: picture whose ICC profile, EXIF and XMP are written.
        image_format: one of those that Pillow writes.
        quality: 1 to 100; None for the format's default.
    """
    default = CODECS[image_format].default_quality
    options: dict[str, Any] = {"quality": default if quality is None else quality}
    if blocks.icc:
        options["icc_profile"] = blocks.icc
    if blocks.exif:
        options["exif"] = EXIF_HEADER + blocks.exif
    if blocks.xmp:
        options["xmp"] = blocks.xmp
    return options


def write_with_pillow(
    picture: Picture, image_format: ImageFormat, options: Mapping[str, Any], *, longest_side: int
) -> bytes:
    """Encode ``picture`` in 8 bits.

    Args:
        picture: sRGB-like samples in [0, 1], without alpha for JPEG.
        image_format: one of those that Pillow writes.
        options: as ``Image.save`` takes them.
        longest_side: longest side in pixels that the container supports.

    Raises:
        OutputError: the container cannot hold this picture.
    """
    name = CODECS[image_format].name
    if max(picture.width, picture.height) > longest_side:
        raise too_long(name, longest_side)
    image = Image.fromarray(stored_samples(picture, np.uint8))
    if image_format is not ImageFormat.JPEG and image.mode in ("L", "LA"):
        image = image.convert("RGB" if image.mode == "L" else "RGBA")
    with memory_file() as file:
        try:
            image.save(file, image_format.name, **options)
        except (ValueError, OSError) as error:
            raise OutputError(
                f"{name} cannot hold this picture: {error}; use {argument('image_format', 'png')}"
            ) from error
        file.seek(0)
        return file.read()


def memory_file() -> BinaryIO:
    """Return an empty file in memory, provided by the operating system where it can.

    Other threads run while Pillow writes JPEG to such a file; they wait while it writes to BytesIO.
    """
    if hasattr(os, "memfd_create"):
        try:
            return os.fdopen(os.memfd_create("imrestore"), "w+b")
        except OSError:  # forbidden here, or too many are open
            pass
    return io.BytesIO()
