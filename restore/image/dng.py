"""Writing DNG: mosaics as the sensor gave them, and linear RGB that RAW converters develop.

Adobe, "Digital Negative Specification", version 1.4.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.image.colour import SRGB_TO_XYZ
from restore.image.dng_file import dng_file
from restore.image.dng_metadata import MAIN_TAGS, RAW_TAGS, DngMetadata, DngTag
from restore.image.dng_preview import (
    Preview,
    preview_of_light,
    preview_of_mosaic,
    preview_of_picture,
)
from restore.image.dng_tiles import Tiles, float_tiles, lossless_tiles
from restore.image.ifd import Directory, ValueType, entry_of, reordered
from restore.image.metadata import DESCRIPTIVE_TAGS, ORIENTATION
from restore.image.picture import Picture
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture
from restore.image.tiff_exif import FrontExif, front_exif

__all__ = ["write_cfa_dng", "write_linear_dng"]

_BYTE = 1
_ASCII, _SHORT, _LONG = ValueType.ASCII, ValueType.SHORT, ValueType.LONG
_RATIONAL, _SRATIONAL = ValueType.RATIONAL, ValueType.SRATIONAL
_YCBCR, _CFA, _LINEAR_RAW = 6, 32803, 34892
_DEFLATE, _JPEG = 8, 7
_FLOAT_DIFFERENCES = 3
_SOFTWARE, _MAKE, _MODEL, _XMP = 305, 271, 272, 700
_VERSION, _OLDEST_READER = (1, 4, 0, 0), (1, 3, 0, 0)
_D65 = 21
_SRGB = 2
_ACTIVE_AREA = DngTag.ACTIVE_AREA
_WHITE = 65535
_MOST_HEADROOM = 64.0
"""Six stops: what is brighter is clipped."""

_MOST_PEDESTAL = _WHITE // 8
_ROWS_AT_ONCE = 64
# What the writer says itself, from the fields of the RAW picture, and what holds no longer.
_OWN_TAGS = frozenset(
    {
        *(DngTag.UNIQUE_CAMERA_MODEL, DngTag.AS_SHOT_NEUTRAL, DngTag.AS_SHOT_WHITE_XY),
        *(DngTag.BASELINE_EXPOSURE, _ACTIVE_AREA),
        *(DngTag.DEFAULT_CROP_ORIGIN, DngTag.DEFAULT_CROP_SIZE),
    }
)
_OF_MOSAIC = frozenset({*DngTag.OPCODE_LISTS[:2], DngTag.NOISE_PROFILE, DngTag.BAYER_GREEN_SPLIT})
"""What is true of a mosaic, not of what is demosaicked from it."""


def write_cfa_dng(raw: RawPicture, *, preview: Picture | None = None) -> bytes:
    """Encode a mosaic with its metadata, lossless, 16 bits a sample.

    Args:
        raw: RAW picture. What its ``dng`` says is written as it is.
        preview: Picture to be shown by file managers, as it lies on the sensor, not rotated; None
            to make one of the mosaic.
    """
    shown = preview_of_mosaic(raw) if preview is None else preview_of_picture(preview)
    exif = front_exif(raw.exif, raw.dng.order if raw.dng else "<")
    mosaic, (top, left) = _with_margins(raw)
    area = (top, left, top + raw.height, left + raw.width)
    tiles = lossless_tiles(mosaic)
    below = {
        **_picture_tags(mosaic.shape, tiles, 1, exif),
        **_scale(raw, exif),
        **_kept(raw.dng, RAW_TAGS, exif),
        **_pattern(raw, exif),
        **_levels(raw, exif),
        _ACTIVE_AREA: entry_of(_LONG, area, exif.order),
        **_crop(raw, exif),
    }
    main = _main(raw, shown, raw.baseline_exposure, exif)
    return dng_file(exif, main, shown.data, below, tiles.data)


def write_linear_dng(
    linear: NDArray[np.float32],
    raw: RawPicture,
    *,
    preview: Picture | None = None,
    as_float: bool = False,
) -> bytes:
    """Encode demosaicked camera RGB, before white balance, as linear RAW.

    Light above 1 is kept, up to six stops: all is scaled so that the brightest is white, and
    BaselineExposure tells converters to brighten it again. So is noise below black, for the mean of
    a shadow is right only with it: black lies at a code above 0, except where samples are floats.

    Args:
        linear: ``[3, H, W]``, or ``[1, H, W]`` of a monochrome sensor; black at 0 and sensor white
            at 1.
        raw: RAW picture that gives everything else.
        preview: As for ``write_cfa_dng``.
        as_float: Whether samples are 16-bit floats rather than integers, which keeps shadows where
            highlights are far above 1.
    """
    shown = preview_of_light(linear, raw) if preview is None else preview_of_picture(preview)
    exif = front_exif(raw.exif, raw.dng.order if raw.dng else "<")
    planes, height, width = linear.shape
    lowest, highest = _extremes(linear)
    peak = max(1.0, highest)
    white, black = (1, 0) if as_float else (_WHITE, _black_code(lowest / peak))
    codes: NDArray[Any] = np.empty((height, width, planes), np.float16 if as_float else np.uint16)
    for rows in _bands(linear):
        samples = np.moveaxis(_kept_light(linear[:, rows]) / np.float32(peak), 0, -1)
        if as_float:
            codes[rows] = samples.clip(0, None)
        else:
            levels = samples * np.float32(_WHITE - black) + np.float32(black)
            codes[rows] = np.rint(levels).clip(0, _WHITE)
    if as_float:
        tiles = float_tiles(codes)
    else:
        tiles = lossless_tiles(codes if planes == 3 else codes[..., 0])
    below = {
        **_picture_tags(codes.shape, tiles, planes, exif),
        **_scale(raw, exif),
        **_kept(raw.dng, RAW_TAGS - _OF_MOSAIC, exif),
        262: entry_of(_SHORT, [_LINEAR_RAW], exif.order),
        50714: entry_of(_SHORT, [black] * planes, exif.order),  # BlackLevel
        50717: entry_of(_LONG, [white] * planes, exif.order),  # WhiteLevel
        _ACTIVE_AREA: entry_of(_LONG, (0, 0, height, width), exif.order),
    }
    if (height, width) == raw.mosaic.shape:
        below |= _crop(raw, exif)
    if as_float:
        below[259] = entry_of(_SHORT, [_DEFLATE], exif.order)
        below[317] = entry_of(_SHORT, [_FLOAT_DIFFERENCES], exif.order)
        below[339] = entry_of(_SHORT, [3] * planes, exif.order)
    # What is demosaicked was balanced with it, stated or not.
    balanced = replace(raw, has_white_balance=True)
    main = _main(balanced, shown, raw.baseline_exposure + math.log2(peak), exif)
    return dng_file(exif, main, shown.data, below, tiles.data)


def _bands(linear: NDArray[np.float32]) -> Iterator[slice]:
    """Yield rows of ``[C, H, W]``, a few at a time, for what takes several times their memory."""
    for top in range(0, linear.shape[1], _ROWS_AT_ONCE):
        yield slice(top, top + _ROWS_AT_ONCE)


def _kept_light(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return finite light of at most six stops above 1."""
    return np.nan_to_num(linear, posinf=_MOST_HEADROOM).clip(None, _MOST_HEADROOM)


