"""The table of file formats: how each is recognised, what it holds, and what reads and writes it.

A new format is one file with its reader or writer, one member of ``ImageFormat`` and one row of
``CODECS``. Readers and writers are imported when they are first needed, so that the command line
can show the table without them.
"""

import os
from collections.abc import Mapping
from enum import StrEnum

from restore.image.codec import Alpha, Codec, Samples
from restore.image.signatures import begins_with, is_avif, is_heif, is_pnm, is_webp

__all__ = [
    "CODECS",
    "HEAD_BYTES",
    "PICTURE_SUFFIXES",
    "RAW_ADVICE",
    "WRITTEN",
    "WRITTEN_OF_LIGHT",
    "WRITTEN_OF_MOSAICS",
    "WRITTEN_OF_RAW",
    "ImageFormat",
    "format_of_suffix",
    "is_lossy",
    "media_type_of",
    "sniff",
    "suffix_of",
]

HEAD_BYTES = 64
"""Number of bytes at the start of a file from which its format is recognised."""


class ImageFormat(StrEnum):
    """An image file format. BMP, JPEG 2000 and CZI are only read; DNG is only written, from RAW.

    A DNG holds a mosaic or, as ``dng-linear`` and from ``DarkEnhancer``, demosaicked colours.

    >>> import restore
    >>> restore.ImageFormat("jpeg") is restore.ImageFormat.JPEG
    True
    """

    PNG = "png"
    TIFF = "tiff"
    JPEG = "jpeg"
    WEBP = "webp"
    AVIF = "avif"
    HEIC = "heic"
    JXL = "jxl"
    JP2 = "jp2"
    BMP = "bmp"
    PPM = "ppm"
    EXR = "exr"
    HDR = "hdr"
    FITS = "fits"
    CZI = "czi"
    DNG = "dng"
    DNG_LINEAR = "dng-linear"


