"""Writing TIFF with its blocks: ICC and XMP as they are, EXIF as directories of its own."""

import io
from typing import Any

import numpy as np
import tifffile

from restore.image.metadata import EXIF_IFD, GPS_IFD, ORIENTATION, exif_directories
from restore.image.picture import Picture
from restore.image.samples import stored_samples
from restore.image.tiff_directories import (
    ExtraTag,
    append_directories,
    descriptive_texts,
    directory_places,
)

__all__ = ["write_tiff"]

_XMP = 700
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_BYTE, _SHORT = 1, 3
_MOST_CLASSIC_BYTES = (1 << 32) - (1 << 26)
_PIXELS_PER_STRIP = 1 << 18
# Measured on photographs: as small as level 6 to within two percent, in two thirds of the time.
_DEFLATE_LEVEL = 4
_DTYPES: dict[tuple[int, bool], type[np.generic]] = {
    (8, False): np.uint8,
    (16, False): np.uint16,
    (16, True): np.float16,
    (32, True): np.float32,
}


def write_tiff(picture: Picture, bit_depth: int, *, as_float: bool) -> bytes:
    """Encode ``picture`` as a deflated TIFF, beyond 4 GB of samples as BigTIFF without EXIF.

    Args:
        picture: samples in the values to be stored.
        bit_depth: 8 or 16 for integers, 16 or 32 for floats.
        as_float: store floating point samples.
    """
    samples = stored_samples(picture, _DTYPES[bit_depth, as_float])
    is_big = samples.nbytes > _MOST_CLASSIC_BYTES
    main, details, gps = exif_directories(picture.exif) if picture.exif else ({}, {}, {})
    directories = {} if is_big else {EXIF_IFD: details, GPS_IFD: gps}
    written = {code: entries for code, entries in directories.items() if entries}
    has_alpha = picture.alpha is not None
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        samples,
        bigtiff=is_big,
        byteorder="<",
        photometric="rgb" if picture.channels == 3 else "minisblack",
        planarconfig="contig" if picture.channels == 3 or has_alpha else None,
        extrasamples=[_extra_sample(picture)] if has_alpha else None,
        compression="zlib",
        compressionargs={"level": _DEFLATE_LEVEL},
        predictor=(bit_depth, as_float) != (16, True),
        rowsperstrip=max(1, _PIXELS_PER_STRIP // picture.width),
        iccprofile=picture.icc,
        metadata=None,
        software=False,
        description=None,
        maxworkers=1,
        extratags=_extra_tags(picture, main, written),
        **_resolution(main),
    )
    append_directories(buffer, written)
    return buffer.getvalue()


def _extra_sample(picture: Picture) -> str:
    if not picture.alpha_is_opacity:
        return "unspecified"
    return "assocalpha" if picture.alpha_is_premultiplied else "unassalpha"


def _resolution(main: dict[int, Any]) -> dict[str, Any]:
    try:
        x, y = (
            (int(value.numerator), int(value.denominator))
            for value in (main[_X_RESOLUTION], main[_Y_RESOLUTION])
        )
    except (KeyError, AttributeError, ValueError, TypeError):
        return {}
    if not all(0 < number < 1 << 32 for number in (*x, *y)):
        return {}
    unit = main.get(_RESOLUTION_UNIT, 2)
    return {"resolution": (x, y), "resolutionunit": unit if unit in (1, 2, 3) else 2}


def _extra_tags(
    picture: Picture, main: dict[int, Any], directories: dict[int, dict[int, Any]]
) -> list[ExtraTag]:
    tags: list[ExtraTag] = []
    if picture.orientation != 1:
        tags.append((ORIENTATION, _SHORT, 1, picture.orientation, True))
    if picture.xmp:
        tags.append((_XMP, _BYTE, len(picture.xmp), picture.xmp, True))
    return [*tags, *descriptive_texts(main), *directory_places(directories)]
