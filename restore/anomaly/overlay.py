"""A score map laid over its picture, to be looked at."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["overlaid", "viewable_part"]

_OUTLINE = (255, 40, 40)
_ROWS_AT_ONCE = 512
_STOPS = (0.0, 0.5, 1.0)
_HEAT = ((255, 214, 10), (255, 120, 20), (230, 20, 60))
"""Yellow just above half the threshold, red from twice the threshold on."""


def viewable_part(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return ``[H, W, 3]`` for a screen; other numbers of channels than 3 are shown as their mean.

    Args:
        pixels: ``[C, H, W]`` in [0, 1].
    """
    _, height, width = pixels.shape
    shown = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = np.clip(np.nan_to_num(pixels[:, top : top + _ROWS_AT_ONCE]), 0, 1)
        if len(rows) != 3:
            rows = np.broadcast_to(rows.mean(axis=0), (3, *rows.shape[1:]))
        codes = rows * 255 + np.float32(0.5)
        shown[top : top + _ROWS_AT_ONCE] = codes.astype(np.uint8).transpose(1, 2, 0)
    return shown


def overlaid(
    picture: NDArray[np.uint8], scores: NDArray[np.float32], threshold: float
) -> NDArray[np.uint8]:
    """Return ``picture`` tinted where scores approach the threshold, defects outlined in red.

    Args:
        picture: ``[H, W, 3]`` as ``viewable_part`` makes it.
        scores: ``[H, W]``.
        threshold: above which there is a defect.
    """
    result = picture.copy()
    if threshold > 0:
        for top in range(0, len(picture), _ROWS_AT_ONCE):
            rows = slice(top, top + _ROWS_AT_ONCE)
            _tint(result[rows], scores[rows] / np.float32(threshold))
    mask = scores > threshold
    if mask.any():
        width = 1 + max(mask.shape) // 1000
        result[ndimage.binary_dilation(mask, iterations=width) & ~mask] = _OUTLINE
    return result


def _tint(rows: NDArray[np.uint8], relative: NDArray[np.float32]) -> None:
    """Blend heat into ``rows`` from half the threshold on, in place."""
    heat = np.clip((relative - 0.5) / 1.5, 0, 1)
    hot = heat > 0
    values = heat[hot]
    opacity = 0.55 * np.minimum(1, 3 * values)
    for channel in range(3):
        colour = np.interp(values, _STOPS, [each[channel] for each in _HEAT])
        blended = rows[..., channel][hot] * (1 - opacity) + colour * opacity
        rows[..., channel][hot] = blended.astype(np.uint8)
