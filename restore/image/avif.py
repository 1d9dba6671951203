"""AVIF of 8, 10 and 12 bits, with its colour space; imagecodecs (libavif) decodes and encodes.

Pillow is not used for pixels: it has 8 bits only, and writes sRGB's code points for every picture.
What imagecodecs does not know (profiles, orientation, EXIF, XMP) is in boxes around the pixels.
"""

import io
import struct
from dataclasses import replace
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import OutputError, UnsupportedImage
from restore.image.cicp import SRGB, Cicp
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import CODECS, ImageFormat
from restore.image.icc import other_primaries
from restore.image.isobmff import Item, Items, box, read_items, with_items
from restore.image.metadata import EXIF_HEADER, quiet_pillow, with_orientation
from restore.image.picture import Picture
from restore.image.pillow import READERS
from restore.image.samples import planes, quantised
from restore.image.stated import stated_profile

__all__ = ["cicp_of", "exif_of_item", "orientation_of_items", "read_avif", "write_avif"]

_LONGEST_SIDE = 65536
_SPEED = 6
"""From 0, slow, to 10: libavif's own default, of Pillow as well."""
_PROFILES = (b"prof", b"rICC")
_XMP_TYPE = b"application/rdf+xml"
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
    icc = next((profile for name in _PROFILES if (profile := items.property(b"colr", name))), None)
    exif = next(
        (exif_of_item(each.data) for each in items.described_by if each.kind == b"Exif"), b""
    )
    orientation = orientation_of_items(items)
    picture = Picture(
        pixels=pixels,
        alpha=alpha,
        bit_depth=depth,
        format=ImageFormat.AVIF,
        icc=icc[4:] if icc else None,
        cicp=cicp_of(items.property(b"colr", b"nclx")),
        exif=with_orientation(exif, orientation) or None,
        xmp=next((e.data for e in items.described_by if e.content_type == _XMP_TYPE), None) or None,
        orientation=orientation,
    )
    return replace(picture, primaries=other_primaries(picture.icc or stated_profile(picture)))


def write_avif(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture`` in full range and without chroma subsampling.

    Code points stay as they are; a matrix that libavif cannot write becomes BT.2020's for BT.2020,
    and else BT.601's.

    Raises:
        OutputError: the picture is too large.
    """
    if max(picture.width, picture.height) > _LONGEST_SIDE:
        raise OutputError(f"AVIF holds at most {_LONGEST_SIDE} pixels a side; use --format png")
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
    properties = [box(b"colr", b"prof" + picture.icc)] if picture.icc else []
    properties += _turning(picture.orientation)
    items = []
    if picture.exif:
        # An offset to the header of TIFF comes first.
        exif = with_orientation(picture.exif, picture.orientation)
        items.append(Item(kind=b"Exif", data=bytes(4) + exif))
    if picture.xmp:
        items.append(Item(kind=b"mime", content_type=_XMP_TYPE, data=picture.xmp))
    return with_items(bytes(encoded), properties, items)


def cicp_of(colr: bytes | None) -> Cicp | None:
    """Return the code points in the content of a colr box of type nclx, or None."""
    if colr is None or len(colr) < 11:
        return None
    primaries, transfer, matrix, flags = struct.unpack_from(">HHHB", colr, 4)
    if primaries == transfer == _UNSPECIFIED:
        return None
    return Cicp(primaries, transfer, matrix, bool(flags & 0x80))


def exif_of_item(data: bytes) -> bytes:
    """Return the EXIF block in an item: behind an offset, and perhaps the header of JPEG."""
    if len(data) < 4:
        return b""
    (offset,) = struct.unpack_from(">I", data)
    is_prefixed = data[4:].startswith(EXIF_HEADER)
    return data[4 + (len(EXIF_HEADER) if is_prefixed else offset) :]


# Quarter turns against the clock, and the axis of the mirror that follows, of each orientation.
_TURNS: dict[int, tuple[int, int | None]] = {
    1: (0, None),
    2: (0, 1),
    3: (2, None),
    4: (0, 0),
    5: (1, 0),
    6: (3, None),
    7: (3, 0),
    8: (1, None),
}
# The same eight, where a file says it in the other of two ways.
_ORIENTATIONS = {turn: each for each, turn in _TURNS.items()} | {
    (1, 1): 7,
    (2, 0): 2,
    (2, 1): 4,
    (3, 1): 5,
}


def orientation_of_items(items: Items) -> int:
    """Return the orientation 1..8 that the properties irot and imir mean together."""
    turn, mirror = items.property(b"irot"), items.property(b"imir")
    return _ORIENTATIONS[turn[0] & 3 if turn else 0, mirror[0] & 1 if mirror else None]


def _turning(orientation: int) -> list[bytes]:
    turn, axis = _TURNS[orientation]
    boxes = [box(b"irot", bytes((turn,)))] if turn else []
    return boxes if axis is None else [*boxes, box(b"imir", bytes((axis,)))]


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
