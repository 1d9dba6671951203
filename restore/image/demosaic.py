"""LibRaw's demosaicking of mosaics in memory, with which others are compared."""

import io
from dataclasses import replace

import numpy as np
import rawpy
from numpy.typing import NDArray

from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture

__all__ = ["demosaicked"]

_LEAST_PX = 512
"""Smallest side of an X-Trans picture that LibRaw demosaics."""


def demosaicked(raw: RawPicture) -> NDArray[np.float32]:
    """Return LibRaw's linear camera RGB with white balance, ``[3, H, W]`` in [0, 1].

    Bayer mosaics are demosaicked by AHD, X-Trans ones by Markesteijn's method in three passes.
    """
    with rawpy.imread(io.BytesIO(write_cfa_dng(_enlarged(raw)))) as opened:
        samples = opened.postprocess(
            use_camera_wb=True,
            no_auto_bright=True,
            adjust_maximum_thr=0,
            gamma=(1, 1),
            output_color=rawpy.ColorSpace.raw,
            output_bps=16,
        )
    cut = samples[: raw.height, : raw.width].transpose(2, 0, 1)
    return np.ascontiguousarray(cut, dtype=np.float32) / np.float32(65535)


def _enlarged(raw: RawPicture) -> RawPicture:
    """Extend a mosaic that is too small for LibRaw by repeating its last period."""
    period = len(raw.cfa)

    def places(size: int) -> NDArray[np.intp]:
        index = np.arange(max(size, _LEAST_PX))
        return np.where(index < size, index, size - period + (index - size) % period)

    rows, columns = map(places, raw.mosaic.shape)
    return replace(raw, mosaic=raw.mosaic[rows[:, None], columns])
