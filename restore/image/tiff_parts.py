"""Parts of a TIFF whose whole does not fit into memory."""

from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from restore.image.tiff import black_at_zero

__all__ = ["TiffParts", "band_bytes"]

_ROWS_AT_ONCE = 16
_NONE = 1


class TiffParts:
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
        """Return as many full rows as a strip or tile has, ``[h, W, S]``."""
        page = self._page
        top = index * self._band_rows
        height = min(self._band_rows, page.imagelength - top)
        shape = (height, page.imagewidth, page.samplesperpixel)
        if self._is_plain:
            return self._stored(top, height)
        planes, _, width, contiguous = _grid(page)
        band = np.empty(shape, page.dtype)
        per_plane = len(page.dataoffsets) // planes
        for plane in range(planes):
            for column in range(width):
                segment, (_, _, _, left, _), _ = self._segment(
                    plane * per_plane + index * width + column
                )
                within = segment[0, :height, : page.imagewidth - left]
                channels = slice(None) if contiguous else slice(plane, plane + 1)
                band[: len(within), left : left + within.shape[1], channels] = within
        return band

    def _segment(self, index: int) -> Any:
        page = self._page
        self._file.seek(page.dataoffsets[index])
        data = self._file.read(page.databytecounts[index])
        # Only JPEG has tables, which several strips may share.
        tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
        return page.decode(data, index, **tables)

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
    """Return what the rows of one strip or of a row of tiles take in memory, decoded."""
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
