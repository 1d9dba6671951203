"""The public functions on images: each checks its arguments and calls the library's internals.

``restore.denoise`` (in ``restore.denoise.function``) and the classes that keep a network open are
public too. All accept the types of ``restore.image.coerce.ImageLike``; noise levels are in 0..255.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import restore.image.decode
import restore.image.encode
from restore.checks import checked_number
from restore.errors import UnsupportedImage, UsageError
from restore.image.codecs import WRITTEN, ImageFormat
from restore.image.coerce import ImageLike, as_picture, as_pictures
from restore.image.metrics import psnr_chw, ssim_chw
from restore.image.picture import Picture, Transfer
from restore.words import size_in_words

__all__ = ["decode", "encode", "estimate_sigma", "psnr", "ssim"]


def decode(
    source: str | PathLike[str] | bytes,
    *,
    max_pixels: int | None = None,
    keep_damaged: bool = False,
) -> Picture:
    """Read one picture, with its colour profile, metadata and alpha.

    Args:
        source: Path of a file, or a file's bytes.
        max_pixels: Largest number of pixels accepted, checked before memory is allocated; None for
            500 million, and no more than memory holds.
        keep_damaged: Take what can be decoded of a damaged picture; its ``damaged`` says what is
            missing.

    Raises:
        UnsupportedImage: not a picture, or an unsupported format.
        CorruptImage: damaged or cut short.
        ImageTooLarge: more than ``max_pixels``, or than memory holds.
        InputError: the file cannot be opened.
        UsageError: ``max_pixels`` is negative or not a number.

    >>> import restore
    >>> picture = restore.decode("samples/city.png")
    >>> picture.pixels.shape == (3, picture.height, picture.width)
    True
    """
    if max_pixels is not None:
        checked_number("max_pixels", max_pixels, 0, math.inf, "a number of pixels")
    if isinstance(source, bytes):
        return restore.image.decode.decode(source, max_pixels=max_pixels, keep_damaged=keep_damaged)
    path = fspath(source) if isinstance(source, str | PathLike) else None
    if not isinstance(path, str):
        raise UnsupportedImage(f"{source!r:.80}: give the path of a file, or a file's bytes")
    return restore.image.decode.decode(Path(path), max_pixels=max_pixels, keep_damaged=keep_damaged)


def encode(
    image: ImageLike,
    image_format: ImageFormat | str,
    *,
    bit_depth: int | None = None,
    quality: int | None = None,
    strip_metadata: bool = False,
) -> bytes:
    """Return the bytes of a file.

    A ``Picture`` or a file keeps its colour profile, metadata, alpha and bit depth where the
    container holds them. ``restore.image.encode.encode`` documents how linear light is written.

    Args:
        image: ``Picture``, path, PIL image, array or tensor of one picture; see ``denoise``. Floats
            of arrays and tensors are taken for sRGB and written with 16 bits where possible.
        image_format: png, tiff, jpeg, webp, avif, heic, jxl, ppm, exr or hdr.
        bit_depth: Bits per sample; None keeps the image's own where the container can hold it.
        quality: 1 to 100, for JPEG, WebP, AVIF, HEIC and JPEG XL.
        strip_metadata: Whether EXIF, XMP and the container's notes are left out; orientation is
            then applied to the pixels.

    Raises:
        UsageError: unknown format, or invalid bit depth or quality.
        OutputError: the container cannot hold this picture.
        InputError: the image is of an unsupported type, or cannot be read.

    >>> import numpy as np
    >>> import restore
    >>> data = restore.encode(np.zeros((4, 6, 3), np.uint8), "png")
    >>> restore.decode(data).pixels.shape
    (3, 4, 6)
    """
    try:
        container = ImageFormat(image_format)
    except ValueError as error:
        written = ", ".join(WRITTEN)
        raise UsageError(f"format {image_format!r}: use {written}") from error
    for name, value in (("bit depth", bit_depth), ("quality", quality)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise UsageError(f"{name} {value!r}: give a whole number, or None")
    picture = as_picture(image)
    if picture.is_float and not isinstance(image, Picture | str | PathLike):
        # No container holds encoded floats without a profile.
        picture = replace(picture, bit_depth=16, is_float=False)
    return restore.image.encode.encode(
        picture, container, bit_depth=bit_depth, quality=quality, strip_metadata=strip_metadata
    )


def estimate_sigma(image: ImageLike) -> float:
    """Return the standard deviation of the noise in 0..255: what ``denoise`` takes as ``sigma``.

    It is the level that ``denoise`` estimates by itself, measured on gamma-encoded samples; 0.0
    where nothing can be measured. Of noise that is correlated between neighbouring pixels, it is
    the standard deviation, too; ``denoise`` tells networks for white noise more than that.

    Args:
        image: ``Picture``, path, PIL image, array or tensor; see ``denoise``. For a batch, the root
            mean square of its pictures' levels is returned.

    Raises:
        InputError: the image is of an unsupported type, or cannot be read.

    >>> import numpy as np
    >>> import restore
    >>> gray = np.random.default_rng(0).normal(128, 10, (64, 64)).astype(np.uint8)
    >>> 9 < restore.estimate_sigma(gray) < 11
    True
    """
    # SciPy takes as long to import as a small picture takes to be measured.
    from restore.denoise.domain import domain_of
    from restore.denoise.pixels import encoded_for_network, only_known
    from restore.noise.level import estimate_noise

    pictures = as_pictures(image)
    presented = [domain_of(each).entered(each) for each in pictures]
    levels = [estimate_noise(only_known(*encoded_for_network(each))).sigma for each in presented]
    # Light far above white can seem noisier than any picture.
    return min(255 * math.hypot(*levels) / math.sqrt(len(levels)), 255.0)


def psnr(result: ImageLike, reference: ImageLike) -> float:
    """Return the peak signal-to-noise ratio in dB, peak 1, over all pixels and channels.

    Args:
        result: ``Picture``, path, PIL image, array or tensor; see ``denoise``. For batches, the
            mean over pictures is returned.
        reference: Image of the same size and channels, of any of these kinds.

    Returns:
        ``10 log10(1 / mean squared error)`` of samples in [0, 1]; infinite when both are equal.

    Raises:
        UsageError: sizes, channels or numbers of pictures differ, or only one is linear light.
        InputError: an image is of an unsupported type, or cannot be read.

    >>> import numpy as np
    >>> import restore
    >>> black, gray = np.zeros((8, 8), np.uint8), np.full((8, 8), 51, np.uint8)
    >>> round(restore.psnr(black, gray), 2)
    13.98
    """
    return _mean(psnr_chw, result, reference)


def ssim(result: ImageLike, reference: ImageLike) -> float:
    """Return the mean structural similarity, averaged over channels.

    Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment", IEEE TIP 2004: 11x11 Gaussian
    window of sigma 1.5, K1 = 0.01, K2 = 0.03, no padding.

    Args:
        result: ``Picture``, path, PIL image, array or tensor of at least 11x11 pixels; see
            ``denoise``. For batches, the mean over pictures is returned.
        reference: Image of the same size and channels, of any of these kinds.

    Raises:
        UsageError: sizes, channels or numbers of pictures differ, or only one is linear light.
        UnsupportedImage: smaller than the window.
        InputError: an image is of an unsupported type, or cannot be read.

    >>> import restore
    >>> round(restore.ssim("samples/city.png", "samples/city.png"), 3)
    1.0
    """
    return _mean(ssim_chw, result, reference)


_Measure = Callable[[NDArray[np.float32], NDArray[np.float32]], float]


def _mean(measure: _Measure, result: ImageLike, reference: ImageLike) -> float:
    values = [measure(*pair) for pair in _pairs(result, reference)]
    return sum(values) / len(values)


def _pairs(
    result: ImageLike, reference: ImageLike
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    results, references = as_pictures(result, "result"), as_pictures(reference, "reference")
    if len(results) != len(references):
        raise UsageError(
            f"{len(results)} pictures and {len(references)} references: give as many of each"
        )
    for first, second in zip(results, references, strict=True):
        if first.pixels.shape != second.pixels.shape:
            raise UsageError(
                f"the result is {size_in_words(first.pixels.shape)}, the reference "
                f"{size_in_words(second.pixels.shape)}: give pictures of the same size and channels"
            )
        if (first.transfer is Transfer.LINEAR) != (second.transfer is Transfer.LINEAR):
            raise UsageError("one picture is linear light, the other encoded: give two of a kind")
        yield first.pixels, second.pixels
