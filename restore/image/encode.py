"""A Picture to the bytes of a file."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from restore.errors import OutputError, UsageError
from restore.image.exr import write_exr
from restore.image.orient import upright
from restore.image.picture import ImageFormat, Picture, Transfer
from restore.image.pillow import write_with_pillow
from restore.image.png16 import write_png16
from restore.image.pnm import write_pnm
from restore.image.radiance import write_radiance
from restore.image.tiff import write_tiff
from restore.image.transfer import linear_to_srgb, srgb_to_linear

__all__ = ["BIT_DEPTHS", "encode"]

BIT_DEPTHS: Mapping[ImageFormat, tuple[int, ...]] = {
    ImageFormat.PNG: (8, 16),
    ImageFormat.TIFF: (8, 16, 32),
    ImageFormat.JPEG: (8,),
    ImageFormat.WEBP: (8,),
    ImageFormat.AVIF: (8,),
    ImageFormat.PPM: (8, 16),
    ImageFormat.EXR: (16, 32),
    ImageFormat.HDR: (32,),
}
"""Bits per sample that each container is written with; 32 and EXR's 16 are floating point."""

_WITHOUT_METADATA = {ImageFormat.PPM, ImageFormat.EXR, ImageFormat.HDR}


def encode(
    picture: Picture,
    image_format: ImageFormat,
    *,
    bit_depth: int | None = None,
    quality: int | None = None,
    strip_metadata: bool = False,
) -> bytes:
    """Return the bytes of a file.

    Samples that come unchanged from ``decode`` go into a lossless container of the same depth
    unchanged. Linear light is sRGB-encoded and clipped for integer samples, sRGB is decoded for
    floating point ones; the ICC profile, which then no longer applies, is left out.

    Args:
        picture: what to write.
        image_format: any but BMP.
        bit_depth: bits per sample, see ``BIT_DEPTHS``; None keeps the picture's own where the
            container can hold it.
        quality: 1 to 100 for JPEG (95), WebP (95; 100 is lossless) and AVIF (90).
        strip_metadata: leave out EXIF and XMP; orientation is applied to the pixels, and the ICC
            profile stays, since without it the colours would change.

    Raises:
        UsageError: a depth or quality that the container does not have.
        OutputError: the container cannot hold this picture.
    """
    depths = BIT_DEPTHS.get(image_format)
    if depths is None:
        raise UsageError(f"{image_format.upper()} is not written; use --format png")
    if bit_depth is not None and bit_depth not in depths:
        allowed = " or ".join(map(str, depths))
        raise UsageError(f"{image_format.upper()} holds {allowed} bits per sample, not {bit_depth}")
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality {quality}: give a number from 1 to 100")

    keeps_float = bit_depth is None and picture.is_float and image_format is ImageFormat.TIFF
    depth = bit_depth or _own_depth(picture, image_format)
    as_float = keeps_float or depth == 32 or image_format is ImageFormat.EXR
    if strip_metadata or image_format in _WITHOUT_METADATA:
        picture = upright(picture)
    picture = _with_transfer(picture, linear=as_float)
    try:
        return _written(picture, image_format, depth, as_float, quality)
    except (MemoryError, ValueError) as error:
        raise OutputError(f"{image_format.upper()} cannot hold this picture: {error}") from error


def _own_depth(picture: Picture, image_format: ImageFormat) -> int:
    depths = BIT_DEPTHS[image_format]
    if image_format is ImageFormat.EXR:
        # Half floats have 11 significant bits: enough for 8-bit samples, not for 16-bit ones.
        return 16 if picture.bit_depth == (16 if picture.is_float else 8) else 32
    if picture.is_float and image_format is not ImageFormat.TIFF:
        return depths[-1]
    return picture.bit_depth if picture.bit_depth in depths else depths[0]


def _with_transfer(picture: Picture, *, linear: bool) -> Picture:
    is_linear = picture.transfer is Transfer.LINEAR
    if linear == is_linear:
        return picture
    pixels = (
        srgb_to_linear(picture.pixels) if linear else np.clip(linear_to_srgb(picture.pixels), 0, 1)
    )
    transfer = Transfer.LINEAR if linear else Transfer.SRGB
    return replace(picture, pixels=pixels, transfer=transfer, icc=None)


def _written(
    picture: Picture, image_format: ImageFormat, depth: int, as_float: bool, quality: int | None
) -> bytes:
    match image_format:
        case ImageFormat.TIFF:
            return write_tiff(picture, depth, as_float=as_float)
        case ImageFormat.EXR:
            return write_exr(picture, depth)
        case ImageFormat.HDR:
            return write_radiance(picture)
        case ImageFormat.PPM:
            return write_pnm(picture, depth)
        case ImageFormat.PNG if depth == 16:
            return write_png16(picture)
    return write_with_pillow(picture, image_format, quality)
