"""Encoding a Picture as the bytes of a file."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import OutputError, UsageError
from restore.image.codec import Alpha, Codec, SampleEncoding, Samples, WriteOptions
from restore.image.codecs import CODECS, ImageFormat
from restore.image.colour import in_srgb_primaries, linear_to_srgb
from restore.image.losses import note_loss
from restore.image.lost_metadata import stripped_notes, with_true_metadata
from restore.image.metadata import orientation_of
from restore.image.picture import Picture, Transfer, is_opaque, upright, with_alpha_kind
from restore.image.stated import stated_profile
from restore.image.tiff_writer import write_tiff_rows
from restore.image.tone import light_of, tone_of

__all__ = ["check_depth", "encode", "encode_as", "encode_rows"]


def check_depth(
    image_format: ImageFormat, bit_depth: int | None, *, is_light: bool = False
) -> None:
    """Refuse a bit depth that a format is not written with.

    Args:
        image_format: Format to write.
        bit_depth: Requested bits per sample, or None.
        is_light: Whether scene-linear light is written, of which integers would lose everything
            above white.

    Raises:
        UsageError: the format is not written with this depth; the message names those that it is.
    """
    if bit_depth is None:
        return
    codec = CODECS[image_format]
    held, what = codec.bit_depths, "holds"
    if is_light and codec.samples is Samples.EITHER:
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

    Samples that come unchanged from ``decode`` are stored unchanged in a lossless container of the
    same depth. For integer samples, linear light is sRGB-encoded and clipped; for floating point
    samples, sRGB is linearised, except in a TIFF whose profile says that its samples are encoded.
    The ICC profile, which then no longer applies, is left out, and colours are converted to sRGB's
    primaries where the container cannot state theirs. Alpha is premultiplied in OpenEXR, straight
    elsewhere; TIFF keeps it as it was. Where a container cannot hold the orientation, the pixels
    are rotated, and EXIF and XMP are left out: viewers might rotate the pixels again.

    Args:
        picture: what to write.
        image_format: any but BMP, JPEG 2000 and DNG.
        bit_depth: bits per sample; None keeps the picture's own where the container can hold it.
        quality: 1 to 100 for JPEG (95, or as it was if that is at least 90), WebP and JPEG XL (95,
            or lossless as it was; 100 is lossless), AVIF and HEIC (90). Without it, a JPEG whose
            pixels are unchanged keeps its coded data.
        strip_metadata: leave out EXIF, XMP and the container's notes; orientation is applied to the
            pixels, and the ICC profile stays, since without it the colours would change.

    Raises:
        UsageError: a depth or quality that the container does not have.
        OutputError: the container cannot hold this picture.
    """
    options = WriteOptions(bit_depth=bit_depth, quality=quality, strip_metadata=strip_metadata)
    return encode_as(picture, image_format, options)


def encode_as(picture: Picture, image_format: ImageFormat, options: WriteOptions) -> bytes:
    """Return the bytes of a file, as ``encode`` does.

    Raises:
        UsageError: as ``encode``.
        OutputError: as ``encode``.
    """
    codec = CODECS[image_format]
    if not codec.writer:
        why = "is made of RAW files only" if codec.is_for_mosaics else "is not written"
        raise UsageError(f"{image_format.upper()} {why}; use {argument('image_format', 'png')}")
    check_depth(image_format, options.bit_depth)
    if options.quality is not None and not 1 <= options.quality <= 100:
        raise UsageError(f"quality {options.quality}: give a number from 1 to 100")
    stored, encoding = _stored_form(_true(picture, image_format, options), image_format, options)
    with _named_errors(image_format):
        return codec.write(stored, encoding)


def encode_rows(
    file: BinaryIO,
    like: Picture,
    height: int,
    rows: Callable[[int, int], Picture],
    options: WriteOptions,
) -> None:
    """Write a picture to a TIFF some rows at a time; the bytes are those that ``encode`` returns.

    Args:
        file: Empty seekable file, open for reading and writing.
        like: Picture without rows that gives everything else.
        height: Height of the picture in pixels.
        rows: Function that returns the rows from ``start`` up to, but not including, ``stop``;
            called from top to bottom.
        options: As for ``encode_as``; metadata can only be stripped from upright pictures.

    Raises:
        OutputError: TIFF cannot hold this picture.
    """

    def stored(start: int, stop: int) -> Picture:
        return _stored_form(rows(start, stop), ImageFormat.TIFF, options)[0]

    like = _true(like, ImageFormat.TIFF, options)
    like, encoding = _stored_form(like, ImageFormat.TIFF, options)
    with _named_errors(ImageFormat.TIFF):
        write_tiff_rows(file, like, height, stored, encoding)


@contextmanager
def _named_errors(image_format: ImageFormat) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise OutputError("the result needs more memory than there is") from error
    except (ValueError, RuntimeError, struct.error) as error:
        raise OutputError(f"{image_format.upper()} cannot hold this picture: {error}") from error


