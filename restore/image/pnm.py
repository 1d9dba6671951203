"""PGM and PPM, plain and raw, 8 and 16 bits: Pillow reads 16-bit PPM as 8 bits."""

import re
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.picture import Picture
from restore.image.samples import planes, stored_samples

__all__ = ["read_pnm", "write_pnm"]

_LONGEST_HEADER = 1 << 16
"""Bytes, comments included; of whole files of blanks a match would take minutes and memory."""
_LONGEST_NUMBER = 16
"""Bytes of a plain sample with the blanks around it, on average."""
_TOKEN = rb"(?:\s|#[^\n]*\n)*"
_HEADER = re.compile(
    rb"P([2356])(?=\s)" + _TOKEN + rb"(\d{1,9})(?=[\s#])" + _TOKEN + rb"(\d{1,9})(?=[\s#])"
    + _TOKEN + rb"(\d{1,5})\s"
)  # fmt: skip


def read_pnm(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a PGM (P2, P5) or PPM (P3, P6).

    Raises:
        CorruptImage: the header is invalid, or samples are missing.
    """
    header = _HEADER.match(file.read(_LONGEST_HEADER))
    if not header:
        raise CorruptImage("has a damaged header")
    kind, width, height, peak = (int(group) for group in header.groups())
    if not (width and height and 0 < peak < 65536):
        raise CorruptImage("has a damaged header")
    check_size(width, height)
    channels = 3 if kind in (3, 6) else 1
    count = width * height * channels
    file.seek(header.end())
    if kind in (2, 3):
        samples = _plain_samples(file.read(_LONGEST_NUMBER * count + _LONGEST_HEADER), count)
    else:
        dtype = np.dtype(">u2" if peak > 255 else np.uint8)
        body = file.read(count * dtype.itemsize)
        samples = np.frombuffer(body, dtype, len(body) // dtype.itemsize)
    if len(samples) < count:
        raise CorruptImage("is cut short")
    if samples.max() > peak:
        raise CorruptImage(f"has samples above {peak}, the maximum that it states")
    pixels, _ = planes(samples.reshape(height, width, channels), peak)
    return Picture(pixels=pixels, bit_depth=16 if peak > 255 else 8, format=ImageFormat.PPM)


def _plain_samples(text: bytes, count: int) -> NDArray[np.uint64]:
    if text.translate(None, b"0123456789 \t\n\v\f\r"):
        raise CorruptImage("has samples that are not numbers")
    if text.isspace() or not text:
        return np.empty(0, np.uint64)  # where numpy would find a zero
    return np.fromstring(text, dtype=np.uint64, sep=" ")[:count]


def write_pnm(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture`` as raw PGM (gray) or PPM (RGB) of 8 or 16 bits."""
    bit_depth = encoding.bit_depth
    samples = stored_samples(picture, np.uint8 if bit_depth == 8 else np.uint16)
    kind, peak = ("P5" if picture.channels == 1 else "P6"), 2**bit_depth - 1
    header = f"{kind}\n{picture.width} {picture.height}\n{peak}\n".encode()
    return header + samples.astype(">u2" if bit_depth == 16 else np.uint8).tobytes()
