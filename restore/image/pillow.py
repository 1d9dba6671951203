"""The 8-bit containers that Pillow reads and writes exactly, with their blocks byte for byte."""

import io
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.WebPImagePlugin import WebPImageFile

from restore.errors import OutputError, UnsupportedImage
from restore.image.metadata import EXIF_HEADER, bare_exif, orientation_of
from restore.image.picture import ImageFormat, Picture
from restore.image.samples import planes, stored_samples

__all__ = ["read_with_pillow", "write_with_pillow"]

# The classes and not Image.open: the container is already known, and our limit on pixels holds.
_READERS: Mapping[ImageFormat, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    ImageFormat.PNG: PngImageFile,
    ImageFormat.JPEG: JpegImageFile,
    ImageFormat.WEBP: WebPImageFile,
    ImageFormat.AVIF: AvifImageFile,
    ImageFormat.BMP: BmpImageFile,
}
_DEFAULT_QUALITY = {ImageFormat.JPEG: 95, ImageFormat.WEBP: 95, ImageFormat.AVIF: 90}
_XMP_KEYWORD = "XML:com.adobe.xmp"


def read_with_pillow(
    file: BinaryIO, image_format: ImageFormat, check_size: Callable[[int, int], None]
) -> Picture:
    """Read an 8-bit picture.

    Args:
        file: at its beginning.
        image_format: PNG (up to 8 bits), JPEG, WebP, AVIF or BMP.
        check_size: called with width and height before any pixel is decoded.

    Raises:
        UnsupportedImage: CMYK, or more than one frame.
        Exception: whatever Pillow raises on damaged data.
    """
    with _READERS[image_format](file) as image:
        check_size(*image.size)
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            raise UnsupportedImage(f"is an animation of {frames} frames; extract one first")
        image.load()
        info = dict(image.info)
        samples = np.asarray(_gray_or_rgb(image))
    pixels, alpha = planes(samples, 255)
    exif = bare_exif(info.get("exif"))
    xmp = info.get("xmp") or info.get(_XMP_KEYWORD)
    return Picture(
        pixels=pixels,
        alpha=alpha,
        format=image_format,
        icc=info.get("icc_profile") or None,
        exif=exif,
        xmp=xmp.encode() if isinstance(xmp, str) else xmp,
        orientation=orientation_of(exif),
    )


def _gray_or_rgb(image: Image.Image) -> Image.Image:
    transparent = "transparency" in image.info
    match image.mode:
        case "L" | "RGB" if transparent:
            return image.convert("LA" if image.mode == "L" else "RGBA")
        case "L" | "LA" | "RGB" | "RGBA":
            return image
        case "1":
            return image.convert("L")
        case "P" | "PA":
            return image.convert("RGBA" if transparent or image.mode == "PA" else "RGB")
        case "RGBX":
            return image.convert("RGB")
        case "CMYK":
            raise UnsupportedImage(
                "is CMYK, whose inks no network here knows; convert it to RGB first"
            )
    raise UnsupportedImage(f"has pixels of the kind {image.mode}; convert it to RGB first")


def write_with_pillow(picture: Picture, image_format: ImageFormat, quality: int | None) -> bytes:
    """Encode ``picture`` in 8 bits.

    Args:
        picture: sRGB-like samples in [0, 1].
        image_format: PNG, JPEG, WebP or AVIF.
        quality: 1 to 100; for WebP 100 is lossless. None: 95 for JPEG (4:4:4) and WebP,
            90 for AVIF. PNG has none.

    Raises:
        OutputError: the container cannot hold this picture.
    """
    if image_format is ImageFormat.JPEG and picture.alpha is not None:
        raise OutputError("JPEG cannot hold an alpha channel; use --format png")
    image = Image.fromarray(stored_samples(picture, np.uint8))
    if image_format in (ImageFormat.WEBP, ImageFormat.AVIF) and image.mode in ("L", "LA"):
        image = image.convert("RGB" if image.mode == "L" else "RGBA")
    buffer = io.BytesIO()
    try:
        image.save(buffer, image_format.name, **_options(picture, image_format, quality))
    except (ValueError, OSError) as error:
        raise OutputError(f"{image_format.name} cannot hold this picture: {error}") from error
    return buffer.getvalue()


def _options(picture: Picture, image_format: ImageFormat, quality: int | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if picture.icc:
        options["icc_profile"] = picture.icc
    if picture.exif:
        options["exif"] = EXIF_HEADER + picture.exif
    if image_format is ImageFormat.PNG:
        if picture.xmp:
            text = PngInfo()
            text.add_itxt(_XMP_KEYWORD, picture.xmp.decode("utf-8", "replace"))
            options["pnginfo"] = text
        return options
    if picture.xmp:
        options["xmp"] = picture.xmp
    options["quality"] = _DEFAULT_QUALITY[image_format] if quality is None else quality
    if image_format is ImageFormat.JPEG:
        options["subsampling"] = "4:4:4"
    if image_format is ImageFormat.AVIF:
        options["subsampling"] = "4:4:4"
    if image_format is ImageFormat.WEBP:
        options |= {"lossless": quality == 100, "exact": True}
    return options
