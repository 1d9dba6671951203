"""JPEG with its metadata; coded pixels are copied where they are unchanged."""

import io
from dataclasses import replace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.image.codec import CheckSize, SampleEncoding
from restore.image.codecs import ImageFormat
from restore.image.density import density_of, jfif_header
from restore.image.jpeg_frame import read_frame
from restore.image.jpeg_metadata import (
    has_gain_map,
    kept_notes,
    metadata_segments,
    video_of,
    whole_xmp,
)
from restore.image.jpeg_samples import UnusualSampling, decode_jpeg
from restore.image.jpeg_stream import (
    coded_of,
    end_of_stream,
    fine_tables,
    segment,
    without_metadata,
)
from restore.image.limits import check_least_bytes
from restore.image.picture import Picture
from restore.image.pillow import (
    gray_or_rgb,
    loaded_samples,
    pillow_options,
    read_with_pillow,
    write_with_pillow,
)

__all__ = ["read_jpeg", "write_jpeg"]

_LONGEST_SIDE = 65500
_START = b"\xff\xd8"
_JFIF_MARKER = 0xE0
_ONE_MORE = "1 more picture of the file"
"""What is said of the further picture that a gain map is."""


def read_jpeg(file: BinaryIO, check_size: CheckSize) -> Picture:
    """Read a JPEG, or the first picture of a multi-picture file (MPO).

    Raises:
        UnsupportedImage: CMYK.
        CorruptImage: no frame header, or one of more pixels than the file can hold.
        Exception: whatever Pillow raises on damaged data.
    """
    frame = read_frame(file)
    check_least_bytes(frame.width, frame.height, frame.least_bytes, file.seek(0, 2))
    file.seek(0)

    def samples_of(image: Image.Image) -> tuple[NDArray[np.uint8], str]:
        file.seek(0)
        try:
            return decode_jpeg(file.read(), "GRAY" if gray_or_rgb(image).mode == "L" else "RGB")
        except UnusualSampling:
            file.seek(0)
            return loaded_samples(image)

    picture = read_with_pillow(file, ImageFormat.JPEG, check_size, samples_of=samples_of)
    file.seek(0)
    return _with_stream(picture, file.read())


def _with_stream(picture: Picture, data: bytes) -> Picture:
    """Return a decoded picture with its coded pixels and notes."""
    end = end_of_stream(data)
    notes = kept_notes(data, len(data) if end is None else end, picture.xmp)
    xmp, notes = whole_xmp(picture.xmp, notes)
    is_whole = end is not None and not picture.damaged
    coded = coded_of(data[:end], picture.pixels) if is_whole else None
    left_out = picture.left_out
    if len(left_out) == 1 and has_gain_map(data, xmp):
        left_out = (left_out[0].replace(_ONE_MORE, "its HDR gain map"),)
    return replace(picture, xmp=xmp, notes=notes, coded=coded, left_out=left_out)


def write_jpeg(picture: Picture, encoding: SampleEncoding) -> bytes:
    """Encode ``picture``; what was read from JPEG keeps its notes and, unchanged, its coded pixels.

    Without a quality, the tables and the chroma subsampling of the JPEG that the picture came from
    are used where they are as fine as those of quality 90; else quality 95 without subsampling.

    Raises:
        OutputError: the picture is too large.
    """
    is_same = picture.format is ImageFormat.JPEG
    notes = picture.notes if is_same else b""
    metadata = metadata_segments(picture, notes)
    is_free = is_same and encoding.quality is None
    jpeg = _copied(picture, metadata) if is_free else None
    if jpeg is None:
        tables = fine_tables(picture.coded.stream) if is_free and picture.coded else None
        options = {"subsampling": "4:4:4"} | (
            {"qtables": tables.quantisation, "subsampling": tables.sampling}
            if tables
            else pillow_options(Picture(pixels=picture.pixels), ImageFormat.JPEG, encoding.quality)
        )
        stream = write_with_pillow(picture, ImageFormat.JPEG, options, longest_side=_LONGEST_SIDE)
        if not metadata.startswith(bytes((0xFF, _JFIF_MARKER))):
            metadata = segment(_JFIF_MARKER, jfif_header(density_of(picture))) + metadata
        jpeg = _assembled(stream, metadata)
    return jpeg + video_of(notes)


def _copied(picture: Picture, metadata: bytes) -> bytes | None:
    """Return the coded pixels that the picture came from with its metadata, or None if they differ.

    Without a header of JFIF where there was none: it would change the colours of a JPEG in RGB.
    """
    if picture.coded is None or not picture.coded.may_hold(picture.pixels):
        return None
    copied = _assembled(picture.coded.stream, metadata)
    try:
        decoded = read_jpeg(io.BytesIO(copied), lambda *_size: None)
    except Exception:  # decoders may raise anything where metadata were damaged
        return None
    return copied if np.array_equal(decoded.pixels, picture.pixels) else None


def _assembled(stream: bytes, metadata: bytes) -> bytes:
    needed, scans = without_metadata(stream)
    return b"".join([_START, metadata, needed, scans])
