"""How much a dark mosaic has to be amplified."""

import numpy as np
from numpy.typing import NDArray

from restore.image.packing import PLANE_COLOURS

__all__ = ["MOST_RATIO", "auto_ratio"]

MOST_RATIO = 300.0
"""What networks are trained for, and the most that ``auto_ratio`` asks for."""

_CLIPPED_SHARE = 0.005
_MIDDLE_GRAY = 0.18
_CELL = 4


def auto_ratio(planes: NDArray[np.float32]) -> float:
    """Return the amplification under which a picture is well exposed.

    It brings the mean of the picture to middle gray (18 % of white), unless more than 0.5 % of the
    picture would then be clipped: if so, the brightest 0.5 % just reach white. It lies between 1
    and 300. All is measured on means of cells of 4x4 packed pixels, in which noise weighs little.

    Args:
        planes: ``[4 or 9, h, w]``, black at 0, sensor white at 1, white balanced.
    """
    cells = _cell_means(planes)
    colours = np.array(PLANE_COLOURS[2 if len(planes) == 4 else 6])
    by_colour = np.stack([cells[colours == colour].mean(axis=0) for colour in range(3)])
    brightest = float(np.quantile(by_colour.max(axis=0), 1 - _CLIPPED_SHARE))
    middle = float(by_colour.mean())
    least = 1 / MOST_RATIO
    ratio = min(1 / max(brightest, least), _MIDDLE_GRAY / max(middle, _MIDDLE_GRAY * least))
    return min(max(1.0, ratio), MOST_RATIO)


def _cell_means(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return means over cells, whole ones where the picture is large enough for any."""
    count, height, width = planes.shape
    rows, columns = (min(_CELL, size) for size in (height, width))
    inside = planes[:, : height // rows * rows, : width // columns * columns]
    cells = inside.reshape(count, height // rows, rows, width // columns, columns)
    means: NDArray[np.float32] = cells.mean(axis=(2, 4))
    return means
