"""LibRaw's demosaicking of mosaics in memory."""

import io
from dataclasses import replace

import numpy as np
import rawpy
from numpy.typing import NDArray

from restore.image.develop import gains_of
from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture

__all__ = ["demosaicked", "enlarged", "light_of_sensor"]

_PEDESTAL = 0.01
_LEAST_PX = 512
"""Smallest side of an X-Trans picture that LibRaw demosaics."""


def demosaicked(raw: RawPicture) -> NDArray[np.float32]:
    """Return LibRaw's linear camera RGB with white balance, ``[3, H, W]`` in [0, 1], not rotated.

    Bayer mosaics are demosaicked by AHD, X-Trans ones by Markesteijn's method in three passes.
    """
    return _demosaicked(raw, rawpy.HighlightMode.Clip)


def _demosaicked(raw: RawPicture, highlights: rawpy.HighlightMode) -> NDArray[np.float32]:
    # Stated or not, LibRaw is to use this white balance, not one of its own.
    balanced = replace(enlarged(raw), has_white_balance=True)
    with rawpy.imread(io.BytesIO(write_cfa_dng(balanced))) as opened:
        samples = opened.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0,
            gamma=(1, 1),
            highlight_mode=highlights,
            output_color=rawpy.ColorSpace.raw,
            output_bps=16,
            user_flip=0,
        )
    cut = samples[: raw.height, : raw.width].transpose(2, 0, 1)
    return np.ascontiguousarray(cut, dtype=np.float32) / np.float32(65535)


def light_of_sensor(raw: RawPicture) -> NDArray[np.float32]:
    """Return LibRaw's linear camera RGB without white balance and unclipped, ``[3, H, W]``.

    Black is 0 and the file's white level 1. Noise below black stays negative. While LibRaw
    interpolates, which it does best with white balance, black lies on a pedestal, and the white of
    the largest factor is the highest code, so that no factor clips it. The samples of a monochrome
    sensor are given three times.
    """
    black = np.array(raw.black_level, dtype=np.float64)
    span = raw.white_level - float(black.max())
    if raw.is_monochrome:
        light = (raw.mosaic.astype(np.float32) - np.float32(black[1])) / np.float32(span)
        return np.repeat(light[None], 3, axis=0)
    # LibRaw takes whole numbers only.
    lowered = np.floor(black - min(black.min(), _PEDESTAL * span))
    red, green, blue, second = lowered.tolist()
    bare = replace(raw, black_level=(red, green, blue, second), saturation=None)
    light = _demosaicked(bare, rawpy.HighlightMode.Ignore)
    # In digital numbers above the pedestal: LibRaw brings the largest factor's white to 1, counted
    # from the lowest black.
    light *= np.float32(raw.white_level - lowered.min())
    gains = gains_of(raw.white_balance)
    red, green, blue, second = (black - lowered).tolist()
    for channel, gain, pedestal in zip(
        light, gains, (red, (green + second) / 2, blue), strict=True
    ):
        channel *= gains.max() / gain
        channel -= np.float32(pedestal)
    light /= np.float32(span)
    return light


def enlarged(raw: RawPicture) -> RawPicture:
    """Return a mosaic extended to a size that LibRaw takes, by repeating its last period."""
    period = len(raw.cfa)

    def places(size: int) -> NDArray[np.intp]:
        index = np.arange(max(size, _LEAST_PX))
        repeated = size - period + (index - size) % period
        # In a mosaic smaller than a period, colours cannot be right.
        return np.where(index < size, index, repeated.clip(0, size - 1))

    rows, columns = map(places, raw.mosaic.shape)
    return replace(raw, mosaic=raw.mosaic[rows[:, None], columns])
