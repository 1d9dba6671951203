"""Gain-map JPEG (Ultra HDR, ISO 21496-1): a picture for every screen, and more light for some."""

import imagecodecs
import numpy as np

from restore.errors import OutputError
from restore.image.picture import Picture, Transfer

__all__ = ["write_gain_map"]

_QUALITY = 95
_LARGEST = 10_000 / 203
"""The format's brightest is 10,000 cd/m^2, and 1.0 is shown at 203 (ITU-R BT.2408)."""


def write_gain_map(picture: Picture, *, quality: int | None = None) -> bytes:
    """Encode linear light of any range; libultrahdr makes the tone-mapped picture in it.

    Raises:
        OutputError: this build of imagecodecs has no libultrahdr, or the picture is too small.
    """
    if not imagecodecs.ULTRAHDR.available:
        raise OutputError("this build of imagecodecs writes no gain maps; use --format exr")
    if picture.transfer is not Transfer.LINEAR:
        raise ValueError(f"a gain map is made of linear light, not of {picture.transfer}")
    # The codec takes even sides only.
    height, width = (size + size % 2 for size in (picture.height, picture.width))
    samples = np.ones((height, width, 4), dtype=np.float16)
    light = np.broadcast_to(picture.pixels, (3, picture.height, picture.width))
    samples[: picture.height, : picture.width, :3] = (
        np.nan_to_num(light).clip(0, _LARGEST).transpose(1, 2, 0)
    )
    samples[picture.height :] = samples[picture.height - 1 : picture.height]
    samples[:, picture.width :] = samples[:, picture.width - 1 : picture.width]
    try:
        return bytes(imagecodecs.ultrahdr_encode(samples, level=quality or _QUALITY))
    except imagecodecs.UltrahdrError as error:
        raise OutputError(f"a gain map cannot be made: {error}; use --format exr") from error
