"""A Picture to the bytes of a file."""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.errors import OutputError, UsageError
from restore.image.alpha import is_opaque, with_alpha_kind
from restore.image.exr import write_exr
from restore.image.gamut import in_srgb_primaries
from restore.image.metadata import orientation_of
from restore.image.picture import ImageFormat, Picture, Transfer
from restore.image.pillow import write_with_pillow
from restore.image.png import write_png
from restore.image.pnm import write_pnm
from restore.image.radiance import write_radiance
from restore.image.tiff_writer import write_tiff, write_tiff_rows
from restore.image.transfer import linear_to_srgb, srgb_to_linear
from restore.image.upright import upright

__all__ = ["BIT_DEPTHS", "check_depth", "encode", "encode_rows"]

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
_WITHOUT_ALPHA = {ImageFormat.JPEG: "png", ImageFormat.PPM: "png", ImageFormat.HDR: "exr"}


def check_depth(
    image_format: ImageFormat, bit_depth: int | None, *, is_light: bool = False
) -> None:
    """Refuse a number of bits per sample that a container is not written with.

    Args:
        image_format: any.
        bit_depth: what is asked for, if anything.
        is_light: what is written is scene-linear light, of which the integers of a TIFF would lose
            all that is brighter than white.

    Raises:
        UsageError: says what it holds.
    """
    if bit_depth is None:
        return
    # DNG is written elsewhere, from what the sensor measured.
    held = (16,) if image_format is ImageFormat.DNG else BIT_DEPTHS.get(image_format, ())
    what = "holds"
    if is_light and image_format is ImageFormat.TIFF:
        held, what = (32,), "holds linear light in"
    if bit_depth not in held:
        depths = " or ".join(map(str, held))
        raise UsageError(f"{image_format.upper()} {what} {depths} bits per sample, not {bit_depth}")


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
    floating point ones other than those of a TIFF whose profile says that they are encoded; the ICC
    profile, which then no longer applies, is left out, and colours get sRGB's primaries where the
    container cannot state theirs. Colour is multiplied by alpha in OpenEXR, in TIFF as it was, and
    nowhere else. Where a container cannot hold the orientation, the pixels are turned and EXIF and
    XMP, which might tell viewers to turn them again, are left out.

    Args:
        picture: what to write.
        image_format: any but BMP and DNG.
        bit_depth: bits per sample, see ``BIT_DEPTHS``; None keeps the picture's own where the
            container can hold it.
        quality: 1 to 100 for JPEG (95), WebP (95, or lossless as it was; 100 is lossless) and
            AVIF (90).
        strip_metadata: leave out EXIF, XMP and the container's notes; orientation is applied to the
            pixels, and the ICC profile stays, since without it the colours would change.

    Raises:
        UsageError: a depth or quality that the container does not have.
        OutputError: the container cannot hold this picture.
    """
    if image_format not in BIT_DEPTHS:
        raise UsageError(f"{image_format.upper()} is not written; use --format png")
    check_depth(image_format, bit_depth)
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality {quality}: give a number from 1 to 100")

    picture, depth, as_float = _stored_form(picture, image_format, bit_depth, strip_metadata)
    with _named_errors(image_format):
        return _written(picture, image_format, depth, as_float, quality)


def encode_rows(
    file: BinaryIO,
    like: Picture,
    height: int,
    rows: Callable[[int, int], Picture],
    *,
    bit_depth: int | None = None,
    strip_metadata: bool = False,
) -> None:
    """Write a picture that need not be in memory to a TIFF: the bytes that ``encode`` returns.

    Args:
        file: empty, to be written and read at any place.
        like: has all but the rows of the picture.
        height: how many rows there are.
        rows: returns those from a first to, exclusive, a last one; called from top to bottom.
        bit_depth: as for ``encode``.
        strip_metadata: as for ``encode``, for pictures that are stored upright.

    Raises:
        OutputError: TIFF cannot hold this picture.
    """

    def stored(picture: Picture) -> tuple[Picture, int, bool]:
        return _stored_form(picture, ImageFormat.TIFF, bit_depth, strip_metadata)

    like, depth, as_float = stored(like)
    with _named_errors(ImageFormat.TIFF):
        write_tiff_rows(
            file,
            like,
            height,
            lambda start, stop: stored(rows(start, stop))[0],
            depth,
            as_float=as_float,
        )


@contextmanager
def _named_errors(image_format: ImageFormat) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise OutputError("the result needs more memory than there is") from error
    except (ValueError, RuntimeError, struct.error) as error:
        raise OutputError(f"{image_format.upper()} cannot hold this picture: {error}") from error


def _stored_form(
    picture: Picture, image_format: ImageFormat, bit_depth: int | None, strip_metadata: bool
) -> tuple[Picture, int, bool]:
    """Return a picture as a container holds it, its bits per sample, and whether as floats."""
    keeps_float = bit_depth is None and picture.is_float and image_format is ImageFormat.TIFF
    depth = bit_depth or _own_depth(picture, image_format)
    as_float = keeps_float or depth == 32 or image_format is ImageFormat.EXR
    if strip_metadata or not _holds_orientation(picture, image_format):
        picture = upright(picture)
    if strip_metadata:
        picture = replace(picture, notes=b"")
    linear = as_float and not (keeps_float and picture.transfer is Transfer.SRGB)
    picture = _with_transfer(_with_alpha(picture, image_format), image_format, linear=linear)
    return picture, depth, as_float


def _own_depth(picture: Picture, image_format: ImageFormat) -> int:
    depths = BIT_DEPTHS[image_format]
    if image_format is ImageFormat.EXR:
        # Half floats have 11 significant bits: enough for 8-bit samples, not for 16-bit ones.
        return 16 if picture.bit_depth == (16 if picture.is_float else 8) else 32
    if picture.is_float and image_format is not ImageFormat.TIFF:
        return depths[-1]
    return picture.bit_depth if picture.bit_depth in depths else depths[0]


def _holds_orientation(picture: Picture, image_format: ImageFormat) -> bool:
    if image_format is ImageFormat.TIFF:
        return True  # a tag of its own
    if image_format in _WITHOUT_METADATA:
        return False
    return orientation_of(picture.exif) == picture.orientation


def _with_alpha(picture: Picture, image_format: ImageFormat) -> Picture:
    """Return the picture with the kind of alpha that the container holds.

    Raises:
        OutputError: it holds none, and something shows through.
    """
    if image_format in _WITHOUT_ALPHA:
        if not is_opaque(picture):
            other = _WITHOUT_ALPHA[image_format]
            raise OutputError(
                f"{image_format.upper()} cannot hold an alpha channel; use --format {other}"
            )
        return replace(picture, alpha=None, alpha_is_premultiplied=False)
    if image_format is ImageFormat.TIFF:
        return picture
    if not picture.alpha_is_opacity and not is_opaque(picture):
        raise OutputError(
            f"{image_format.upper()} would take the fourth channel for opacity, which it is not "
            "said to be; use --format tiff"
        )
    return with_alpha_kind(picture, premultiplied=image_format is ImageFormat.EXR)


def _with_transfer(picture: Picture, image_format: ImageFormat, *, linear: bool) -> Picture:
    """Return samples that are linear or encoded, of primaries that the file will state."""
    is_linear = picture.transfer is Transfer.LINEAR
    # Other containers of encoded samples hold the profile, which states them.
    is_bare = linear or image_format is ImageFormat.PPM
    if linear == is_linear and (not is_bare or _states_primaries(picture, image_format)):
        return picture
    straight = with_alpha_kind(picture, premultiplied=False)
    light = straight if is_linear else _recoded(straight, srgb_to_linear, Transfer.LINEAR)
    if image_format is not ImageFormat.EXR:
        light = in_srgb_primaries(light)
    stored = light if linear else _recoded(light, linear_to_srgb, Transfer.SRGB)
    return with_alpha_kind(stored, premultiplied=picture.alpha_is_premultiplied)


def _states_primaries(light: Picture, image_format: ImageFormat) -> bool:
    has_profile = image_format is ImageFormat.TIFF and light.icc is not None
    return not light.primaries or image_format is ImageFormat.EXR or has_profile


def _recoded(
    picture: Picture, curve: Callable[[NDArray[np.float32]], NDArray[np.float32]], to: Transfer
) -> Picture:
    """Return other samples of the same colours, which the profile does not describe any more."""
    return replace(picture, pixels=curve(picture.pixels), transfer=to, icc=None, png_chunks=b"")


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
        case ImageFormat.PNG:
            return write_png(picture, depth)
    return write_with_pillow(picture, image_format, quality)