def _extremes(linear: NDArray[np.float32]) -> tuple[float, float]:
    """Return the least light, at most 0, and the most, at least 0."""
    lowest, highest = 0.0, 0.0
    for rows in _bands(linear):
        light = _kept_light(linear[:, rows])
        lowest = min(lowest, float(light.min(initial=0)))
        highest = max(highest, float(light.max(initial=0)))
    return lowest, highest


def _black_code(lowest: float) -> int:
    """Return the code of black that leaves room for what is below it, at most an eighth of all."""
    below = -lowest
    return min(math.ceil(_WHITE * below / (1 + below)), _MOST_PEDESTAL)


def _main(raw: RawPicture, preview: Preview, exposure: float, exif: FrontExif) -> Directory:
    """Return the first directory but for its pointers: the preview and all metadata."""
    order = exif.order
    described = {tag: entry for tag, entry in exif.main.items() if tag in DESCRIPTIVE_TAGS}
    main = {
        **described,
        **_matrix(raw, exif),
        **_kept(raw.dng, MAIN_TAGS, exif),
        254: entry_of(_LONG, [1], order),
        256: entry_of(_LONG, [preview.width], order),
        257: entry_of(_LONG, [preview.height], order),
        258: entry_of(_SHORT, [8, 8, 8], order),
        259: entry_of(_SHORT, [_JPEG], order),
        262: entry_of(_SHORT, [_YCBCR], order),
        277: entry_of(_SHORT, [3], order),
        278: entry_of(_LONG, [preview.height], order),
        284: entry_of(_SHORT, [1], order),
        530: entry_of(_SHORT, [2, 2], order),  # YCbCrSubSampling
        531: entry_of(_SHORT, [1], order),  # YCbCrPositioning
        ORIENTATION: entry_of(_SHORT, [raw.orientation], order),
        _SOFTWARE: entry_of(_ASCII, _text(f"imrestore {version('imrestore')}"), order),
        50706: entry_of(_BYTE, bytes(_VERSION), order),
        50707: entry_of(_BYTE, bytes(_OLDEST_READER), order),
        DngTag.UNIQUE_CAMERA_MODEL: entry_of(_ASCII, _text(_camera(raw)), order),
        DngTag.BASELINE_EXPOSURE: entry_of(_SRATIONAL, [exposure], order),
        50970: entry_of(_LONG, [_SRGB], order),  # PreviewColorSpace
    }
    for tag, text in ((_MAKE, raw.make), (_MODEL, raw.model)):
        if text and tag not in main:
            main[tag] = entry_of(_ASCII, _text(text), order)
    if raw.has_white_balance:
        neutral = [1 / factor for factor in raw.white_balance]
        main[DngTag.AS_SHOT_NEUTRAL] = entry_of(_RATIONAL, neutral, order)
    if raw.xmp:
        main[_XMP] = entry_of(_BYTE, raw.xmp, order)
    return main


