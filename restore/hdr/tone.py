"""Light of any range on an ordinary screen."""

import numpy as np
from numpy.typing import NDArray

from restore.image.picture import Picture, Transfer
from restore.image.primaries import REC709_LUMINANCE
from restore.image.transfer import linear_to_srgb

__all__ = ["tone_mapped"]

_KEY = 0.18
_WHITE_QUANTILE = 0.999
_MOST_SAMPLES = 1_000_000
_ROWS_AT_ONCE = 256
_LEAST = 1e-6
_LONGEST_SIDE = 2048


def tone_mapped(picture: Picture) -> Picture:
    """Return an 8-bit sRGB picture of linear light, to look at; at most 2048 pixels on a side.

    Reinhard et al., "Photographic Tone Reproduction for Digital Images", SIGGRAPH 2002, eq. 4:
    the logarithmic mean becomes middle gray, and the brightest thousandth white. Hues are kept.
    """
    pixels = _reduced(picture.pixels)
    key, white = _exposure(pixels)
    shown = np.empty_like(pixels)
    for top in range(0, pixels.shape[1], _ROWS_AT_ONCE):
        rows = key * np.nan_to_num(pixels[:, top : top + _ROWS_AT_ONCE]).clip(0, None)
        light = _luminance(rows)
        mapped = light * (1 + light / white**2) / (1 + light)
        scaled = (rows * (mapped / np.maximum(light, _LEAST))).astype(np.float32, copy=False)
        shown[:, top : top + _ROWS_AT_ONCE] = linear_to_srgb(scaled).clip(0, 1)
    return Picture(
        pixels=shown,
        exif=picture.exif,
        orientation=picture.orientation,
        transfer=Transfer.SRGB,
    )


def _reduced(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return means over square cells, so that no side is longer than ``_LONGEST_SIDE``."""
    step = -(-max(pixels.shape[1:]) // _LONGEST_SIDE)
    if step == 1:
        return pixels
    channels, height, width = pixels.shape[0], pixels.shape[1] // step, pixels.shape[2] // step
    reduced = np.zeros((channels, height, width), dtype=np.float32)
    for row in range(step):
        for column in range(step):
            cells = pixels[:, row::step, column::step]
            reduced += np.nan_to_num(cells[:, :height, :width])
    reduced /= np.float32(step**2)
    return reduced


def _luminance(light: NDArray[np.float32]) -> NDArray[np.float32]:
    return light[0] if len(light) == 1 else np.tensordot(REC709_LUMINANCE, light, axes=1)


def _exposure(light: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    """Return the factor to middle gray, and the luminance after it that becomes white."""
    step = max(1, int((light[0].size / _MOST_SAMPLES) ** 0.5))
    sample = _luminance(np.nan_to_num(light[:, ::step, ::step]).clip(0, None))
    mean = np.exp(np.mean(np.log(sample + np.float32(_LEAST))))
    key = np.float32(_KEY / max(float(mean), _LEAST))
    white = np.float32(max(1.0, float(np.quantile(sample, _WHITE_QUANTILE)) * float(key)))
    return key, white
