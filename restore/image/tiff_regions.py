"""TIFF files that are read region by region, because the whole would take too much memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from restore.errors import SeveralPages
from restore.image.codecs import HEAD_BYTES, ImageFormat, sniff
from restore.image.damage import checked_damage
from restore.image.decode import named_errors
from restore.image.limits import BYTES_PER_SAMPLE, pixel_check
from restore.image.picture import Picture
from restore.image.samples import planes
from restore.image.tiff import black_at_zero, checked_page, described, peak_of
from restore.image.tiff_damage import damage_of, decoded_segment

__all__ = [
    "MEMORY_BUDGET_BYTES",
    "OutOfCorePicture",
    "ReadRegion",
    "open_out_of_core",
]

MEMORY_BUDGET_BYTES = 2 << 30
"""Memory that restoring a picture may take; larger pictures are processed part by part."""

_MOST_OF_BUDGET_FOR_A_BAND = 8
_LEAST_SIDE = 32

ReadRegion = Callable[[tuple[slice, slice]], Picture]
"""A function that reads the given rows and columns as a picture."""


@dataclass(frozen=True, kw_only=True)
class OutOfCorePicture:
    """A TIFF of which only the header was read.

    Attributes:
        path: Path of the file.
        height: Height in pixels.
        like: Picture without rows that holds everything but the pixels.
        workplace: Folder for temporary files as large as the picture in float32.
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
    def opened(self) -> Iterator[ReadRegion]:
        """Open the file and yield a function that reads parts, fastest from top to bottom.

        Raises:
            InputError: the file cannot be read or is damaged, also from reading a part.
        """
        with named_errors(str(self.path)):
            tiff = tifffile.TiffFile(self.path)
        with tiff:
            with named_errors(str(self.path)):
                page = checked_page(tiff, pixel_check())
                parts, peak = _Regions(tiff, page), peak_of(page)

            def read(part: tuple[slice, slice]) -> Picture:
                with named_errors(str(self.path)):
                    pixels, alpha = planes(parts(*part), peak)
                return replace(self.like, pixels=pixels, alpha=alpha)

            yield read


