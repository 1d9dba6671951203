"""LibRaw's demosaicking of mosaics in memory, in a child process with limits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import InputError, OutputError
from restore.image.develop import gains_of
from restore.image.dng import write_cfa_dng
from restore.image.picture import Picture
from restore.image.raw import Look, develop_raw
from restore.image.raw_picture import RawPicture
from restore.scratch import scratch_folder

__all__ = ["demosaicked", "developed_by_libraw", "enlarged", "light_of_sensor"]

_WHITE = np.float32(65535)
_PEDESTAL = 0.01
_LEAST_PX = 512
"""Smallest side of an X-Trans picture that LibRaw demosaics."""

_SECONDS, _SECONDS_PER_MEGAPIXEL = 60.0, 5.0


def demosaicked(raw: RawPicture) -> NDArray[np.float32]:
    """Return LibRaw's linear camera RGB with white balance, ``[3, H, W]`` in [0, 1], not rotated.

    Bayer mosaics are demosaicked by AHD, X-Trans ones by Markesteijn's method in three passes.

    Raises:
        OutputError: as ``developed_by_libraw``.
    """
    return np.divide(developed_by_libraw(raw, "camera"), _WHITE, dtype=np.float32)


def light_of_sensor(raw: RawPicture) -> NDArray[np.float32]:
    """Return LibRaw's linear camera RGB without white balance and unclipped, ``[3, H, W]``.

    Black is 0 and the file's white level 1. Noise below black stays negative. While LibRaw
    interpolates, which it does best with white balance, black lies on a pedestal, and the white of
    the largest factor is the highest code, so that no factor clips it. The samples of a monochrome
    sensor are given three times.

    Raises:
        OutputError: as ``developed_by_libraw``.
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
    codes = developed_by_libraw(bare, "unclipped")
    # In digital numbers above the pedestal: LibRaw brings the largest factor's white to 1, counted
    # from the lowest black.
    scale = (raw.white_level - lowered.min()) / 65535
    gains = gains_of(raw.white_balance)
    red, green, blue, second = (black - lowered).tolist()
    light = np.empty(codes.shape, dtype=np.float32)
    for channel, (gain, pedestal) in enumerate(
        zip(gains, (red, (green + second) / 2, blue), strict=True)
    ):
        factor = np.float32(scale * gains.max() / gain / span)
        np.multiply(codes[channel], factor, out=light[channel])
        light[channel] -= np.float32(pedestal / span)
    return light


def developed_by_libraw(raw: RawPicture, look: Look) -> NDArray[np.uint16]:
    """Return LibRaw's development of a mosaic, ``[3, H, W]``, neither cropped nor rotated.

    Args:
        raw: RAW picture of any size with a colour filter.
        look: as for ``develop_raw``.

    Raises:
        OutputError: LibRaw cannot develop it, as where memory is short.
    """
    # Without a name for the camera, and with a white balance, LibRaw takes the colours in the file
    # and none of its own.
    bare = replace(
        raw,
        make="",
        model="",
        exif=None,
        xmp=None,
        dng=None,
        default_crop=None,
        pixel_aspect=1.0,
        has_white_balance=True,
    )
    megapixels = raw.width * raw.height / 1e6
    seconds = _SECONDS + _SECONDS_PER_MEGAPIXEL * megapixels
    try:
        with scratch_folder() as folder:
            path = Path(folder, "mosaic.dng")
            path.write_bytes(write_cfa_dng(enlarged(bare), preview=_NO_PREVIEW))
            return develop_raw(path, look, seconds=seconds)[:, : raw.height, : raw.width]
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise OutputError(
            f"cannot be developed: {reason}; {argument('image_format', 'dng')} needs less"
        ) from error


_NO_PREVIEW = Picture(pixels=np.zeros((3, 2, 2), dtype=np.float32))


def enlarged(raw: RawPicture) -> RawPicture:
    """Return a mosaic extended to a size that LibRaw takes, by repeating its last period."""
    if min(raw.mosaic.shape) >= _LEAST_PX:
        return raw
    period = len(raw.cfa)

    def places(size: int) -> NDArray[np.intp]:
        index = np.arange(max(size, _LEAST_PX))
        repeated = size - period + (index - size) % period
        # In a mosaic smaller than a period, colours cannot be right.
        return np.where(index < size, index, repeated.clip(0, size - 1))

    rows, columns = map(places, raw.mosaic.shape)
    return replace(raw, mosaic=raw.mosaic[rows[:, None], columns])