CODECS: Mapping[ImageFormat, Codec] = {
    ImageFormat.PNG: Codec(
        name="PNG",
        suffixes=(".png",),
        recognise=begins_with(b"\x89PNG\r\n\x1a\n"),
        reader="restore.image.png:read_png",
        writer="restore.image.png:write_png",
        bit_depths=(8, 16),
        is_for_raw=True,
    ),
    ImageFormat.TIFF: Codec(
        name="TIFF",
        suffixes=(".tif", ".tiff"),
        recognise=begins_with(b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"),
        reader="restore.image.tiff:read_tiff",
        writer="restore.image.tiff_writer:write_tiff",
        stack_reader="restore.image.tiff_stack:read_tiff_stack",
        stack_writer="restore.image.tiff_stack:write_tiff_stack",
        bit_depths=(8, 16, 32),
        samples=Samples.EITHER,
        alpha=Alpha.EITHER,
        holds_orientation=True,
        holds_light=True,
        is_for_raw=True,
    ),
    ImageFormat.JPEG: Codec(
        name="JPEG",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
        recognise=begins_with(b"\xff\xd8\xff"),
        reader="restore.image.jpeg:read_jpeg",
        writer="restore.image.jpeg:write_jpeg",
        bit_depths=(8,),
        alpha=Alpha.NONE,
        is_lossy=True,
        default_quality=95,
        holds_gain_map=True,
        is_for_raw=True,
    ),
    ImageFormat.WEBP: Codec(
        name="WebP",
        suffixes=(".webp",),
        recognise=is_webp,
        reader="restore.image.webp:read_webp",
        writer="restore.image.webp:write_webp",
        bit_depths=(8,),
        is_lossy=True,
        default_quality=95,
    ),
    ImageFormat.AVIF: Codec(
        name="AVIF",
        suffixes=(".avif",),
        recognise=is_avif,
        reader="restore.image.avif:read_avif",
        writer="restore.image.avif:write_avif",
        bit_depths=(8, 10, 12),
        is_lossy=True,
        default_quality=90,
        holds_orientation=True,
        holds_cicp=True,
    ),
    ImageFormat.HEIC: Codec(
        name="HEIC",
        suffixes=(".heic", ".heif", ".hif"),
        recognise=is_heif,
        reader="restore.image.heif:read_heif",
        writer="restore.image.heif:write_heif",
        bit_depths=(8, 10, 12),
        is_lossy=True,
        default_quality=90,
        holds_orientation=True,
        holds_cicp=True,
    ),
    ImageFormat.JXL: Codec(
        name="JPEG XL",
        suffixes=(".jxl",),
        recognise=begins_with(b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"),
        reader="restore.image.jxl:read_jxl",
        writer="restore.image.jxl:write_jxl",
        bit_depths=(8, 10, 12, 16, 32),
        samples=Samples.EITHER,
        is_lossy=True,
        default_quality=90,
        holds_orientation=True,
        holds_profile=False,
        holds_light=True,
    ),
    ImageFormat.JP2: Codec(
        name="JPEG 2000",
        suffixes=(".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
        recognise=begins_with(b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
        reader="restore.image.jp2:read_jp2",
        is_lossy=True,
    ),
    ImageFormat.BMP: Codec(
        name="BMP",
        suffixes=(".bmp", ".dib"),
        recognise=begins_with(b"BM"),
        reader="restore.image.pillow:read_bmp",
    ),
    ImageFormat.PPM: Codec(
        name="PPM",
        suffixes=(".ppm", ".pgm", ".pnm"),
        media_type="image/x-portable-anymap",
        recognise=is_pnm,
        reader="restore.image.pnm:read_pnm",
        writer="restore.image.pnm:write_pnm",
        bit_depths=(8, 16),
        alpha=Alpha.NONE,
        holds_metadata=False,
        holds_profile=False,
    ),
    ImageFormat.EXR: Codec(
        name="OpenEXR",
        suffixes=(".exr",),
        media_type="image/x-exr",
        recognise=begins_with(b"\x76\x2f\x31\x01"),
        reader="restore.image.exr:read_exr",
        writer="restore.image.exr:write_exr",
        bit_depths=(16, 32),
        samples=Samples.FLOAT,
        alpha=Alpha.PREMULTIPLIED,
        holds_metadata=False,
        holds_profile=False,
        holds_primaries=True,
        holds_light=True,
        is_for_raw=True,
    ),
    ImageFormat.HDR: Codec(
        name="Radiance",
        suffixes=(".hdr", ".pic"),
        media_type="image/vnd.radiance",
        recognise=begins_with(b"#?RADIANCE", b"#?RGBE"),
        reader="restore.image.rgbe:read_rgbe",
        writer="restore.image.rgbe:write_rgbe",
        bit_depths=(32,),
        samples=Samples.FLOAT,
        alpha=Alpha.NONE,
        holds_metadata=False,
        holds_profile=False,
        holds_light=True,
    ),
    ImageFormat.FITS: Codec(
        name="FITS",
        suffixes=(".fits", ".fit", ".fts"),
        recognise=begins_with(b"SIMPLE  ="),
        reader="restore.image.fits:read_fits",
        writer="restore.image.fits:write_fits",
        stack_reader="restore.image.fits:read_fits_stack",
        stack_writer="restore.image.fits:write_fits_stack",
        bit_depths=(8, 16, 32),
        samples=Samples.EITHER,
        alpha=Alpha.NONE,
        holds_metadata=False,
        holds_profile=False,
        holds_orientation=True,
        holds_light=True,
    ),
    ImageFormat.CZI: Codec(
        name="CZI",
        suffixes=(".czi",),
        recognise=begins_with(b"ZISRAWFILE"),
        reader="restore.image.czi:read_czi",
        stack_reader="restore.image.czi:read_czi_stack",
        written_as="tiff",
        holds_metadata=False,
        holds_profile=False,
    ),
    # Read as RAW, and written from sensor data: never a Picture.
    ImageFormat.DNG: Codec(
        name="DNG",
        suffixes=(".dng",),
        media_type="image/x-adobe-dng",
        recognise=lambda _head: False,
        bit_depths=(16,),
        alpha=Alpha.NONE,
        holds_light=True,
        is_for_raw=True,
        is_for_mosaics=True,
    ),
    ImageFormat.DNG_LINEAR: Codec(
        name="DNG, linear",
        suffixes=(".dng",),
        media_type="image/x-adobe-dng",
        recognise=lambda _head: False,
        bit_depths=(16,),
        alpha=Alpha.NONE,
        holds_light=True,
        is_for_mosaics=True,
    ),
}

PICTURE_SUFFIXES = frozenset(
    suffix for codec in CODECS.values() if codec.reader for suffix in codec.suffixes
)
"""Suffixes by which finished pictures are found in folders."""

WRITTEN = {each: codec.suffixes[0] for each, codec in CODECS.items() if codec.writer}
"""Formats that pictures are written in, each with the suffix of its files."""

WRITTEN_OF_RAW = {each: codec.suffixes[0] for each, codec in CODECS.items() if codec.is_for_raw}
"""The same for photographs developed from RAW files."""

WRITTEN_OF_MOSAICS = WRITTEN | {
    each: codec.suffixes[0] for each, codec in CODECS.items() if codec.is_for_mosaics
}
"""The same for mosaics that stay mosaics, or are developed."""

WRITTEN_OF_LIGHT = {
    each: suffix
    for each, suffix in (WRITTEN | WRITTEN_OF_RAW).items()
    if CODECS[each].holds_light or CODECS[each].holds_gain_map
}
"""The same for pictures of scene-linear light."""

# Of formats that share a suffix, it stands for the first.
_BY_SUFFIX = {
    suffix: each for each, codec in reversed(list(CODECS.items())) for suffix in codec.suffixes
}

RAW_ADVICE = (
    "is a camera RAW file; `imrestore denoise` and `dark-enhance` take those whose names say so "
    "(.nef, .cr3, .dng)"
)
"""What is said of a RAW file where a finished picture is expected."""


def sniff(head: bytes) -> ImageFormat | None:
    """Return the readable format of a file from its first ``HEAD_BYTES`` bytes, or None."""
    return next((each for each, codec in CODECS.items() if codec.recognise(head)), None)


def media_type_of(image_format: ImageFormat) -> str:
    """Return the media type of files of a format, as in ``image/png``."""
    return CODECS[image_format].media_type or f"image/{image_format}"


def suffix_of(name: str) -> str:
    """Return the suffix of a path in a text, as ``Path`` has it, in a tenth of its time."""
    start = name.rfind(os.sep) + 1
    dot = name.rfind(".", start)
    return name[dot:] if start < dot < len(name) - 1 else ""


def format_of_suffix(suffix: str) -> ImageFormat | None:
    """Return the format that a file-name suffix such as ``.JPG`` stands for, or None."""
    return _BY_SUFFIX.get(suffix.lower())


def is_lossy(image_format: ImageFormat | None) -> bool:
    """Return whether a format is lossy; False for None, an unknown format."""
    return image_format is not None and CODECS[image_format].is_lossy
