"""The EXIF block of a RAW file: its own where it is built like a TIFF, else what LibRaw found."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from restore.image.metadata import EXIF_IFD, ORIENTATION, bare_exif
from restore.image.tiff_exif import exif_of_tiff

__all__ = ["raw_exif"]

_DATE_TIME = 306
_EXPOSURE_TIME, _F_NUMBER, _ISO, _DATE_TIME_ORIGINAL = 33434, 33437, 34855, 36867
_FOCAL_LENGTH, _LENS_MODEL = 37386, 42036
_MOST_ISO = 65535


def raw_exif(path: Path, header: Mapping[str, Any]) -> bytes | None:
    """Return the EXIF block of a RAW file.

    Args:
        path: the file.
        header: what the child process read: ``exposure_time_s``, ``aperture``, ``iso``,
            ``focal_length_mm``, ``lens``, ``taken`` and ``orientation``; 0 or "" if not known.
    """
    with path.open("rb") as file:
        own = exif_of_tiff(file)
    return own or _made(header)


def _made(header: Mapping[str, Any]) -> bytes | None:
    block = Image.Exif()
    details = block.get_ifd(EXIF_IFD)
    if header["exposure_time_s"] > 0:
        details[_EXPOSURE_TIME] = _rational(header["exposure_time_s"])
    if header["aperture"] > 0:
        details[_F_NUMBER] = _rational(header["aperture"])
    if header["focal_length_mm"] > 0:
        details[_FOCAL_LENGTH] = _rational(header["focal_length_mm"])
    if 0 < header["iso"] <= _MOST_ISO:
        details[_ISO] = round(header["iso"])
    if header["lens"].isascii() and header["lens"]:
        details[_LENS_MODEL] = header["lens"]
    if header["taken"]:
        block[_DATE_TIME] = details[_DATE_TIME_ORIGINAL] = header["taken"].replace("-", ":")
    if not details:
        return None
    block[ORIENTATION] = header["orientation"]
    return bare_exif(block.tobytes())


def _rational(value: float) -> IFDRational:
    """Return a fraction with a short denominator, as cameras write 1/60 and 28/10."""
    return IFDRational(Fraction(value).limit_denominator(10_000))
