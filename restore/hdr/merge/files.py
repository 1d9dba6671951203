"""Brackets as inputs: many files, of which one picture of light is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.batch.kinds import PICTURES_TO_LIGHT, FileKind
from restore.errors import InputError
from restore.hdr.merge.brackets import Exposure
from restore.hdr.merge.frames import Reader
from restore.hdr.radiance import Radiance
from restore.image.codecs import PICTURE_SUFFIXES
from restore.image.compare import viewable
from restore.image.raw import RAW_SUFFIXES

__all__ = ["FRAME_SUFFIXES", "Bracket", "bracket_files"]


@dataclass(frozen=True, kw_only=True)
class Bracket:
    """Frames that are read one after the other while they are merged.

    Attributes:
        exposures: the frames.
        max_pixels: larger frames are refused.
    """

    exposures: Sequence[Exposure]
    max_pixels: int

    @property
    def height(self) -> int:
        """Rows in memory yet: none."""
        return 0

    @property
    def width(self) -> int:
        """Columns in memory yet: none."""
        return 0


FRAME_SUFFIXES = PICTURE_SUFFIXES | RAW_SUFFIXES
"""Suffixes by which frames are found in folders."""


def bracket_files(brackets: Mapping[Path, Sequence[Exposure]]) -> FileKind[Bracket, Radiance]:
    """Return the kind of files that are read as brackets.

    Args:
        brackets: the file that stands for each bracket to its frames.
    """

    def read(source: Path | bytes, max_pixels: int) -> Bracket:
        if isinstance(source, bytes):
            raise InputError("standard input holds no bracket")
        return Bracket(exposures=brackets[source], max_pixels=max_pixels)

    return replace(PICTURES_TO_LIGHT, suffixes=FRAME_SUFFIXES, read=read, before=_middle_exposure)


def _middle_exposure(bracket: Bracket, merged: Radiance) -> NDArray[np.uint8]:
    """Return the frame that the others were aligned to."""
    path = Path(str(merged.record["reference"]))
    reader = Reader(is_linear=False, max_pixels=bracket.max_pixels)
    return viewable(reader.picture(path)[0])