def _stored_form(
    picture: Picture, image_format: ImageFormat, options: WriteOptions
) -> tuple[Picture, SampleEncoding]:
    """Return a picture with the values that a container stores, and how it stores them."""
    codec, bit_depth = CODECS[image_format], options.bit_depth
    keeps_float = bit_depth is None and picture.is_float and codec.samples is Samples.EITHER
    depth = bit_depth or _own_depth(picture, codec)
    as_float = keeps_float or depth == 32 or codec.samples is Samples.FLOAT
    if picture.format is not None and bit_depth is None:
        _note_lost_depth(picture, codec, depth, as_float=as_float)
    if options.strip_metadata or not _holds_orientation(picture, codec):
        picture = upright(picture)
    if options.strip_metadata:
        picture = replace(picture, notes=stripped_notes(picture))
    linear = as_float and not (keeps_float and picture.transfer is Transfer.SRGB)
    picture = _with_transfer(_with_alpha(picture, image_format), codec, linear=linear)
    if picture.format is not image_format:
        picture = _with_profile(picture, codec)
    encoding = SampleEncoding(bit_depth=depth, is_float=as_float, quality=options.quality)
    return picture, encoding


def _true(picture: Picture, image_format: ImageFormat, options: WriteOptions) -> Picture:
    codec, strip = CODECS[image_format], options.strip_metadata
    holds_blocks = codec.holds_metadata and _holds_orientation(picture, codec)
    return with_true_metadata(picture, image_format, holds_blocks=holds_blocks, strip=strip)


def _note_lost_depth(picture: Picture, codec: Codec, depth: int, *, as_float: bool) -> None:
    if as_float:
        return
    if picture.is_float:
        note_loss(f"floating point: {codec.name} holds {depth} bits, from black to white")
    elif depth < picture.bit_depth:
        note_loss(f"{picture.bit_depth} bits: {codec.name} holds {depth}")


def _own_depth(picture: Picture, codec: Codec) -> int:
    depths = codec.bit_depths
    if codec.samples is Samples.FLOAT:
        # Half floats have 11 significant bits: enough for 8-bit samples, not for 16-bit ones.
        fits_half = picture.bit_depth == (16 if picture.is_float else 8)
        return 16 if fits_half and 16 in depths else 32
    if picture.is_float and codec.samples is Samples.INTEGER:
        return depths[-1]
    enough = [depth for depth in depths if depth >= picture.bit_depth and depth < 32]
    return enough[0] if enough else depths[-1]


def _holds_orientation(picture: Picture, codec: Codec) -> bool:
    if codec.holds_orientation:
        return True
    return codec.holds_metadata and orientation_of(picture.exif) == picture.orientation


def _with_alpha(picture: Picture, image_format: ImageFormat) -> Picture:
    """Return the picture with the kind of alpha that the container holds.

    Raises:
        OutputError: the container holds no alpha, and the picture is not opaque.
    """
    codec = CODECS[image_format]
    if codec.alpha is Alpha.NONE:
        if not is_opaque(picture):
            other = "exr" if codec.samples is Samples.FLOAT else "png"
            raise OutputError(
                f"{image_format.upper()} cannot hold an alpha channel; "
                f"use {argument('image_format', other)}"
            )
        return replace(picture, alpha=None, alpha_is_premultiplied=False)
    if codec.alpha is Alpha.EITHER:
        return picture
    if not picture.alpha_is_opacity and not is_opaque(picture):
        raise OutputError(
            f"{image_format.upper()} would take the fourth channel for opacity, but the file does "
            f"not declare it so; use {argument('image_format', 'tiff')}"
        )
    return with_alpha_kind(picture, premultiplied=codec.alpha is Alpha.PREMULTIPLIED)


def _with_transfer(picture: Picture, codec: Codec, *, linear: bool) -> Picture:
    """Return linear or encoded samples in a colour space that the file can state."""
    is_linear = picture.transfer is Transfer.LINEAR
    # In other containers of encoded samples, the ICC profile states the colour space.
    is_bare = linear or not codec.holds_profile
    is_stated = _states_primaries(picture, codec) and (is_linear or tone_of(picture) is None)
    if linear == is_linear and (not is_bare or is_stated):
        return picture
    if not (linear or is_linear):
        note_loss(f"its colour space: {codec.name} is written in sRGB")
    straight = with_alpha_kind(picture, premultiplied=False)
    light = _recoded(straight, light_of(straight), Transfer.LINEAR)
    if not codec.holds_primaries:
        light = in_srgb_primaries(light)
    stored = light if linear else _recoded(light, linear_to_srgb(light.pixels), Transfer.SRGB)
    return with_alpha_kind(stored, premultiplied=picture.alpha_is_premultiplied)


def _with_profile(picture: Picture, codec: Codec) -> Picture:
    """Return the picture with an ICC profile for what another container stated by other means."""
    is_stated = not codec.holds_profile or (codec.holds_cicp and picture.cicp)
    if picture.icc or is_stated or picture.transfer is Transfer.LINEAR:
        return picture
    profile = stated_profile(picture)
    if profile is None and picture.cicp and not picture.cicp.is_srgb:
        codes = f"{picture.cicp.primaries}/{picture.cicp.transfer}"
        note_loss(f"its colour space, code points {codes}, for which there is no profile")
    return replace(picture, icc=profile)


def _states_primaries(light: Picture, codec: Codec) -> bool:
    has_profile = codec.holds_profile and light.icc is not None
    return not light.primaries or codec.holds_primaries or has_profile


def _recoded(picture: Picture, pixels: NDArray[np.float32], to: Transfer) -> Picture:
    """Return the same colours in other samples, which the file's statements do not describe."""
    return replace(picture, pixels=pixels, transfer=to, icc=None, cicp=None, png_chunks=b"")
