"""AVIF of 8, 10 and 12 bits, with its colour space; imagecodecs (libavif) decodes and encodes.

Pillow is not used for pixels: it has 8 bits only, and writes sRGB's code points for every picture.
What imagecodecs does not know (profiles, orientation, EXIF, XMP) is in boxes around the pixels.
"""

import io
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.cicp import SRGB, Cicp
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import CODECS, ImageFormat
from restore.image.heif_items import described, items_of, orientation_of_items, properties_of
from restore.image.isobmff import Items, read_items, with_items
from restore.image.limits import too_long
from restore.image.metadata import quiet_pillow
from restore.image.picture import Picture
from restore.image.pillow import READERS
from restore.image.samples import planes, quantised

__all__ = ["read_avif", "write_avif"]

_LONGEST_SIDE = 65536
_SPEED = 6
"""From 0, slow, to 10: libavif's own default, of Pillow as well."""
_UNSPECIFIED = 2
_BT601, _BT2020, _IDENTITY = 6, 9, 0
_MATRICES = (_IDENTITY, 1, 4, 5, _BT601, 7, _BT2020)
"""Conversions that libavif encodes with."""


def read_avif(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read an AVIF of one frame.

    How many pixels its bytes can hold is not checked: flat pictures take next to nothing in AV1.

    Raises:
        UnsupportedImage: an animation.
        CorruptImage: damaged boxes.
        Exception: whatever libavif raises on damaged data.
    """
    data = file.read()
    with quiet_pillow(), READERS[ImageFormat.AVIF](io.BytesIO(data)) as opened:
        check_size(*opened.size, len(opened.getbands()))
        frames = getattr(opened, "n_frames", 1)
    if frames > 1:
        raise UnsupportedImage(f"is an animation of {frames} frames; extract one first")
    items = read_items(data)
    samples: NDArray[Any] = imagecodecs.avif_decode(data, numthreads=1)
    depth = 8 if samples.dtype == np.uint8 else _depth(items)
    pixels, alpha = planes(samples, 2**depth - 1)
    picture = Picture(
        pixels=pixels,
        alpha=alpha,
        bit_depth=depth,
        format=ImageFormat.AVIF,
        orientation=orientation_of_items(items),
    )
    return described(picture, items)


def write_avif(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture`` in full range and without chroma subsampling.

    Code points stay as they are; a matrix that libavif cannot write becomes BT.2020's for BT.2020,
    and else BT.601's.

    Raises:
        OutputError: the picture is too large.
    """
    if max(picture.width, picture.height) > _LONGEST_SIDE:
        raise too_long("AVIF", _LONGEST_SIDE)
    default = CODECS[ImageFormat.AVIF].default_quality
    colour = _written_cicp(picture)
    is_gray = picture.channels == 1 and picture.alpha is None
    encoded = imagecodecs.avif_encode(
        _samples(picture, encoding.bit_depth),
        default if encoding.quality is None else encoding.quality,
        speed=_SPEED,
        bitspersample=encoding.bit_depth,
        pixelformat="400" if is_gray else "444",
        primaries=colour.primaries,
        transfer=colour.transfer,
        matrix=colour.matrix,
        numthreads=1,
    )
    return with_items(bytes(encoded), properties_of(picture), items_of(picture))


def _depth(items: Items) -> int:
    """Return the bits per sample of a picture of more than 8."""
    if pixi := items.property(b"pixi"):
        return pixi[5]
    configuration = items.property(b"av1C") or b"\x81\x00\x60\x00"
    return 12 if configuration[2] & 0x20 else 10


def _written_cicp(picture: Picture) -> Cicp:
    """Return the code points to write: unspecified colours, where a profile states them."""
    unstated = Cicp(_UNSPECIFIED, _UNSPECIFIED, _BT601) if picture.icc else SRGB
    colour = picture.cicp or unstated
    is_kept = colour.matrix in _MATRICES and picture.format is ImageFormat.AVIF
    usual = _BT2020 if colour.primaries == _BT2020 else _BT601
    return Cicp(colour.primaries, colour.transfer, colour.matrix if is_kept else usual)


def _samples(picture: Picture, bit_depth: int) -> NDArray[Any]:
    """Return ``[H, W]`` or ``[H, W, 3 or 4]``; gray with alpha as colours."""
    peak = 2**bit_depth - 1
    parts = [quantised(plane, peak) for plane in picture.pixels]
    if picture.alpha is not None:
        parts = [*(parts * 3)[:3], quantised(picture.alpha, peak)]
    return parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)
