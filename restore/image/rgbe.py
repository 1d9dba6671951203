"""Radiance .hdr: linear RGB with a shared exponent."""

import re
from typing import BinaryIO

import imagecodecs
import numpy as np

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.limits import check_least_bytes
from restore.image.picture import Picture, Transfer
from restore.image.samples import planes

__all__ = ["read_rgbe", "write_rgbe"]

_MOST_HEADER_BYTES = 1 << 16
_HEADER = re.compile(rb"#\?[^\n]*\n(?:[^\n]+\n)*\n([^\n]{1,80})\n")
_SIZE = re.compile(rb"-Y +(\d{1,9}) +\+X +(\d{1,9})\s*")
_ANY_SIZE = re.compile(rb"[-+][XY] +\d+ +[-+][XY] +\d+\s*")
_LARGEST = 1.6e38  # just below what the largest exponent holds
_LONGEST_RUN = 127
"""Samples that two bytes repeat, in each of the four planes of a row."""


def read_rgbe(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a Radiance picture in the usual row order.

    Raises:
        UnsupportedImage: another row order, or XYZ colours.
        CorruptImage: a damaged header, or one of more pixels than the file can hold.
        Exception: whatever the codec raises on damaged data.
    """
    data = file.read()
    header = _HEADER.match(data, 0, _MOST_HEADER_BYTES)
    if not header or not _ANY_SIZE.fullmatch(header[1]):
        raise CorruptImage("has a damaged header")
    size = _SIZE.fullmatch(header[1])
    if not size or b"32-bit_rle_xyze" in header[0]:
        raise UnsupportedImage("has XYZ colours or an unusual row order; top-down RGBE is read")
    width, height = int(size[2]), int(size[1])
    check_least_bytes(width, height, 8 * width * height / _LONGEST_RUN, len(data) - header.end())
    check_size(width, height, 3)
    # The codec parses the size itself: a header of ours makes it read the size just checked.
    plain = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (height, width)
    data = b"".join([plain, memoryview(data)[header.end() :]])
    del header  # it holds the file
    samples = imagecodecs.rgbe_decode(data)
    del data
    pixels, _ = planes(samples, 1.0)
    return Picture(
        pixels=pixels,
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
        format=ImageFormat.HDR,
    )


def write_rgbe(picture: Picture, _encoding: SampleEncoding) -> bytes:
    """Encode linear ``picture``; gray becomes three equal channels, negative light becomes 0."""
    rgb = np.broadcast_to(picture.pixels, (3, picture.height, picture.width))
    samples = np.nan_to_num(rgb.transpose(1, 2, 0), nan=0, posinf=_LARGEST).clip(0, _LARGEST)
    return bytes(imagecodecs.rgbe_encode(np.ascontiguousarray(samples), header=True))
