"""Colour for every pixel of a mosaic, by interpolation alone."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.image.develop import camera_to_srgb, gains_of
from restore.image.packing import normalised
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture

__all__ = ["demosaiced", "linear_srgb"]

_BAYER = np.array([0.5, 1.0, 0.5])
_XTRANS = np.array([0.25, 0.5, 1.0, 0.5, 0.25])


def demosaiced(raw: RawPicture) -> NDArray[np.float32]:
    """Return linear camera RGB ``[3, H, W]``, black at 0 and the sensor's white at 1.

    Each colour is the weighted mean of its nearest samples, of every filter pattern: bilinear
    interpolation on Bayer sensors. What was measured stays as it is.
    """
    height, width = raw.mosaic.shape
    tiles = (-(-height // len(raw.cfa)), -(-width // len(raw.cfa)))
    cfa = np.tile(raw.cfa, tiles)[:height, :width]
    light = normalised(raw)
    cfa[cfa == SECOND_GREEN] = GREEN
    kernel = (_XTRANS if raw.is_xtrans else _BAYER).astype(np.float32)
    planes = np.empty((3, height, width), dtype=np.float32)
    for colour, plane in enumerate(planes):
        here = cfa == colour
        weight = _smoothed(here.astype(np.float32), kernel)
        plane[...] = _smoothed(light * here, kernel) / np.maximum(weight, 1e-6)
        plane[here] = light[here]
    return planes


def linear_srgb(raw: RawPicture, camera: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``camera`` RGB with the file's white balance, in sRGB's primaries, linear."""
    balanced = camera * gains_of(raw.white_balance)[:, None, None]
    colours: NDArray[np.float32] = np.tensordot(camera_to_srgb(raw), balanced, axes=1)
    return colours


def _smoothed(plane: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = ndimage.correlate1d(plane, kernel, axis=0, mode="mirror")
    result: NDArray[np.float32] = ndimage.correlate1d(rows, kernel, axis=1, mode="mirror")
    return result
