"""Pictures that are read part by part, because the whole would take too much memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tifffile

from restore.image.decode import HEAD_BYTES, named_errors, size_check
from restore.image.formats import sniff
from restore.image.picture import ImageFormat, Picture
from restore.image.samples import planes
from restore.image.tiff import checked_page, described, peak_of
from restore.image.tiff_parts import TiffParts, band_bytes

__all__ = ["MEMORY_BUDGET_BYTES", "LargePicture", "ReadPart", "open_large"]

MEMORY_BUDGET_BYTES = 2 << 30
"""What a picture may take while it is restored before it is worked on part by part."""

# Measured: the picture as it was, its result, and what the steps between and encoding take.
_BYTES_PER_SAMPLE = 13
_MOST_OF_BUDGET_FOR_A_BAND = 8
_LEAST_SIDE = 32

ReadPart = Callable[[tuple[slice, slice]], Picture]
"""Returns the picture of some rows and columns."""


@dataclass(frozen=True, kw_only=True)
class LargePicture:
    """A TIFF that was looked into, but not read.

    Attributes:
        path: the file.
        height: of the picture.
        like: the picture without its rows: all that stands beside the pixels.
        workplace: a folder with room for files that are as large as the picture in float32.
    """

    path: Path
    height: int
    like: Picture
    workplace: Path

    @property
    def width(self) -> int:
        """Columns."""
        return self.like.width

    @contextmanager
    def opened(self) -> Iterator[ReadPart]:
        """Open the file, and return what reads parts of it, best from top to bottom.

        Raises:
            InputError: the file cannot be read or is damaged, also from reading a part.
        """
        with named_errors(str(self.path)):
            tiff = tifffile.TiffFile(self.path)
        with tiff:
            with named_errors(str(self.path)):
                page = checked_page(tiff, lambda _width, _height: None)
                parts, peak = TiffParts(tiff, page), peak_of(page)

            def read(part: tuple[slice, slice]) -> Picture:
                with named_errors(str(self.path)):
                    pixels, alpha = planes(parts(*part), peak)
                return replace(self.like, pixels=pixels, alpha=alpha)

            yield read


def open_large(
    path: Path, *, workplace: Path, max_pixels: int, budget_bytes: int | None = None
) -> LargePicture | None:
    """Return a picture that is to be read part by part, or None for all others.

    Those are what fits the budget, what is not TIFF, has less than 8 bits, or is compressed in
    strips that do not fit themselves.

    Args:
        path: a file.
        workplace: as for ``LargePicture``.
        max_pixels: refuse larger pictures.
        budget_bytes: None for ``MEMORY_BUDGET_BYTES``.

    Raises:
        InputError: as ``decode``.
    """
    budget = MEMORY_BUDGET_BYTES if budget_bytes is None else budget_bytes
    with named_errors(str(path)), path.open("rb") as file:
        if sniff(file.read(HEAD_BYTES)) is not ImageFormat.TIFF:
            return None
        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            page: Any = checked_page(tiff, size_check(max_pixels))
            if not _is_large(page, budget) or not _comes_in_parts(page, budget):
                return None
            like = described(tiff, page, file)
    return LargePicture(path=path, height=int(page.imagelength), like=like, workplace=workplace)


def _is_large(page: Any, budget: int) -> bool:
    samples = page.imagelength * page.imagewidth * page.samplesperpixel
    return bool(samples * _BYTES_PER_SAMPLE > budget)


def _comes_in_parts(page: Any, budget: int) -> bool:
    return (
        page.bitspersample in (8, 16, 32)
        # Hamamatsu's slides: one JPEG stream that tifffile cuts into tiles of its own.
        and page.jpegheader is None
        and min(page.imagelength, page.imagewidth) >= _LEAST_SIDE
        and band_bytes(page) * _MOST_OF_BUDGET_FOR_A_BAND <= budget
    )
