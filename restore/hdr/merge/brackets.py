"""Bracketed exposures of one scene: reading their EXIF, grouping them, and naming their files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from restore.batch.kinds import PICTURES_TO_LIGHT, FileKind
from restore.errors import InputError, UsageError
from restore.hdr.merge.frames import FrameReader
from restore.hdr.radiance import Radiance
from restore.image.codecs import HEAD_BYTES, PICTURE_SUFFIXES, ImageFormat, sniff
from restore.image.compare import shown_white, viewable
from restore.image.metadata import EXIF_ERRORS, bare_exif, exif_directories, quiet_pillow
from restore.image.pillow import READERS
from restore.image.raw import RAW_SUFFIXES, is_raw, read_raw
from restore.image.tiff_exif import exif_of_tiff
from restore.image.webp import webp_exif

__all__ = [
    "FRAME_SUFFIXES",
    "Bracket",
    "Exposure",
    "Grouping",
    "bracket_files",
    "exif_of",
    "grouped",
    "parse_exposures",
    "read_exposure",
    "tried_exposure",
]

_MODEL = 0x0110
_EXPOSURE_TIME, _F_NUMBER = 33434, 33437
_ISO = (34855, 34866, 34865, 34867)
"""PhotographicSensitivity, which ends at 65535, and those of EXIF 2.3 that go beyond."""
_SHUTTER_SPEED, _APERTURE = 37377, 37378
_MOST_APEX = 40.0
_TAKEN, _FRACTION = 36867, 37521
_SAME_EXPOSURE_STOPS = 0.1


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How one frame was taken.

    Attributes:
        path: Path of the file.
        light: Relative exposure, to which linear samples are proportional: seconds times ISO over
            the square of the f-number, or seconds alone; None if unknown.
        seconds: Exposure time in seconds, 0 if unknown.
        taken: Time of the exposure in seconds since an arbitrary day, or None.
        camera: Model of the camera, or "".
        error: Reason why the file cannot be read, or "".
    """

    path: Path
    light: float | None
    seconds: float = 0.0
    taken: float | None = None
    camera: str = ""
    error: str = ""


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
    main, directory, _ = exif_directories(_exif(path) or b"")
    # TIFF/EP, and with it many RAW files, states the exposure in the main directory.
    details = {**main, **directory}
    seconds = _number(details.get(_EXPOSURE_TIME)) or _of_apex(details.get(_SHUTTER_SPEED), -1)
    aperture = _number(details.get(_F_NUMBER)) or _of_apex(details.get(_APERTURE), 0.5)
    iso = next((speed for tag in _ISO if (speed := _number(details.get(tag)))), 0.0)
    light = None
    if seconds:
        light = seconds * ((iso or 100) / 100) / (aperture or 1) ** 2
    return Exposure(
        path=path,
        light=light,
        seconds=seconds,
        taken=_time(details.get(_TAKEN), details.get(_FRACTION)),
        camera=_text(main.get(_MODEL)),
    )


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How frames are parted into brackets.

    Attributes:
        gap_s: Longest pause within a bracket in seconds, beyond the exposure times.
        size: Number of frames of every bracket, or None to tell by pauses and exposures.
        by_folder: Whether all frames of a folder are one bracket.
    """

    gap_s: float = 30.0
    size: int | None = None
    by_folder: bool = False


def grouped(exposures: Sequence[Exposure], grouping: Grouping) -> list[list[Exposure]]:
    """Part frames into brackets and bursts: consecutive frames of one folder and camera.

    A pause, or an exposure that the bracket has already, starts the next one; frames that are all
    exposed alike form a burst. Frames without a time follow in the order of their names. RAW files
    and finished pictures do not mix, and a file that cannot be read stands alone.

    Raises:
        UsageError: a folder whose frames ``size`` does not divide.
    """
    if grouping.by_folder or grouping.size:
        return _counted(exposures, grouping.size)
    brackets: list[list[Exposure]] = []
    for one in _ordered(exposures):
        if brackets and _belongs(one, brackets[-1], grouping.gap_s):
            brackets[-1].append(one)
        else:
            brackets.append([one])
    return brackets


def _ordered(exposures: Sequence[Exposure]) -> list[Exposure]:
    return sorted(exposures, key=lambda one: (*_folder(one), one.taken or 0, one.path))


def _folder(one: Exposure) -> tuple[str, bool]:
    return str(one.path.parent), is_raw(one.path)


def _counted(exposures: Sequence[Exposure], size: int | None) -> list[list[Exposure]]:
    """Return brackets of ``size`` frames, or whole folders."""
    brackets = []
    for (folder, _), members in groupby(_ordered(exposures), key=_folder):
        frames = list(members)
        step = size or len(frames)
        if len(frames) % step:
            raise UsageError(
                f"{folder}: holds {len(frames)} frames, which cannot be parted into brackets of "
                f"{step}; give another --group"
            )
        brackets += [frames[first : first + step] for first in range(0, len(frames), step)]
    return brackets


def parse_exposures(text: str, count: int) -> list[float]:
    """Return the seconds in ``1/60,1/15,0.25``.

    Raises:
        UsageError: not ``count`` positive numbers.
    """
    try:
        seconds = [_fraction(part) for part in text.split(",")]
    except (ValueError, ZeroDivisionError):
        seconds = []
    if len(seconds) != count or not all(0 < each < math.inf for each in seconds):
        raise UsageError(
            f"--exposures {text}: give {count} times in seconds, one for each input, "
            "as in 1/60,0.25"
        )
    return seconds


def _belongs(one: Exposure, bracket: Sequence[Exposure], gap_s: float) -> bool:
    last = bracket[-1]
    if one.path.parent != last.path.parent or one.camera != last.camera:
        return False
    if is_raw(one.path) != is_raw(last.path) or one.error or last.error:
        return False
    if one.taken is not None and last.taken is not None:
        if one.taken - last.taken > gap_s + last.seconds + one.seconds:
            return False
    elif (one.taken is None) != (last.taken is None):
        return False
    if one.light is None:
        return True
    known = [other.light for other in bracket if other.light]
    alike = [abs(math.log2(one.light / light)) <= _SAME_EXPOSURE_STOPS for light in known]
    # A second frame decides whether the first begins a burst or a bracket.
    is_burst = len(known) > 1 and abs(math.log2(known[0] / known[1])) <= _SAME_EXPOSURE_STOPS
    return all(alike) if is_burst or (len(known) == 1 and all(alike)) else not any(alike)


def _exif(path: Path) -> bytes | None:
    if is_raw(path):
        return read_raw(path).exif
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


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """Frames that are read one after the other while they are merged.

    Attributes:
        exposures: the frames.
    """

    exposures: Sequence[Exposure]

    @property
    def height(self) -> int:
        """Always 0: no rows are in memory yet."""
        return 0

    @property
    def width(self) -> int:
        """Always 0: no columns are in memory yet."""
        return 0


FRAME_SUFFIXES = PICTURE_SUFFIXES | RAW_SUFFIXES
"""Suffixes by which frames are found in folders."""


def bracket_files(brackets: Mapping[Path, Sequence[Exposure]]) -> FileKind[Bracket, Radiance]:
    """Return the file kind of brackets.

    Args:
        brackets: frames of each bracket, by the path that stands for it.
    """

    def read(source: Path | bytes) -> Bracket:
        if isinstance(source, bytes):
            raise InputError("standard input holds no bracket")
        return Bracket(exposures=brackets[source])

    return replace(PICTURES_TO_LIGHT, suffixes=FRAME_SUFFIXES, read=read, before=_middle_exposure)


def _middle_exposure(_bracket: Bracket, merged: Radiance) -> NDArray[np.uint8]:
    """Return the frame that the others were aligned to."""
    path = Path(str(merged.record["reference"]))
    reader = FrameReader(is_linear=False)
    return viewable(reader.picture(path)[0], white=shown_white(merged.picture))
