"""What a picture shows at each pixel: something flat, an edge, or fine texture."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Texture", "textures"]

_FLAT = 2.5 / 255
"""Root mean square of the gradient, per pixel, below which a place is flat."""
_EDGE = 0.6
"""Coherence from which a place is an edge: 1 where all gradients are parallel, 0 where none are."""
_WINDOW = 7
_BAND = 256


class Texture(IntEnum):
    """What is seen within a few pixels."""

    FLAT = 0
    EDGE = 1
    FINE = 2


def textures(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the ``Texture`` of each pixel, by the structure tensor of 7x7 pixels around it.

    Bigün and Granlund, "Optimal orientation detection of linear symmetry", ICCV 1987: its trace is
    the energy of the gradients, and the difference of its eigenvalues over their sum the coherence.

    Args:
        pixels: ``[C, H, W]``, sRGB-encoded, in [0, 1].

    Returns:
        ``[H, W]``.
    """
    height = pixels.shape[1]
    found = np.empty(pixels.shape[1:], np.uint8)
    reach = _WINDOW // 2 + 1
    for start in range(0, height, _BAND):  # in bands, for the tensors take as much as the picture
        stop = min(start + _BAND, height)
        top, bottom = max(0, start - reach), min(height, stop + reach)
        found[start:stop] = _of_band(pixels[:, top:bottom])[start - top : stop - top]
    return found


def _of_band(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    from scipy import ndimage

    brightness = np.pad(pixels.mean(axis=0), 1, mode="edge")
    down = (brightness[2:, 1:-1] - brightness[:-2, 1:-1]) / 2
    across = (brightness[1:-1, 2:] - brightness[1:-1, :-2]) / 2
    down_down, across_across, both = (
        ndimage.uniform_filter(product, _WINDOW, mode="nearest")
        for product in (down * down, across * across, down * across)
    )
    energy = down_down + across_across
    difference = np.hypot(down_down - across_across, 2 * both)
    is_edge = difference >= _EDGE * energy
    kinds = np.where(is_edge, Texture.EDGE, Texture.FINE)
    return np.where(energy < _FLAT**2, Texture.FLAT, kinds).astype(np.uint8)
