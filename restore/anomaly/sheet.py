"""What a report page stores of a part: its whole and its most suspicious place, in bounded size.

A sheet is one small picture. Its rows are the tiles of the part, its columns the part, the
network's reconstruction, and the mask of the defects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.anomaly.regions import Region

__all__ = ["MOST_BYTES", "Tile", "sheet_of", "tiles_of"]

Pixels = NDArray[np.uint8]

MOST_BYTES = 14_000
"""Of most sheets; one of pure noise may be larger."""
_WHOLE_PX, _DETAIL_PX = 224, 192
_QUALITIES = (75, 45, 15)


@dataclass(frozen=True)
class Tile:
    """A rectangle of a part and its place in a sheet.

    Attributes:
        left, top, width, height: The rectangle in pixels of the part.
        row: Where its row begins in the sheet.
        shown_width, shown_height: Its size in the sheet; smaller where it is scaled down.
    """

    left: int
    top: int
    width: int
    height: int
    row: int
    shown_width: int
    shown_height: int

    @property
    def area(self) -> tuple[slice, slice]:
        """The rectangle as an index of a picture ``[H, W]``."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def tiles_of(
    width: int, height: int, regions: Sequence[Region], peak_at: tuple[int, int]
) -> tuple[Tile, ...]:
    """Return the tiles of a part's sheet: the whole, and where that is scaled down a place at 1:1.

    Args:
        width: Of the part in pixels.
        height: Of the part in pixels.
        regions: Regions above the threshold, highest first.
        peak_at: Column and row of the highest score.
    """
    reduction = max(1.0, max(width, height) / _WHOLE_PX)
    shown = [max(1, round(side / reduction)) for side in (width, height)]
    whole = Tile(0, 0, width, height, 0, *shown)
    if reduction == 1.0:
        return (whole,)
    box = (*peak_at, 1, 1)
    if regions and max(regions[0].width, regions[0].height) <= _DETAIL_PX:
        box = (regions[0].left, regions[0].top, regions[0].width, regions[0].height)
    columns, rows = min(_DETAIL_PX, width), min(_DETAIL_PX, height)
    left = min(max(box[0] + box[2] // 2 - columns // 2, 0), width - columns)
    top = min(max(box[1] + box[3] // 2 - rows // 2, 0), height - rows)
    return whole, Tile(left, top, columns, rows, whole.shown_height, columns, rows)


def sheet_of(
    part: Pixels, reconstruction: Pixels, mask: NDArray[np.bool_], tiles: Sequence[Tile]
) -> bytes:
    """Return the sheet of a part as WebP.

    Args:
        part: ``[H, W, 3]``.
        reconstruction: ``[H, W, 3]``.
        mask: ``[H, W]``, true where there is a defect.
        tiles: As ``tiles_of`` returns them.
    """
    rows = tiles[-1].row + tiles[-1].shown_height
    sheet = np.zeros((rows, 3 * max(tile.shown_width for tile in tiles), 3), np.uint8)
    for tile in tiles:
        covered = _any_of(mask[tile.area], tile).astype(np.uint8) * 255
        pictures = (
            _fitted(part[tile.area], tile),
            _fitted(reconstruction[tile.area], tile),
            covered[..., None],
        )
        for column, picture in enumerate(pictures):
            left = column * tile.shown_width
            sheet[tile.row : tile.row + tile.shown_height, left : left + tile.shown_width] = picture
    image, data = Image.fromarray(sheet), b""
    for quality in _QUALITIES:
        file = BytesIO()
        image.save(file, "WEBP", quality=quality, method=2)
        data = file.getvalue()
        if len(data) <= MOST_BYTES:
            break
    return data


def _fitted(pixels: Pixels, tile: Tile) -> Pixels:
    """Return the pixels in the size of the tile in the sheet, each a mean over its area."""
    if pixels.shape[:2] == (tile.shown_height, tile.shown_width):
        return pixels
    size = (tile.shown_width, tile.shown_height)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def _any_of(mask: NDArray[np.bool_], tile: Tile) -> NDArray[np.bool_]:
    """Return where the mask is true anywhere in the area of a pixel, so that no defect is lost."""
    starts = [
        -(-np.arange(shown) * whole // shown)  # rounded up
        for whole, shown in ((tile.height, tile.shown_height), (tile.width, tile.shown_width))
    ]
    by_rows = np.logical_or.reduceat(mask, starts[0], axis=0)
    return np.logical_or.reduceat(by_rows, starts[1], axis=1)
