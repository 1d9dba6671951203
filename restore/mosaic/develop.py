"""Mosaics developed as LibRaw develops a RAW file, to be looked at or written as pictures."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.demosaic import developed_by_libraw, light_of_sensor
from restore.image.develop import GUESSED_BALANCE, GUESSED_COLOURS, exposed, guessed_balance
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.dng_metadata import DngTag, opcode_names
from restore.image.encode import check_depth, encode_as
from restore.image.icc_writer import srgb_profile
from restore.image.losses import note_loss, note_remark
from restore.image.metadata import with_orientation
from restore.image.picture import Picture, upright_plane, upright_view
from restore.image.raw_picture import RawPicture, normalised
from restore.image.square_pixels import squared, stretch_remark
from restore.image.xmp import xmp_with_orientation

__all__ = ["developed", "encoded_mosaic"]

_CODES = 1 << 16
_ROWS_AT_ONCE = 256


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
    if raw.has_guessed_colours:
        note_remark(GUESSED_COLOURS)
    if image_format is ImageFormat.DNG:
        return write_cfa_dng(raw)
    is_linear = image_format is ImageFormat.DNG_LINEAR
    # The third list is for colours, and stays with them.
    lists = DngTag.OPCODE_LISTS[:2] if is_linear else DngTag.OPCODE_LISTS
    for correction in _corrections(raw, lists):
        note_loss(f"its {correction} correction, which is not applied")
    if not raw.has_white_balance and not raw.is_monochrome:
        note_remark(GUESSED_BALANCE)
    if is_linear:
        true = _with_true_white(_balanced(raw))
        light = light_of_sensor(true)
        return write_linear_dng(light[:1] if raw.is_monochrome else light, true)
    if stretched := stretch_remark(raw.pixel_aspect):
        note_remark(stretched)
    return encode_as(developed(raw), image_format, options)


def _corrections(raw: RawPicture, lists: Iterable[int]) -> Iterable[str]:
    stored = [raw.dng.tags[tag].data for tag in lists if raw.dng and tag in raw.dng.tags]
    return dict.fromkeys(name for each in stored for name in opcode_names(each))


def _with_true_white(raw: RawPicture) -> RawPicture:
    """Return a RAW picture whose white level is where the first colour saturates."""
    return replace(raw, white_level=min(raw.saturated_from), saturation=None)


def _balanced(raw: RawPicture) -> RawPicture:
    """Return a RAW picture with a white balance, guessed where the file states none."""
    if raw.has_white_balance or raw.is_monochrome:
        return raw
    return replace(raw, white_balance=guessed_balance(raw), has_white_balance=True)


def developed(raw: RawPicture) -> Picture:
    """Return a mosaic as a photograph: LibRaw's demosaicking, white balance and colours.

    It is upright, 16-bit sRGB, or gray from a monochrome sensor, and brightened by the
    BaselineExposure of a DNG, but not otherwise. White is where the first colour saturates, so that
    what is blown is white. Where no white balance is stated, the mean is taken to be gray. Pixels
    are made square.

    Raises:
        OutputError: LibRaw cannot develop it, as where memory is short.
    """
    true = _with_true_white(_balanced(raw))
    rows, columns = raw.shown
    stops = raw.baseline_exposure
    if raw.is_monochrome:
        light = normalised(true)[None, rows, columns]
        pixels = upright_plane(linear_to_srgb(exposed(light.clip(0, 1), stops)), raw.orientation)
    else:
        codes = developed_by_libraw(true, "photo")[:, rows, columns]
        codes = upright_view(codes, raw.orientation)
        samples = _samples_of_codes(stops)
        pixels = np.empty(codes.shape, dtype=np.float32)
        for top in range(0, codes.shape[1], _ROWS_AT_ONCE):
            part = slice(top, top + _ROWS_AT_ONCE)
            pixels[:, part] = samples[codes[:, part]]
    return Picture(
        pixels=squared(pixels, raw.pixel_aspect, raw.orientation),
        bit_depth=16,
        exif=with_orientation(raw.exif, 1) if raw.exif else None,
        xmp=xmp_with_orientation(raw.xmp, 1),
        icc=None if raw.is_monochrome else srgb_profile(),
    )


def _samples_of_codes(stops: float) -> NDArray[np.float32]:
    """Return the sRGB sample in [0, 1] that each code of LibRaw's stands for, ``[65536]``."""
    samples = np.linspace(0, 1, _CODES)
    if stops:
        samples = linear_to_srgb(exposed(srgb_to_linear(samples), stops))
    return samples.astype(np.float32)
