"""Brackets as inputs: many files, of which one picture of light is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.batch.handling import Light
from restore.errors import InputError
from restore.hdr.merge.brackets import Exposure
from restore.hdr.merge.frames import Reader
from restore.image.compare import viewable
from restore.image.picture import ImageFormat

__all__ = ["Bracket", "BracketFiles"]


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


class BracketFiles:
    """Reads brackets by the file that stands for each.

    Args:
        brackets: that file to the frames.
    """

    def __init__(self, brackets: Mapping[Path, Sequence[Exposure]]) -> None:
        self._brackets = brackets

    def read(self, source: Path | bytes, *, max_pixels: int) -> Bracket:
        """Return the bracket of a file."""
        if isinstance(source, bytes):
            raise InputError("standard input holds no bracket")
        return Bracket(exposures=self._brackets[source], max_pixels=max_pixels)

    def before(self, source: Bracket, restored: Light) -> NDArray[np.uint8]:
        """Return the middle exposure to compare the merged picture with."""
        path = Path(str(restored.record["reference"]))
        reader = Reader(is_linear=False, max_pixels=source.max_pixels)
        return viewable(reader.picture(path)[0])

    def encode(
        self,
        restored: Light,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""
        return restored.encoded(
            image_format, bit_depth=bit_depth, quality=quality, strip_metadata=strip_metadata
        )
