"""Mosaics developed as LibRaw develops a RAW file, to be looked at or written as pictures."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import InputError, OutputError
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb
from restore.image.demosaic import enlarged
from restore.image.develop import gains_of
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.dng_metadata import DngTag, opcode_names
from restore.image.encode import check_depth, encode_as
from restore.image.icc_writer import srgb_profile
from restore.image.losses import note_loss
from restore.image.metadata import with_orientation
from restore.image.picture import Picture, upright_plane
from restore.image.raw import Look, develop_raw
from restore.image.raw_picture import RawPicture, normalised
from restore.scratch import scratch_folder

__all__ = ["developed", "encoded_mosaic", "unclipped_colours"]

_WHITE = np.float32(65535)
_SECONDS, _SECONDS_PER_MEGAPIXEL = 60.0, 5.0


def encoded_mosaic(raw: RawPicture, image_format: ImageFormat, options: WriteOptions) -> bytes:
    """Return the bytes of a file: a DNG of the mosaic or of linear colours, or a developed picture.

    ``strip_metadata`` leaves out EXIF and XMP; what a converter needs stays in a DNG.

    Raises:
        UsageError: a depth or quality that the container does not have.
        OutputError: the container cannot hold this picture, or it cannot be developed.
    """
    check_depth(image_format, options.bit_depth)
    if options.strip_metadata:
        raw = replace(raw, exif=None, xmp=None)
    if image_format is ImageFormat.DNG:
        return write_cfa_dng(raw)
    is_linear = image_format is ImageFormat.DNG_LINEAR
    # The third list is for colours, and stays with them.
    lists = DngTag.OPCODE_LISTS[:2] if is_linear else DngTag.OPCODE_LISTS
    for correction in _corrections(raw, lists):
        note_loss(f"its {correction} correction, which is not applied")
    if is_linear:
        return write_linear_dng(unclipped_colours(raw), raw)
    return encode_as(developed(raw), image_format, options)


def _corrections(raw: RawPicture, lists: Iterable[int]) -> Iterable[str]:
    stored = [raw.dng.tags[tag].data for tag in lists if raw.dng and tag in raw.dng.tags]
    return dict.fromkeys(name for each in stored for name in opcode_names(each))


def developed(raw: RawPicture) -> Picture:
    """Return a mosaic as a photograph: LibRaw's demosaicking, white balance and colours.

    It is upright, 16-bit sRGB, or gray from a monochrome sensor, neither brightened nor denoised.
    White is where the first colour saturates, so that what is blown is white.

    Raises:
        OutputError: LibRaw cannot develop it, as where memory is short.
    """
    raw = replace(raw, white_level=min(raw.saturated_from), saturation=None)
    if raw.is_monochrome:
        pixels = linear_to_srgb(normalised(raw)[None].clip(0, 1))
    else:
        pixels = _asked(raw, "photo") / _WHITE
    rows, columns = raw.shown
    exif = raw.exif
    return Picture(
        pixels=upright_plane(pixels[:, rows, columns], raw.orientation),
        bit_depth=16,
        exif=with_orientation(exif, 1) if exif else None,
        xmp=raw.xmp,
        icc=None if raw.is_monochrome else srgb_profile(),
    )


def unclipped_colours(raw: RawPicture) -> NDArray[np.float32]:
    """Return camera RGB before white balance, ``[3, H, W]``, or ``[1, H, W]`` if monochrome.

    Black is 0, the white level 1. Nothing is clipped by the white balance with which LibRaw's
    demosaicking compares colours.

    Raises:
        OutputError: as ``developed``.
    """
    if raw.is_monochrome:
        return normalised(raw)[None]
    gains = gains_of(raw.white_balance)
    factors: NDArray[np.float32] = gains.max() / gains / _WHITE
    return _asked(raw, "unclipped") * factors[:, None, None]


def _asked(raw: RawPicture, look: Look) -> NDArray[np.uint16]:
    """Return LibRaw's development, ``[3, H, W]``, not cropped and not rotated."""
    # Without a name for the camera, and with a white balance, LibRaw takes the colours in the file
    # and none of its own.
    bare = replace(
        raw,
        make="",
        model="",
        exif=None,
        xmp=None,
        dng=None,
        default_crop=None,
        has_white_balance=True,
    )
    try:
        with scratch_folder() as folder:
            path = Path(folder, "mosaic.dng")
            path.write_bytes(write_cfa_dng(enlarged(bare)))
            megapixels = raw.width * raw.height / 1e6
            seconds = _SECONDS + _SECONDS_PER_MEGAPIXEL * megapixels
            developed = develop_raw(path, look, seconds=seconds)
            return developed[:, : raw.height, : raw.width]
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise OutputError(f"cannot be developed: {reason}; --format dng needs less") from error