def open_out_of_core(
    path: Path, *, workplace: Path, budget_bytes: int | None = None
) -> OutOfCorePicture | None:
    """Return a picture that is to be read part by part, or None if it is to be read whole.

    None means that it fits the budget, is not TIFF, has several pages, has fewer than 8 bits per
    sample, or is compressed in strips that are too large themselves.

    Args:
        path: a file.
        workplace: as for ``OutOfCorePicture``.
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
            try:
                page: Any = checked_page(tiff, pixel_check())
            except SeveralPages:
                return None
            if not _is_large(page, budget) or not _comes_in_parts(page, budget):
                return None
            damaged = "" if _is_plain(page) else damage_of(page)
            like = replace(described(page, file), damaged=damaged)
        checked_damage(str(path), like.damaged)
    return OutOfCorePicture(path=path, height=int(page.imagelength), like=like, workplace=workplace)


def _is_large(page: Any, budget: int) -> bool:
    samples = page.imagelength * page.imagewidth * page.samplesperpixel
    return bool(samples * BYTES_PER_SAMPLE > budget)


def _comes_in_parts(page: Any, budget: int) -> bool:
    return (
        page.bitspersample in (8, 16, 32)
        # Hamamatsu's slides: one JPEG stream that tifffile cuts into tiles of its own.
        and page.jpegheader is None
        and min(page.imagelength, page.imagewidth) >= _LEAST_SIDE
        and band_bytes(page) * _MOST_OF_BUDGET_FOR_A_BAND <= budget
    )


_ROWS_AT_ONCE = 16
_NONE = 1


class _Regions:
    """Decodes parts of the one picture in a file, from top to bottom.

    Strips and tiles that reach below a part are kept for the next one, so that each is decoded once
    for a row of parts, and once more if the next row overlaps it.

    Args:
        tiff: an open file.
        page: its picture, checked.
    """

    def __init__(self, tiff: tifffile.TiffFile, page: Any) -> None:
        self._file, self._page = tiff.filehandle, page
        self._is_plain = _is_plain(page)
        self._band_rows = _band_rows(page)
        self._bands: dict[int, NDArray[Any]] = {}

    def __call__(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the samples of a part inside the picture, ``[h, w]`` or ``[h, w, S]``."""
        wanted = range(rows.start // self._band_rows, -(-rows.stop // self._band_rows))
        kept = {index: self._bands[index] for index in wanted if index in self._bands}
        self._bands = kept
        for index in wanted:
            if index not in kept:
                kept[index] = self._band(index)
        parts = []
        for index in wanted:
            top = index * self._band_rows
            own = slice(max(0, rows.start - top), rows.stop - top)
            parts.append(kept[index][own, columns])
        samples = np.concatenate(parts)
        return black_at_zero(self._page, samples[..., 0] if samples.shape[2] == 1 else samples)

    def _band(self, index: int) -> NDArray[Any]:
        """Return one strip, or one row of tiles, decoded: full rows ``[h, W, S]``, 0 where lost."""
        page = self._page
        top = index * self._band_rows
        height = min(self._band_rows, page.imagelength - top)
        shape = (height, page.imagewidth, page.samplesperpixel)
        if self._is_plain:
            return self._stored(top, height)
        planes, _, width, contiguous = _grid(page)
        band = np.zeros(shape, page.dtype)
        per_plane = len(page.dataoffsets) // planes
        for plane in range(planes):
            for column in range(width):
                decoded = self._segment(plane * per_plane + index * width + column)
                if decoded is None:
                    continue
                segment, (_, _, _, left, _), _ = decoded
                within = segment[0, :height, : page.imagewidth - left]
                channels = slice(None) if contiguous else slice(plane, plane + 1)
                band[: len(within), left : left + within.shape[1], channels] = within
        return band

    def _segment(self, index: int) -> Any:
        page = self._page
        self._file.seek(page.dataoffsets[index])
        return decoded_segment(page, self._file.read(page.databytecounts[index]), index)

    def _stored(self, top: int, height: int) -> NDArray[Any]:
        """Return rows of samples that are stored one after the other, without compression."""
        page = self._page
        planes, _, _, contiguous = _grid(page)
        samples = page.samplesperpixel if contiguous else 1
        row = page.imagewidth * samples
        dtype = page.dtype.newbyteorder(page.parent.byteorder)
        parts = []
        for plane in range(planes):
            first = (plane * page.imagelength + top) * row * dtype.itemsize
            self._file.seek(page.dataoffsets[0] + first)
            data = self._file.read(height * row * dtype.itemsize)
            values = np.frombuffer(data, dtype).reshape(height, page.imagewidth, samples)
            parts.append(values.astype(page.dtype, copy=False))
        return np.concatenate(parts, axis=2)


def band_bytes(page: Any) -> int:
    """Return the number of bytes of one strip, or of one row of tiles, decoded."""
    row = page.imagewidth * page.samplesperpixel * page.dtype.itemsize
    return int(row * min(_band_rows(page), page.imagelength))


def _is_plain(page: Any) -> bool:
    unchanged = page.fillorder == 1 and page.predictor == _NONE and not page.is_tiled
    return bool(page.is_contiguous and unchanged)


def _band_rows(page: Any) -> int:
    if _is_plain(page):
        return _ROWS_AT_ONCE
    return int(page.tilelength if page.is_tiled else min(page.rowsperstrip, page.imagelength))


def _grid(page: Any) -> tuple[int, int, int, bool]:
    """Return planes, rows and columns of strips or tiles, and whether samples are interleaved."""
    contiguous = page.planarconfig == tifffile.PLANARCONFIG.CONTIG or page.samplesperpixel == 1
    planes = 1 if contiguous else page.samplesperpixel
    across = -(-page.imagewidth // page.tilewidth) if page.is_tiled else 1
    down = -(-page.imagelength // _band_rows(page))
    return planes, down, across, contiguous
