"""JPEG 2000, files and bare codestreams, read by imagecodecs (OpenJPEG)."""

import struct
from dataclasses import replace
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.codec import CheckSize
from restore.image.codecs import ImageFormat
from restore.image.icc import other_primaries
from restore.image.isobmff import boxes_in
from restore.image.limits import check_least_bytes
from restore.image.metadata import bare_exif, orientation_of
from restore.image.picture import Picture
from restore.image.samples import depth_remarks, planes

__all__ = ["read_jp2"]

_CODESTREAM = b"\xff\x4f\xff\x51"
_EXIF_ID = b"JpgTiffExif->JP2"
_XMP_ID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_RESTRICTED_PROFILE, _ANY_PROFILE = 2, 3
_CMYK = 12
_LEAST_TILE_BYTES = 14
"""Those of the markers at the start and before the data of a tile (A.4.2, A.4.3)."""
_DEPTHS = (8, 10, 12, 16)


def read_jp2(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a picture of unsigned samples of up to 16 bits.

    Raises:
        UnsupportedImage: other samples.
        CorruptImage: damaged boxes, or a header that is cut short.
        Exception: whatever OpenJPEG raises on damaged data.
    """
    data = file.read()
    boxes = list(boxes_in(data)) if not data.startswith(_CODESTREAM) else [(b"jp2c", data)]
    bodies = dict(reversed(boxes))
    if b"jp2c" not in bodies:
        raise CorruptImage("has no picture in it")
    width, height, samples_per_pixel, depth = _size(bodies[b"jp2c"])
    check_size(width, height, samples_per_pixel)
    header = bodies.get(b"jp2h", b"")
    if _colour_space(header) == _CMYK:
        raise UnsupportedImage(
            "is CMYK, which the networks do not support; convert it to RGB first"
        )
    if samples_per_pixel in (2, 4) and b"cdef" not in dict(boxes_in(header)):
        raise UnsupportedImage("has a channel that it does not declare to be opacity; remove it")
    samples: NDArray[Any] = imagecodecs.jpeg2k_decode(data, numthreads=1)
    if samples.dtype not in (np.uint8, np.uint16) or samples.ndim not in (2, 3):
        raise UnsupportedImage("has samples other than 8 to 16 bits without sign")
    pixels, alpha = planes(samples, 2.0**depth - 1)
    bit_depth = next((each for each in _DEPTHS if each >= depth), 16)
    icc = _profile(header)
    exif = bare_exif(next((b[16:] for k, b in boxes if k == b"uuid" and b[:16] == _EXIF_ID), None))
    return replace(
        Picture(
            pixels=pixels,
            alpha=alpha,
            bit_depth=bit_depth,
            format=ImageFormat.JP2,
            icc=icc,
            exif=exif,
            xmp=next((b[16:] for k, b in boxes if k == b"uuid" and b[:16] == _XMP_ID), None),
            orientation=orientation_of(exif),
            remarks=depth_remarks(depth, bit_depth),
        ),
        primaries=other_primaries(icc),
    )


def _profile(header: bytes) -> bytes | None:
    for kind, body in boxes_in(header):
        if kind == b"colr" and body[:1] and body[0] in (_RESTRICTED_PROFILE, _ANY_PROFILE):
            return body[3:] or None
    return None


def _colour_space(header: bytes) -> int:
    """Return the number of an enumerated colour space, or 0."""
    for kind, body in boxes_in(header):
        if kind == b"colr" and body[:1] == b"\x01" and len(body) >= 7:
            return int.from_bytes(body[3:7], "big")
    return 0


def _size(codestream: bytes) -> tuple[int, int, int, int]:
    """Return width, height, samples per pixel and bits per sample (ISO/IEC 15444-1, A.5.1).

    Raises:
        CorruptImage: the codestream is cut short, or cannot hold its tiles.
        UnsupportedImage: samples have a sign, more than 16 bits, or not all the same bits.
    """
    try:
        right, bottom, left, top, across, down, x, y = struct.unpack_from(">8I", codestream, 8)
        (count,) = struct.unpack_from(">H", codestream, 40)
        depths = {codestream[42 + 3 * each] for each in range(count)}
    except (struct.error, IndexError) as error:
        raise CorruptImage("is cut short") from error
    if not across or not down:
        raise CorruptImage("has a damaged header")
    tiles = -(-(right - x) // across) * -(-(bottom - y) // down)
    check_least_bytes(right - left, bottom - top, _LEAST_TILE_BYTES * tiles, len(codestream))
    if len(depths) != 1 or (depth := depths.pop() + 1) > 16:
        raise UnsupportedImage("has samples other than 8 to 16 bits without sign")
    return right - left, bottom - top, count, depth
