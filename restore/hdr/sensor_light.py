"""The light of a RAW file, with the headroom that its white balance leaves above white."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from restore.image.demosaic import light_of_sensor
from restore.image.develop import camera_to_srgb, gains_of
from restore.image.highlights import clipping_levels, rebuilt_colours
from restore.image.raw_picture import RawPicture

__all__ = ["SensorLight", "light_of_raw", "saturated_at", "saturation_of"]

_FULL = 0.97
"""Share of saturation from which demosaicked samples count as saturated: neighbours pull at them.
"""


@dataclass(frozen=True, kw_only=True)
class SensorLight:
    """What a sensor measured.

    Attributes:
        light: linear sRGB ``[3, H, W]``; 1 is where the first colour saturates.
        white: where the last colour saturates, in the same unit; at least 1.
        lost: ``[H, W]``, where all colours are saturated.
        partly: ``[H, W]``, where some are; these have what the others suggest.
    """

    light: NDArray[np.float32]
    white: float
    lost: NDArray[np.bool_]
    partly: NDArray[np.bool_]


def light_of_raw(raw: RawPicture, *, saturation: float | None = None) -> SensorLight:
    """Return the light of a RAW file as its picture shows it, not rotated.

    White balance multiplies colours that saturate together by different factors: a developed
    picture is cut off where the first ends, but the others go on. Where some are saturated, they
    get the light that the others suggest; where all are, nothing was measured.

    Args:
        raw: the file.
        saturation: share of the range from black to white from which samples are saturated; None
            for what the file was found to have.
    """
    if saturation is not None:
        raw = saturated_at(raw, saturation)
    levels = saturation_of(raw)
    rows, columns = raw.shown
    camera = light_of_sensor(raw)[:, rows, columns]
    gains = gains_of(raw.white_balance, levels.tolist()).astype(np.float32)
    if raw.is_monochrome:
        gains = np.full(3, 1 / levels[1], dtype=np.float32)
    camera = camera * gains[:, None, None]
    ends = levels * gains
    is_clipped = camera >= (_FULL * ends)[:, None, None]
    count = is_clipped.sum(axis=0)
    lost, partly = count == 3, (count > 0) & (count < 3)
    white = float(ends.max())
    if count.any() and not raw.is_monochrome:
        rebuilt = rebuilt_colours(camera, is_clipped, ends)
        np.copyto(camera, np.maximum(camera, rebuilt), where=is_clipped)
    if not raw.is_monochrome:
        matrix = camera_to_srgb(raw)
        camera = np.tensordot(matrix, camera, axes=1).astype(np.float32, copy=False)
    np.maximum(camera, 0, out=camera)
    camera[:, lost] = white
    return SensorLight(light=camera, white=white, lost=lost, partly=partly)


def saturated_at(raw: RawPicture, share: float) -> RawPicture:
    """Return a file whose sensor saturates at a share of the white level that it states."""
    red, green, blue, second = (
        black + share * (raw.white_level - black) for black in raw.black_level
    )
    return replace(raw, saturation=(red, green, blue, second))


def saturation_of(raw: RawPicture) -> NDArray[np.float32]:
    """Return the light at which red, green and blue saturate, in units of ``light_of_sensor``."""
    span = raw.white_level - max(raw.black_level)
    return clipping_levels(raw) * np.float32(raw.range_dn / span)
