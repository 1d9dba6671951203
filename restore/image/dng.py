"""Writing DNG: mosaics as the sensor gave them, and linear RGB that RAW converters develop."""

import io
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from restore.image.colour import SRGB_TO_XYZ
from restore.image.metadata import DESCRIPTIVE_TAGS, ORIENTATION
from restore.image.raw_picture import RawPicture
from restore.image.tiff_exif import front_exif
from restore.image.tiff_tags import ExtraTag, extra_tags

__all__ = ["write_cfa_dng", "write_linear_dng"]

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
_CFA, _LINEAR_RAW = 32803, 34892
_MODEL = 272
_VERSION, _OLDEST_READER = (1, 4, 0, 0), (1, 3, 0, 0)
_D65 = 21
_DENOMINATOR = 10_000


def write_cfa_dng(raw: RawPicture) -> bytes:
    """Encode a mosaic with its metadata.

    Adobe's Digital Negative specification 1.4, uncompressed, one 16-bit sample per pixel.
    """
    side = raw.cfa.shape[0]
    colours = np.minimum(raw.cfa, 3)
    black = np.asarray(raw.black_level)[colours].flatten()
    tags: list[ExtraTag] = [
        (33421, _SHORT, 2, (side, side), True),  # CFARepeatPatternDim
        (33422, _BYTE, side * side, bytes(np.where(colours == 3, 1, colours).flatten()), True),
        (50710, _BYTE, 3, bytes((0, 1, 2)), True),  # CFAPlaneColor
        (50711, _SHORT, 1, 1, True),  # CFALayout: rectangular
        (50713, _SHORT, 2, (side, side), True),  # BlackLevelRepeatDim
        (50714, _RATIONAL, side * side, _fractions(black), True),  # BlackLevel
        (50717, _LONG, 1, round(raw.white_level), True),  # WhiteLevel
    ]
    return _written(raw.mosaic, _CFA, raw, tags)


def write_linear_dng(linear: NDArray[np.float32], raw: RawPicture) -> bytes:
    """Encode demosaicked camera RGB, before white balance, as 16-bit linear RAW.

    Args:
        linear: ``[3, H, W]`` in [0, 1], black at 0 and sensor white at 1.
        raw: RAW picture that gives the colour matrix, white balance, orientation and EXIF.
    """
    samples = np.rint(np.clip(linear, 0, 1) * np.float32(65535)).astype(np.uint16)
    interleaved = np.ascontiguousarray(np.moveaxis(samples, 0, -1))
    tags: list[ExtraTag] = [
        (50714, _SHORT, 3, (0, 0, 0), True),  # BlackLevel
        (50717, _LONG, 3, (65535, 65535, 65535), True),  # WhiteLevel
    ]
    return _written(interleaved, _LINEAR_RAW, raw, tags)


def _written(
    samples: NDArray[np.uint16], photometric: int, raw: RawPicture, tags: list[ExtraTag]
) -> bytes:
    exif = front_exif(raw.exif)
    main = {tag: entry for tag, entry in exif.main.items() if tag in DESCRIPTIVE_TAGS}
    model = main[_MODEL].data.rstrip(b"\x00") if _MODEL in main else b""
    matrix = np.linalg.inv(SRGB_TO_XYZ) if raw.xyz_to_camera is None else raw.xyz_to_camera
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=exif.order) as tiff:
        exif.begin(buffer)
        tiff.write(
            samples,
            photometric=photometric,
            planarconfig="contig" if samples.ndim == 3 else None,
            metadata=None,
            software=False,
            description=None,
            extratags=[
                *extra_tags([(main, exif.order)], exif.order),
                (ORIENTATION, _SHORT, 1, raw.orientation, True),
                (50706, _BYTE, 4, bytes(_VERSION), True),
                (50707, _BYTE, 4, bytes(_OLDEST_READER), True),
                (50708, _ASCII, 0, model or b"imrestore", True),  # UniqueCameraModel
                (50721, _SRATIONAL, 9, _fractions(matrix.flatten()), True),  # ColorMatrix1
                (50728, _RATIONAL, 3, _fractions(1 / np.array(raw.white_balance)), True),
                (50778, _SHORT, 1, _D65, True),  # CalibrationIlluminant1
                *tags,
                *exif.places,
            ],
        )
    exif.finish(buffer)
    return buffer.getvalue()


def _fractions(values: NDArray[np.floating[Any]]) -> tuple[int, ...]:
    """Return each value as a numerator followed by its denominator."""
    return tuple(
        number for value in values for number in (round(float(value) * _DENOMINATOR), _DENOMINATOR)
    )
