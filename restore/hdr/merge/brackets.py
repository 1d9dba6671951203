"""Bracketed exposures of one scene: parting frames into brackets, and their kind of files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.batch.kinds import PICTURES_TO_LIGHT, FileKind
from restore.errors import InputError, UsageError
from restore.hdr.merge.exposures import Exposure
from restore.hdr.merge.frames import FrameReader
from restore.hdr.radiance import Radiance
from restore.image.codecs import PICTURE_SUFFIXES
from restore.image.compare import shown_white, viewable
from restore.image.raw import RAW_SUFFIXES, is_raw

__all__ = ["FRAME_SUFFIXES", "Bracket", "Grouping", "bracket_files", "grouped"]

_SAME_EXPOSURE_STOPS = 0.1


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
                f"{step}; give another {argument('group')}"
            )
        brackets += [frames[first : first + step] for first in range(0, len(frames), step)]
    return brackets


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
