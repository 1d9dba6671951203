"""How the frames of a bracket were exposed: what their EXIF says, or the command line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from PIL.PngImagePlugin import PngImageFile

from restore.arguments import argument
from restore.errors import InputError, UsageError
from restore.image.codecs import HEAD_BYTES, ImageFormat, sniff
from restore.image.metadata import EXIF_ERRORS, bare_exif, exif_directories, quiet_pillow
from restore.image.pillow import READERS
from restore.image.raw import is_raw, raw_exif, read_raw
from restore.image.tiff_exif import exif_of_tiff
from restore.image.webp import webp_exif

__all__ = [
    "Exposure",
    "exif_of",
    "parse_exposures",
    "read_exposure",
    "tried_exposure",
]

_MODEL = 0x0110
_EXPOSURE_TIME, _F_NUMBER = 33434, 33437
_ISO = (34855, 34866, 34865, 34867)
"""PhotographicSensitivity, which ends at 65535, and those of EXIF 2.3 that go beyond."""
_SHUTTER_SPEED, _APERTURE, _BRIGHTNESS, _BIAS = 37377, 37378, 37379, 37380
_MOST_APEX = 40.0
_LIGHT_OF_BRIGHTNESS_0 = 1 / 32
"""In APEX, Av + Tv = Bv + Sv, and ISO 100 is Sv = 5."""
_TAKEN, _FRACTION = 36867, 37521
_USUAL_ISO = 100.0


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How one frame was taken.

    Attributes:
        path: Path of the file.
        light: Relative exposure, to which linear samples are proportional: seconds times ISO over
            the square of the f-number, of which what is not stated is left out; None if unknown.
        seconds: Exposure time in seconds, 0 if unknown.
        aperture: f-number, 0 if unknown.
        iso: ISO speed, 0 if unknown.
        taken: Time of the exposure in seconds since an arbitrary day, or None.
        camera: Model of the camera, or "".
        error: Reason why the file cannot be read, or "".
    """

    path: Path
    light: float | None
    seconds: float = 0.0
    aperture: float = 0.0
    iso: float = 0.0
    taken: float | None = None
    camera: str = ""
    error: str = ""

    @property
    def words(self) -> str:
        """The exposure as photographers write it: ``1/60 s f/8 ISO 100``."""
        seconds = f"{self.seconds:.3g} s"
        if 0 < self.seconds < 0.3:
            seconds = f"{Fraction(1, max(1, round(1 / self.seconds)))} s"
        parts = [
            seconds if self.seconds else "",
            f"f/{self.aperture:.3g}" if self.aperture else "",
            f"ISO {self.iso:g}" if self.iso else "",
        ]
        known = [part for part in parts if part]
        if not self.seconds:
            known.insert(0, "unknown time" if self.light is None else "metered")
        return " ".join(known)


def tried_exposure(path: Path) -> Exposure:
    """Return what EXIF says about a frame, or why it cannot be read."""
    try:
        return read_exposure(path)
    except InputError as error:
        return Exposure(path=path, light=None, error=str(error))


def read_exposure(path: Path) -> Exposure:
    """Return what EXIF says about a frame.

    Raises:
        InputError: a file that cannot be opened.
    """
    found = _stated(path, _exif(path))
    if is_raw(path) and not (found.seconds and found.iso):
        # LibRaw finds them in makers' own fields too, but decodes the file for it.
        found = _stated(path, read_raw(path).exif)
    return found


def _stated(path: Path, exif: bytes | None) -> Exposure:
    main, directory, _ = exif_directories(exif or b"")
    # TIFF/EP, and with it many RAW files, states the exposure in the main directory.
    details = {**main, **directory}
    seconds = _number(details.get(_EXPOSURE_TIME)) or _of_apex(details.get(_SHUTTER_SPEED), -1)
    aperture = _number(details.get(_F_NUMBER)) or _of_apex(details.get(_APERTURE), 0.5)
    iso = next((speed for tag in _ISO if (speed := _number(details.get(tag)))), 0.0)
    light = seconds * ((iso or _USUAL_ISO) / 100) / (aperture or 1) ** 2 if seconds else None
    return Exposure(
        path=path,
        light=light or _metered(details),
        seconds=seconds,
        aperture=aperture,
        iso=iso,
        taken=_time(details.get(_TAKEN), details.get(_FRACTION)),
        camera=_text(main.get(_MODEL)),
    )


def _metered(details: Mapping[int, Any]) -> float | None:
    """Return the exposure that the camera's meter called for, where none is stated."""
    brightness = _of_apex(details.get(_BRIGHTNESS), -1)
    bias = _of_apex(details.get(_BIAS), 1) or 1.0
    return _LIGHT_OF_BRIGHTNESS_0 * brightness * bias if brightness else None


def parse_exposures(text: str, count: int) -> list[float]:
    """Return the seconds in ``1/60,1/15,0.25``.

    Raises:
        UsageError: not ``count`` positive numbers; the message says what is wrong.
    """
    seconds = []
    for part in text.split(","):
        try:
            each = _fraction(part)
        except (ValueError, ZeroDivisionError):
            each = math.nan
        if not 0 < each < math.inf:
            raise UsageError(
                f"{argument('exposures')} {text}: {part.strip() or 'nothing'} is no time in "
                "seconds, as 1/60 and 0.25 are"
            )
        seconds.append(each)
    if len(seconds) != count:
        raise UsageError(
            f"{argument('exposures')} {text}: {len(seconds)} given; give {count}, a time in "
            "seconds for each input"
        )
    return seconds


def _exif(path: Path) -> bytes | None:
    if is_raw(path):
        return raw_exif(path)
    try:
        with path.open("rb") as file:
            return exif_of(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _number(value: Any) -> float:
    try:
        number = float(value[0] if isinstance(value, tuple) else value)
    except (TypeError, ValueError, ZeroDivisionError, IndexError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def _of_apex(value: Any, factor: float) -> float:
    """Return seconds (factor -1) or the f-number (0.5) of an APEX value; 0 if there is none."""
    try:
        apex = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return 2.0 ** (factor * apex) if abs(apex) < _MOST_APEX else 0.0


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return str(value).strip("\x00 ") if value else ""


def _time(value: Any, fraction: Any) -> float | None:
    try:
        taken = datetime.strptime(_text(value), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    digits = _text(fraction)
    part = float(f"0.{digits}") if digits.isdecimal() else 0.0
    return (taken - datetime(2000, 1, 1)).total_seconds() + part


def _fraction(text: str) -> float:
    over, slash, under = text.strip().partition("/")
    return float(over) / float(under) if slash else float(over)


# Pillow does not decode the pixels of PNG here, but it may read the chunks before them.
_HEADER_READERS = {**READERS, ImageFormat.PNG: PngImageFile}


def exif_of(file: BinaryIO) -> bytes | None:
    """Return the EXIF block of a picture, or None where there is none or it cannot be found.

    Args:
        file: file at its start.

    Raises:
        OSError: it cannot be read.
    """
    image_format = sniff(file.read(HEAD_BYTES))
    file.seek(0)
    if image_format is ImageFormat.TIFF:
        return exif_of_tiff(file)
    if image_format is ImageFormat.WEBP:
        return webp_exif(file)
    reader = _HEADER_READERS.get(image_format) if image_format else None
    if reader is None:
        return None
    with quiet_pillow():
        try:
            with reader(file) as image:
                return bare_exif(image.info.get("exif"))
        except OSError as error:
            if error.errno is not None:
                raise
            return None
        except EXIF_ERRORS:
            return None