def _picture_tags(shape: Sequence[int], tiles: Tiles, planes: int, exif: FrontExif) -> Directory:
    """Return how the full picture is stored."""
    order = exif.order
    return {
        254: entry_of(_LONG, [0], order),
        256: entry_of(_LONG, [shape[1]], order),
        257: entry_of(_LONG, [shape[0]], order),
        258: entry_of(_SHORT, [16] * planes, order),
        259: entry_of(_SHORT, [_JPEG], order),
        277: entry_of(_SHORT, [planes], order),
        284: entry_of(_SHORT, [1], order),
        322: entry_of(_LONG, [tiles.width], order),
        323: entry_of(_LONG, [tiles.height], order),
    }


def _pattern(raw: RawPicture, exif: FrontExif) -> Directory:
    if raw.is_monochrome:
        return {262: entry_of(_SHORT, [_LINEAR_RAW], exif.order)}
    colours = np.where(raw.cfa == SECOND_GREEN, GREEN, raw.cfa).astype(np.uint8)
    return {
        262: entry_of(_SHORT, [_CFA], exif.order),
        33421: entry_of(_SHORT, colours.shape, exif.order),  # CFARepeatPatternDim
        33422: entry_of(_BYTE, colours.tobytes(), exif.order),
        50710: entry_of(_BYTE, bytes((0, 1, 2)), exif.order),  # CFAPlaneColor
        50711: entry_of(_SHORT, [1], exif.order),  # CFALayout: rectangular
    }


