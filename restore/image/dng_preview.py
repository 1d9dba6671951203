"""The small JPEG that shows what a DNG holds before a converter has developed it."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.image.colour import linear_to_srgb
from restore.image.compare import viewable
from restore.image.develop import camera_to_srgb, gains_of
from restore.image.picture import Picture
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture

__all__ = ["Preview", "preview_of_light", "preview_of_mosaic", "preview_of_picture"]

_LONGEST_SIDE = 1024
_QUALITY = 88


class Preview:
    """A JPEG with its size.

    Args:
        pixels: uint8 ``[H, W, C]``, sRGB.
        most: The longest side it may have.
    """

    def __init__(self, pixels: NDArray[np.uint8], most: int) -> None:
        image = Image.fromarray(np.squeeze(pixels, axis=2) if pixels.shape[2] == 1 else pixels)
        image = image.convert("RGB")
        image.thumbnail((most, most))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=_QUALITY, subsampling="4:2:0")
        self.data = file.getvalue()
        self.width, self.height = image.size


def preview_of_picture(picture: Picture) -> Preview:
    """Return the preview that is this picture, scaled down."""
    return Preview(viewable(picture), _most(picture.height, picture.width))


def _most(height: int, width: int) -> int:
    # Of two pictures of one size, some readers take the first for the RAW one.
    return max(1, min(_LONGEST_SIDE, max(height, width) // 2))


def preview_of_mosaic(raw: RawPicture) -> Preview:
    """Return a preview in which each pixel is the mean of whole periods of the mosaic."""
    side = len(raw.cfa)
    rows, columns = raw.shown
    # From a multiple of the period, so that colours stay where they are.
    top, left = (place.start - place.start % side for place in raw.shown)
    mosaic = raw.mosaic[top : rows.stop, left : columns.stop]
    short = [(0, max(0, side - size)) for size in mosaic.shape]
    mosaic = np.pad(mosaic, short, mode="edge") if np.any(short) else mosaic
    height, width = (size // side for size in mosaic.shape)
    cells = min(max(1, max(height, width) // _LONGEST_SIDE), height, width)
    light = np.zeros((3, height // cells, width // cells), dtype=np.float32)
    counts = np.zeros(3, dtype=np.float32)
    for (y, x), colour in np.ndenumerate(raw.cfa):
        samples = mosaic[y::side, x::side][: light.shape[1] * cells, : light.shape[2] * cells]
        parts = samples.reshape(light.shape[1], cells, light.shape[2], cells)
        means = parts.mean(axis=(1, 3), dtype=np.float32)
        black = raw.black_level[colour]
        channel = GREEN if colour == SECOND_GREEN else colour
        light[channel] += (means - np.float32(black)) / np.float32(raw.range_dn)
        counts[channel] += 1
    if raw.is_monochrome:
        shown = _shown(light[GREEN : GREEN + 1], raw, is_gray=True)
    else:
        light /= counts[:, None, None]
        shown = _shown(light, raw)
    return Preview(shown, _most(raw.height, raw.width))


def preview_of_light(linear: NDArray[np.float32], raw: RawPicture) -> Preview:
    """Return a preview of demosaicked camera RGB ``[3, H, W]`` before white balance."""
    step = max(1, max(linear.shape[1:]) // _LONGEST_SIDE)
    shown = _shown(linear[:, ::step, ::step], raw, is_gray=len(linear) == 1)
    return Preview(shown, _most(*linear.shape[1:]))


def _shown(
    light: NDArray[np.float32], raw: RawPicture, *, is_gray: bool = False
) -> NDArray[np.uint8]:
    """Return camera RGB, or gray, developed: uint8 ``[H, W, C]``."""
    light = light * np.float32(2.0**raw.baseline_exposure)
    if not is_gray:
        balanced = (light * gains_of(raw.white_balance)[:, None, None]).clip(0, 1)
        light = np.einsum("ij,jhw->ihw", camera_to_srgb(raw), balanced)
    codes = linear_to_srgb(light.clip(0, 1)) * 255 + np.float32(0.5)
    return np.ascontiguousarray(codes.astype(np.uint8).transpose(1, 2, 0))
