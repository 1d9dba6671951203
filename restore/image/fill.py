"""Plausible values for pixels that are hidden or not finite, from those around them."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["FILL_REACH", "filled"]

_FARTHEST_PX = 64
"""Distance from a known pixel up to which pixels are filled: the widest halo of our networks."""
FILL_REACH = 2 * _FARTHEST_PX
"""Pixels further away have no influence on a value."""

_TILE = 512
_NEUTRAL = 0.5


def filled(pixels: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a copy with the unknown values replaced by known ones, mirrored at the border.

    A mirror image continues texture and noise as they are. Smooth values would look less noisy to a
    network that judges the noise by itself, which then changes what is beside them. Where the
    mirror image is unknown, too, the nearest known value is repeated; more than 64 pixels from all
    of them the value is middle gray.

    Args:
        pixels: ``[C, H, W]``, nominally in [0, 1].
        known: The same shape, or ``[1, H, W]`` for all channels.
    """
    result = pixels.copy()
    _, height, width = pixels.shape
    for own, channels in _by_mask(known, len(pixels)):
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                tile = slice(top, top + _TILE), slice(left, left + _TILE)
                if not own[tile].all():
                    _fill(result[channels], pixels[channels], own, *tile)
    return result


def _by_mask(known: NDArray[np.bool_], channels: int) -> list[tuple[NDArray[np.bool_], slice]]:
    """Return each mask with the channels that it is of."""
    if len(known) == 1:
        return [(known[0], slice(0, channels))]
    return [(mask, slice(index, index + 1)) for index, mask in enumerate(known)]


def _fill(
    result: NDArray[np.float32],
    pixels: NDArray[np.float32],
    known: NDArray[np.bool_],
    rows: slice,
    columns: slice,
) -> None:
    """Fill a tile of ``result`` in place."""
    # SciPy takes as long to import as a small picture takes to be restored.
    from scipy import ndimage

    top, left = max(0, rows.start - FILL_REACH), max(0, columns.start - FILL_REACH)
    around = slice(top, rows.stop + FILL_REACH), slice(left, columns.stop + FILL_REACH)
    here = known[around]
    y, x = (
        each + offset
        for each, offset in zip(
            np.nonzero(~known[rows, columns]), (rows.start, columns.start), strict=True
        )
    )
    if not here.any():
        result[:, y, x] = _NEUTRAL
        return
    nearest = ndimage.distance_transform_edt(~here, return_distances=False, return_indices=True)
    row, column = (each[y - top, x - left] for each in nearest)
    distance = np.hypot(row + top - y, column + left - x)
    mirrored_row, mirrored_column = 2 * row + top - y, 2 * column + left - x
    inside = (mirrored_row >= 0) & (mirrored_row < here.shape[0])
    inside &= (mirrored_column >= 0) & (mirrored_column < here.shape[1])
    inside[inside] = here[mirrored_row[inside], mirrored_column[inside]]
    row, column = np.where(inside, mirrored_row, row), np.where(inside, mirrored_column, column)
    values = pixels[:, row + top, column + left]
    result[:, y, x] = np.where(distance <= _FARTHEST_PX, values, np.float32(_NEUTRAL))
