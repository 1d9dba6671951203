"""PGM and PPM, plain and raw, 8 and 16 bits: Pillow reads 16-bit PPM as 8 bits."""

import re
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.limits import check_least_bytes
from restore.image.picture import Picture
from restore.image.samples import planes, stored_samples

__all__ = ["read_pnm", "write_pnm"]

_LONGEST_HEADER = 1 << 16
"""Bytes, comments included; of whole files of blanks a match would take minutes and memory."""
_LONGEST_NUMBER = 16
"""Digits of a plain sample, with zeros in front."""
_PART = 1 << 20
"""Bytes of plain samples that are parsed at once; as numbers they take several times as many."""
_DIGITS, _BLANKS = b"0123456789", b" \t\n\v\f\r"
_TOKEN = rb"(?:\s|#[^\n]*\n)*"
_HEADER = re.compile(
    rb"P([2356])(?=\s)" + _TOKEN + rb"(\d{1,9})(?=[\s#])" + _TOKEN + rb"(\d{1,9})(?=[\s#])"
    + _TOKEN + rb"(\d{1,5})\s"
)  # fmt: skip


def read_pnm(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a PGM (P2, P5) or PPM (P3, P6).

    Raises:
        UnsupportedImage: another picture follows.
        CorruptImage: the header is invalid, or samples are missing.
    """
    header = _HEADER.match(file.read(_LONGEST_HEADER))
    if not header:
        raise CorruptImage("has a damaged header")
    kind, width, height, peak = (int(group) for group in header.groups())
    if not (width and height and 0 < peak < 65536):
        raise CorruptImage("has a damaged header")
    is_plain, channels = kind in (2, 3), 3 if kind in (3, 6) else 1
    dtype = np.dtype(">u2" if peak > 255 else np.uint8)
    count = width * height * channels
    # Plain samples take a digit each, and a blank between them.
    least = 2 * count - 1 if is_plain else count * dtype.itemsize
    check_least_bytes(width, height, least, file.seek(0, 2) - header.end())
    check_size(width, height, channels)
    file.seek(header.end())
    if is_plain:
        samples = _plain_samples(file, count, peak)
    else:
        samples = np.frombuffer(file.read(least), dtype)
        _check_peak(samples, peak)
        if _HEADER.match(file.read(_LONGEST_HEADER)):
            raise UnsupportedImage("holds several pictures; send them one by one")
    if len(samples) < count:
        raise CorruptImage("is cut short")
    pixels, _ = planes(samples.reshape(height, width, channels), peak)
    bit_depth = 16 if peak > 255 else 8
    return Picture(
        pixels=pixels,
        bit_depth=bit_depth,
        format=ImageFormat.PPM,
        remarks=_remarks(peak, bit_depth),
    )


def _remarks(peak: int, bit_depth: int) -> Sequence[str]:
    whole = 2**bit_depth - 1
    return () if peak == whole else (f"has samples up to {peak}; they are read as up to {whole}",)


def _plain_samples(file: BinaryIO, count: int, peak: int) -> NDArray[np.uint16]:
    samples = np.empty(count, np.uint16)
    found, rest = 0, b""
    while found < count and (text := rest + (part := file.read(_PART))):
        end = len(text.rstrip(_DIGITS)) if part else len(text)  # the last number may go on
        numbers, rest = _numbers(text[:end], peak)[: count - found], text[end:]
        if len(rest) > _LONGEST_NUMBER:
            raise CorruptImage("has samples that are not numbers")
        samples[found : found + len(numbers)] = numbers
        found += len(numbers)
    return samples[:found]


def _numbers(text: bytes, peak: int) -> NDArray[np.uint64]:
    if text.translate(None, _DIGITS + _BLANKS):
        raise CorruptImage("has samples that are not numbers")
    if not text or text.isspace():
        return np.empty(0, np.uint64)  # where numpy would find a zero
    numbers = np.fromstring(text, dtype=np.uint64, sep=" ")
    _check_peak(numbers, peak)
    return numbers


def _check_peak(samples: NDArray[Any], peak: int) -> None:
    if samples.max() > peak:
        raise CorruptImage(f"has samples above {peak}, the maximum that it states")


def write_pnm(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture`` as raw PGM (gray) or PPM (RGB) of 8 or 16 bits."""
    bit_depth = encoding.bit_depth
    samples = stored_samples(picture, np.uint8 if bit_depth == 8 else np.uint16)
    kind, peak = ("P5" if picture.channels == 1 else "P6"), 2**bit_depth - 1
    header = f"{kind}\n{picture.width} {picture.height}\n{peak}\n".encode()
    return header + samples.astype(">u2" if bit_depth == 16 else np.uint8).tobytes()