def _levels(raw: RawPicture, exif: FrontExif) -> Directory:
    black = np.asarray(raw.black_level)[raw.cfa]
    if (black == black[0, 0]).all():
        black = black[:1, :1]
    return {
        50713: entry_of(_SHORT, black.shape, exif.order),  # BlackLevelRepeatDim
        50714: entry_of(_RATIONAL, black.flatten().tolist(), exif.order),
        50717: entry_of(_LONG, [round(raw.white_level)], exif.order),
    }


def _crop(raw: RawPicture, exif: FrontExif) -> Directory:
    rows, columns = raw.shown
    origin = columns.start, rows.start
    size = columns.stop - columns.start, rows.stop - rows.start
    return {
        DngTag.DEFAULT_CROP_ORIGIN: entry_of(_LONG, origin, exif.order),
        DngTag.DEFAULT_CROP_SIZE: entry_of(_LONG, size, exif.order),
    }


def _scale(raw: RawPicture, exif: FrontExif) -> Directory:
    """Return what converters stretch the picture by, where the source does not say it itself."""
    if raw.pixel_aspect == 1:
        return {}
    factors = max(raw.pixel_aspect, 1.0), max(1 / raw.pixel_aspect, 1.0)
    return {DngTag.DEFAULT_SCALE: entry_of(_RATIONAL, factors, exif.order)}


def _matrix(raw: RawPicture, exif: FrontExif) -> Directory:
    """Return the colour matrix, unless the source says its own."""
    if raw.dng and any(tag in raw.dng.tags for tag in DngTag.COLOR_MATRIX):
        return {}
    matrix = np.linalg.inv(SRGB_TO_XYZ) if raw.xyz_to_camera is None else raw.xyz_to_camera
    if raw.is_monochrome and raw.xyz_to_camera is None:
        return {}
    # Four digits are what such matrices are published with.
    flat = np.round(matrix.astype(np.float64), 4).flatten().tolist()
    return {
        DngTag.COLOR_MATRIX[0]: entry_of(_SRATIONAL, flat, exif.order),
        DngTag.ILLUMINANT[0]: entry_of(_SHORT, [_D65], exif.order),
    }


def _kept(dng: DngMetadata | None, tags: frozenset[int], exif: FrontExif) -> Directory:
    """Return what the source says, in the byte order of the file."""
    if dng is None:
        return {}
    return {
        tag: reordered(entry, dng.order, exif.order)
        for tag, entry in dng.tags.items()
        if tag in tags and tag not in _OWN_TAGS
    }


def _with_margins(raw: RawPicture) -> tuple[NDArray[np.uint16], tuple[int, int]]:
    """Return the mosaic, and where it begins in what is stored.

    The places in the first list of opcodes are counted from the corner of the whole sensor: with
    margins as wide as the source's they stay right.
    """
    dng = raw.dng
    if dng is None or DngTag.OPCODE_LISTS[0] not in dng.tags:
        return raw.mosaic, (0, 0)
    area = [int(number) for number in dng.numbers(_ACTIVE_AREA)]
    if len(area) != 4 or (area[2] - area[0], area[3] - area[1]) != raw.mosaic.shape:
        return raw.mosaic, (0, 0)
    top, left, _, _ = area
    if not (0 <= top <= raw.height and 0 <= left <= raw.width):
        return raw.mosaic, (0, 0)
    black = round(min(raw.black_level))
    return np.pad(raw.mosaic, ((top, 0), (left, 0)), constant_values=black), (top, left)


def _camera(raw: RawPicture) -> str:
    """Return UniqueCameraModel: the source's, else maker and model."""
    if raw.dng and raw.dng.unique_camera_model:
        return raw.dng.unique_camera_model
    maker = raw.make.split(" ")[0]
    is_named = raw.model.lower().startswith(maker.lower())
    return (raw.model if is_named else f"{maker} {raw.model}").strip() or "imrestore"


def _text(text: str) -> bytes:
    return text.encode() + b"\x00"
