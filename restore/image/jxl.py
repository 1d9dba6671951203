"""JPEG XL of 8 to 16 bits and floating point, by imagecodecs (libjxl)."""

from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import CorruptImage, OutputError, UnsupportedImage
from restore.image.cicp import LINEAR
from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import CODECS, ImageFormat
from restore.image.icc_writer import written_profile
from restore.image.isobmff import box, boxes_in
from restore.image.jxl_header import JxlHeader, labelled_srgb, read_jxl_header
from restore.image.limits import too_long
from restore.image.metadata import with_orientation
from restore.image.picture import Picture, Transfer, turned_upright
from restore.image.samples import depth_remarks, planes, quantised
from restore.image.stated import with_stated_primaries
from restore.image.xmp import xmp_with_orientation

__all__ = ["read_jxl", "write_jxl"]

_CODESTREAM = b"\xff\x0a"
_SIGNATURE = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_FILE_TYPE = b"\x00\x00\x00\x14ftypjxl \x00\x00\x00\x00jxl "
_LARGEST_BLOCK = 16 << 20
_LONGEST_SIDE = 1 << 30
_DEPTHS = (8, 10, 12, 16)
_EFFORT = 5


def read_jxl(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a JPEG XL of one frame; the picture comes upright.

    Raises:
        UnsupportedImage: an animation, channels beside colour and alpha, or a profile in a lossy
            file.
        CorruptImage: a damaged header.
        Exception: whatever libjxl raises on damaged data.
    """
    data = file.read()
    boxes = _boxes(data)
    codestream = _codestream(data, boxes)
    header = read_jxl_header(codestream)
    check_size(header.width, header.height, (1 if header.is_gray else 3) + header.extra_channels)
    if header.is_animation:
        raise UnsupportedImage("is an animation; extract one frame first")
    if header.extra_channels > 1:
        raise UnsupportedImage("has channels beside colour and alpha; remove them first")
    icc = None
    if header.has_profile:
        icc = _profile(data, header)
    elif header.cicp is None:
        icc = written_profile(header.primaries, header.curve, 1 if header.is_gray else 3)
    samples: NDArray[Any] = imagecodecs.jpegxl_decode(codestream, numthreads=1)
    peak = 1.0 if header.is_float else 2.0**header.bit_depth - 1
    pixels, alpha = planes(samples, peak)
    is_linear = header.cicp is not None and header.cicp.transfer == LINEAR
    exif = boxes.get(b"Exif", b"")
    exif = exif[4 + int.from_bytes(exif[:4], "big") :]
    picture = Picture(
        pixels=pixels,
        alpha=alpha,
        alpha_is_premultiplied=header.alpha_is_premultiplied,
        bit_depth=_held_depth(header),
        is_float=header.is_float,
        transfer=Transfer.LINEAR if header.is_float and is_linear else Transfer.SRGB,
        format=ImageFormat.JXL,
        is_lossless=not header.is_xyb,
        icc=icc,
        cicp=None if header.cicp is None or header.cicp.is_srgb else header.cicp,
        exif=with_orientation(exif, 1) or None,
        xmp=xmp_with_orientation(boxes.get(b"xml "), 1) or None,
        remarks=depth_remarks(header.bit_depth, _held_depth(header)),
    )
    return with_stated_primaries(picture)


def write_jxl(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture``: 8 bits lossy, unless its source was lossless; more bits lossless.

    Quality 100 is lossless.

    Raises:
        OutputError: the picture is too large, or a quality is given where it is lossless.
    """
    # Viewers do not look for the orientation in EXIF here.
    picture = turned_upright(picture)
    quality, depth = encoding.quality, encoding.bit_depth
    if max(picture.width, picture.height) > _LONGEST_SIDE:
        raise too_long("JPEG XL", _LONGEST_SIDE)
    if quality is not None and quality < 100 and depth > 8:
        raise OutputError(
            f"JPEG XL of {depth} bits is always written lossless; leave out {argument('quality')}, "
            f"or add {argument('bit_depth', 8)}"
        )
    is_lossless = depth > 8 or quality == 100 or (quality is None and picture.is_lossless)
    default = CODECS[ImageFormat.JXL].default_quality or 100
    codestream = bytes(
        imagecodecs.jpegxl_encode(
            _samples(picture, encoding),
            effort=_EFFORT,
            lossless=is_lossless,
            distance=None if is_lossless else _distance(default if quality is None else quality),
            bitspersample=None if encoding.is_float else depth,
            usecontainer=False,
            numthreads=1,
        )
    )
    codestream = _codestream(codestream, _boxes(codestream))
    # imagecodecs declares samples of more than 8 bits to be linear.
    if depth > 8 and picture.transfer is not Transfer.LINEAR:
        codestream = labelled_srgb(codestream)
    boxes = []
    if picture.exif:
        boxes.append(box(b"Exif", bytes(4) + with_orientation(picture.exif, 1)))
    if xmp := xmp_with_orientation(picture.xmp, 1):
        boxes.append(box(b"xml ", xmp))
    if not boxes:
        return codestream
    return b"".join((_SIGNATURE, _FILE_TYPE, *boxes, box(b"jxlc", codestream)))


def _distance(quality: int) -> float:
    """Return libjxl's distance for a quality of 1 to 99, as its own tools do."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


def _samples(picture: Picture, encoding: SampleEncoding) -> NDArray[Any]:
    parts = [*picture.pixels] if picture.alpha is None else [*picture.pixels, picture.alpha]
    if not encoding.is_float:
        parts = [quantised(part, 2**encoding.bit_depth - 1) for part in parts]
    return parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)


def _held_depth(header: JxlHeader) -> int:
    if header.is_float:
        return 16 if header.bit_depth <= 16 else 32
    return next((depth for depth in _DEPTHS if depth >= header.bit_depth), 16)


def _profile(data: bytes, header: JxlHeader) -> bytes:
    """Return the ICC profile, which imagecodecs does not pass on.

    Raises:
        UnsupportedImage: pixels are stored as perceived: decoders turn them into another space.
    """
    if header.is_xyb:
        raise UnsupportedImage(
            "is a lossy JPEG XL with an unusual ICC profile; convert it with djxl first"
        )
    from pillow_jxl import Decoder

    profile: bytes = Decoder(num_threads=0)(data)[3]
    return profile


def _boxes(data: bytes) -> dict[bytes, bytes]:
    """Return the contents of boxes by kind; parts of the codestream are joined.

    Raises:
        CorruptImage: the boxes contradict the file's length.
    """
    found: dict[bytes, bytes] = {}
    if data.startswith(_CODESTREAM):
        return found
    for kind, body in boxes_in(data):
        if kind == b"brob":
            kind, body = body[:4], _unpacked(body[4:]) if body[:4] in (b"Exif", b"xml ") else b""
        if kind == b"jxlp":
            kind, body = b"jxlc", found.get(b"jxlc", b"") + body[4:]
        found[kind] = body
    return found


def _unpacked(packed: bytes) -> bytes:
    return bytes(imagecodecs.brotli_decode(packed, out=min(64 * len(packed), _LARGEST_BLOCK)))


def _codestream(data: bytes, boxes: dict[bytes, bytes]) -> bytes:
    if data.startswith(_CODESTREAM):
        return data
    if b"jxlc" not in boxes:
        raise CorruptImage("has no picture in it")
    return boxes[b"jxlc"]
