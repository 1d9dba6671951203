"""JPEG 2000, files and bare codestreams, read by imagecodecs (OpenJPEG)."""

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.codec import CheckSize
from restore.image.codecs import ImageFormat
from restore.image.icc import other_primaries
from restore.image.metadata import bare_exif, orientation_of
from restore.image.picture import Picture
from restore.image.samples import planes

__all__ = ["read_jp2"]

_CODESTREAM = b"\xff\x4f\xff\x51"
_EXIF_ID = b"JpgTiffExif->JP2"
_XMP_ID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_RESTRICTED_PROFILE, _ANY_PROFILE = 2, 3
_DEPTHS = (8, 10, 12, 16)


def read_jp2(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a picture of unsigned samples of up to 16 bits.

    Raises:
        UnsupportedImage: other samples.
        CorruptImage: damaged boxes, or a header that is cut short.
        Exception: whatever OpenJPEG raises on damaged data.
    """
    data = file.read()
    boxes = list(_boxes(data)) if not data.startswith(_CODESTREAM) else [(b"jp2c", data)]
    bodies = dict(reversed(boxes))
    if b"jp2c" not in bodies:
        raise CorruptImage("has no picture in it")
    width, height, samples_per_pixel, depth = _size(bodies[b"jp2c"])
    check_size(width, height, samples_per_pixel)
    samples: NDArray[Any] = imagecodecs.jpeg2k_decode(data, numthreads=1)
    if samples.dtype not in (np.uint8, np.uint16) or samples.ndim not in (2, 3):
        raise UnsupportedImage("has samples other than 8 to 16 bits without sign")
    pixels, alpha = planes(samples, 2.0**depth - 1)
    icc = _profile(bodies.get(b"jp2h", b""))
    exif = bare_exif(next((b[16:] for k, b in boxes if k == b"uuid" and b[:16] == _EXIF_ID), None))
    return replace(
        Picture(
            pixels=pixels,
            alpha=alpha,
            bit_depth=next((each for each in _DEPTHS if each >= depth), 16),
            format=ImageFormat.JP2,
            icc=icc,
            exif=exif,
            xmp=next((b[16:] for k, b in boxes if k == b"uuid" and b[:16] == _XMP_ID), None),
            orientation=orientation_of(exif),
        ),
        primaries=other_primaries(icc),
    )


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while start + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        end = len(data) if size == 0 else start + size
        if end < start + head or end > len(data):
            raise CorruptImage("is cut short, or has damaged boxes")
        yield kind, data[start + head : end]
        start = end


def _profile(header: bytes) -> bytes | None:
    for kind, body in _boxes(header):
        if kind == b"colr" and body[:1] and body[0] in (_RESTRICTED_PROFILE, _ANY_PROFILE):
            return body[3:] or None
    return None


def _size(codestream: bytes) -> tuple[int, int, int, int]:
    """Return width, height, samples per pixel and bits per sample (ISO/IEC 15444-1, A.5.1).

    Raises:
        CorruptImage: the codestream is cut short.
        UnsupportedImage: samples have a sign, more than 16 bits, or not all the same bits.
    """
    try:
        right, bottom, left, top = struct.unpack_from(">4I", codestream, 8)
        (count,) = struct.unpack_from(">H", codestream, 40)
        depths = {codestream[42 + 3 * each] for each in range(count)}
    except (struct.error, IndexError) as error:
        raise CorruptImage("is cut short") from error
    if len(depths) != 1 or (depth := depths.pop() + 1) > 16:
        raise UnsupportedImage("has samples other than 8 to 16 bits without sign")
    return right - left, bottom - top, count, depth
