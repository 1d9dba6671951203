"""The 8-bit containers that Pillow reads and writes, with their blocks byte for byte."""

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from restore.errors import OutputError, UnsupportedImage
from restore.image.codec_size import webp_size
from restore.image.icc import other_primaries
from restore.image.jpeg import exif_for_jpeg, kept_segments, with_segments, xmp_for_jpeg
from restore.image.memory_file import memory_file
from restore.image.metadata import (
    EXIF_HEADER,
    bare_exif,
    orientation_of,
    quiet_pillow,
    well_formed_exif,
)
from restore.image.picture import ImageFormat, Picture
from restore.image.samples import planes, stored_samples

__all__ = ["READERS", "read_with_pillow", "write_with_pillow"]

# The classes and not Image.open: the container is already known, and our limit on pixels holds.
READERS: Mapping[ImageFormat, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.AVIF: AvifImageFile,
    ImageFormat.BMP: BmpImageFile,
}
"""Containers that are decoded by Pillow, and what opens them."""

_NAMES = {ImageFormat.JPEG: "JPEG", ImageFormat.WEBP: "WebP", ImageFormat.AVIF: "AVIF"}
_DEFAULT_QUALITY = {ImageFormat.JPEG: 95, ImageFormat.WEBP: 95, ImageFormat.AVIF: 90}
_LONGEST_SIDE = {ImageFormat.JPEG: 65500, ImageFormat.WEBP: 16383, ImageFormat.AVIF: 65536}


def read_with_pillow(
    file: BinaryIO, image_format: ImageFormat, check_size: Callable[[int, int], None]
) -> Picture:
    """Read an 8-bit picture; of a JPEG that holds several (MPO) the first.

    Args:
        file: at its beginning.
        image_format: JPEG, WebP, AVIF or BMP.
        check_size: called with width and height before any pixel is decoded.

    Raises:
        UnsupportedImage: CMYK, or more than one frame.
        Exception: whatever Pillow raises on damaged data.
    """
    is_lossless = False
    if image_format is ImageFormat.WEBP:
        # Pillow takes memory for the canvas as soon as it opens a file.
        check_size(*webp_size(file.read(30)))
        file.seek(0)
        is_lossless = _is_lossless_webp(file)
        file.seek(0)
    samples, info, notes = _decoded(file, image_format, check_size)
    pixels, alpha = planes(samples, 255)
    exif = bare_exif(info.get("exif"))
    icc = info.get("icc_profile") or None
    return Picture(
        pixels=pixels,
        alpha=alpha,
        format=image_format,
        is_lossless=is_lossless,
        icc=icc,
        primaries=other_primaries(icc),
        exif=exif,
        xmp=info.get("xmp") or None,
        orientation=orientation_of(exif),
        notes=notes,
    )


def _is_lossless_webp(file: BinaryIO) -> bool:
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L", b"ANMF"):
            return name == b"VP8L"
        file.seek(size + size % 2, 1)
    return False


def _decoded(
    file: BinaryIO, image_format: ImageFormat, check_size: Callable[[int, int], None]
) -> tuple[NDArray[np.uint8], dict[Any, Any], bytes]:
    """Return samples, metadata and ``Picture.notes``.

    A function of its own, so that Pillow's copy dies with it.
    """
    with quiet_pillow():
        opened = READERS[image_format](file)
    with opened as image:
        check_size(*image.size)
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise UnsupportedImage(f"is an animation of {frames} frames; extract one first")
        image.load()
        notes = kept_segments(getattr(image, "applist", ()))
        return np.asarray(_gray_or_rgb(image)), dict(image.info), notes


def _gray_or_rgb(image: Image.Image) -> Image.Image:
    match image.mode:
        case "L" | "RGB" | "RGBA":
            return image
        case "1":
            return image.convert("L")
        case "P" | "RGBX":
            return image.convert("RGB")
        case "CMYK":
            raise UnsupportedImage(
                "is CMYK, whose inks no network here knows; convert it to RGB first"
            )
    raise UnsupportedImage(f"has pixels of the kind {image.mode}; convert it to RGB first")


def write_with_pillow(picture: Picture, image_format: ImageFormat, quality: int | None) -> bytes:
    """Encode ``picture`` in 8 bits.

    Args:
        picture: sRGB-like samples in [0, 1], without alpha for JPEG.
        image_format: JPEG, WebP or AVIF.
        quality: 1 to 100; for WebP 100 is lossless. None: 95 for JPEG (4:4:4) and WebP (without
            loss for a picture that came from such a WebP), 90 for AVIF.

    Raises:
        OutputError: the container cannot hold this picture.
    """
    name, longest = _NAMES[image_format], _LONGEST_SIDE[image_format]
    if max(picture.width, picture.height) > longest:
        raise OutputError(f"{name} holds at most {longest} pixels a side; use --format png")
    image = Image.fromarray(stored_samples(picture, np.uint8))
    if image_format is not ImageFormat.JPEG and image.mode in ("L", "LA"):
        image = image.convert("RGB" if image.mode == "L" else "RGBA")
    with memory_file() as file:
        try:
            image.save(file, image_format.name, **_options(picture, image_format, quality))
        except (ValueError, OSError) as error:
            raise OutputError(
                f"{name} cannot hold this picture: {error}; use --format png"
            ) from error
        file.seek(0)
        encoded = file.read()
    is_same = picture.format is image_format is ImageFormat.JPEG
    return with_segments(encoded, picture.notes) if is_same else encoded


def _options(picture: Picture, image_format: ImageFormat, quality: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "quality": _DEFAULT_QUALITY[image_format] if quality is None else quality
    }
    if picture.icc:
        options["icc_profile"] = picture.icc
    exif, xmp = picture.exif, picture.xmp
    if image_format is ImageFormat.JPEG:
        exif, xmp = exif_for_jpeg(exif), xmp_for_jpeg(xmp)
    if exif and image_format is ImageFormat.AVIF:
        exif = well_formed_exif(exif)  # from which Pillow takes the orientation out
    if exif:
        options["exif"] = EXIF_HEADER + exif
    if xmp:
        options["xmp"] = xmp
    if image_format is ImageFormat.WEBP:
        lossless = quality == 100 or (quality is None and picture.is_lossless)
        return options | {"lossless": lossless, "exact": True}
    return options | {"subsampling": "4:4:4"}
