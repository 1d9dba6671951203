"""Contact sheets: the same places of a picture in several versions, to choose from."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from restore.image.compare import upright_image

__all__ = ["contact_sheet"]

_GAP, _LINE, _FONT_PX = 6, 22, 15
_LEAST_WIDTH = 184
"""Of a column in pixels, so that its title fits."""
_PAPER, _INK = 32, 235


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]],
    titles: Sequence[str],
    *,
    orientation: int,
    is_gray: bool,
    icc: bytes | None,
) -> bytes:
    """Return a PNG with a row for each place, and a column for each version, at 1:1.

    Args:
        rows: name and versions ``[h, w, C]`` of each place, as ``viewable`` makes them.
        titles: names of the versions.
        orientation: EXIF orientation in which places are shown.
        is_gray: whether the sheet is gray.
        icc: profile of the pixels, or None for sRGB.
    """
    mode = "L" if is_gray else "RGB"
    cells = [[upright_image(pixels, orientation) for pixels in row] for _, row in rows]
    width = max(_LEAST_WIDTH, *(cell.width for row in cells for cell in row))
    font = ImageFont.load_default(_FONT_PX)
    heights = [max(cell.height for cell in row) + _LINE + _GAP for row in cells]
    size = (len(titles) * (width + _GAP) + _GAP, _LINE + sum(heights) + _GAP)
    paper, ink = ((level,) * 3 if mode == "RGB" else level for level in (_PAPER, _INK))
    sheet = Image.new(mode, size, paper)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((_GAP + column * (width + _GAP), 3), title, ink, font)
    top = _LINE
    for row, (name, _), height in zip(cells, rows, heights, strict=True):
        draw.text((_GAP, top + 2), name, ink, font)
        for column, cell in enumerate(row):
            sheet.paste(cell.convert(mode), (_GAP + column * (width + _GAP), top + _LINE))
        top += height
    file = BytesIO()
    sheet.save(file, "PNG", icc_profile=icc, compress_level=3)
    return file.getvalue()
