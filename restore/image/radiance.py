"""Radiance .hdr: linear RGB with a shared exponent."""

import re
from collections.abc import Callable

import imagecodecs
import numpy as np

from restore.errors import OutputError, UnsupportedImage
from restore.image.picture import ImageFormat, Picture, Transfer
from restore.image.samples import planes

__all__ = ["read_radiance", "write_radiance"]

_MOST_HEADER_BYTES = 1 << 16
_SIZE = re.compile(rb"\n-Y (\d{1,9}) \+X (\d{1,9})\n")


def read_radiance(data: bytes, check_size: Callable[[int, int], None]) -> Picture:
    """Read a Radiance picture in the usual row order from memory.

    Raises:
        UnsupportedImage: another row order, or XYZ colours.
        Exception: whatever the codec raises on damaged data.
    """
    size = _SIZE.search(data, 0, _MOST_HEADER_BYTES)
    if not size or b"32-bit_rle_rgbe" not in data[: size.start()]:
        raise UnsupportedImage("is a Radiance picture of an unusual kind; RGBE rows are read")
    check_size(int(size[2]), int(size[1]))
    pixels, _ = planes(imagecodecs.rgbe_decode(data), 1.0)
    return Picture(
        pixels=pixels,
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
        format=ImageFormat.HDR,
    )


def write_radiance(picture: Picture) -> bytes:
    """Encode linear ``picture``; gray becomes three equal channels.

    Raises:
        OutputError: the picture has an alpha channel.
    """
    if picture.alpha is not None:
        raise OutputError("Radiance cannot hold an alpha channel; use --format exr")
    planes_rgb = np.broadcast_to(picture.pixels, (3, picture.height, picture.width))
    samples = np.ascontiguousarray(planes_rgb.transpose(1, 2, 0)).clip(0, None)
    return bytes(imagecodecs.rgbe_encode(samples, header=True))
