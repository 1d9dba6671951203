"""PSNR and SSIM of arrays; ``restore.api`` measures any kind of image."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer

__all__ = [
    "MEASURES",
    "SSIM_WINDOW",
    "Failure",
    "Fidelity",
    "Figures",
    "clean_picture",
    "fidelity",
    "psnr_chw",
    "ssim_chw",
    "to_luma",
]

SSIM_WINDOW = 11


def psnr_chw(result: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return the peak signal-to-noise ratio in dB, peak 1, over all pixels and channels.

    Args:
        result: ``[C, H, W]`` in [0, 1].
        reference: the same shape and range.

    Returns:
        ``10 log10(1 / mean squared error)``; infinite when both are equal.

    Raises:
        ValueError: the shapes differ or are not ``[C, H, W]``.
    """
    _check_shapes(result, reference)
    error = np.subtract(result, reference, dtype=np.float64)
    mean_square = float(np.mean(np.square(error, out=error)))
    return -10 * math.log10(mean_square) if mean_square else math.inf


def ssim_chw(result: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return the mean structural similarity, averaged over channels.

    Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment", IEEE TIP 2004: 11x11 Gaussian
    window of sigma 1.5, K1 = 0.01, K2 = 0.03, dynamic range 1, no padding.

    Args:
        result: ``[C, H, W]`` in [0, 1], H and W at least 11.
        reference: the same shape and range.

    Raises:
        ValueError: the shapes differ or are not ``[C, H, W]``.
        UnsupportedImage: the picture is smaller than the window.
    """
    _check_shapes(result, reference)
    _, height, width = reference.shape
    if min(height, width) < SSIM_WINDOW:
        raise UnsupportedImage(
            f"{width}x{height} pixels: SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW}"
        )
    from skimage.metrics import structural_similarity

    similarity = cast(Callable[..., float], structural_similarity)(
        result.astype(np.float64),
        reference.astype(np.float64),
        channel_axis=0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
    )
    return float(similarity)


def _check_shapes(result: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
    if result.shape != reference.shape or result.ndim != 3 or result.size == 0:
        raise ValueError(
            f"result {list(result.shape)} and reference {list(reference.shape)} "
            "must be the same [C, H, W]"
        )


MEASURES = (
    "result clamped to [0, 1]; PSNR over all pixels and channels; SSIM of Wang et al. 2004 "
    "(11x11 Gaussian window, sigma 1.5), mean of the channels; means over pictures"
)
"""How all figures are measured; to be printed beside them."""


class Figures(TypedDict):
    """How close a result is to its reference: PSNR in dB, and SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Base of the scores of a restored picture against a clean one.

    Attributes:
        psnr: PSNR in dB of the result.
        ssim: SSIM of the result.
    """

    psnr: float
    ssim: float

    @property
    def fidelity(self) -> dict[str, float]:
        """The figures by name, as they are reported."""
        return {"psnr": self.psnr, "ssim": self.ssim}


def fidelity(result: NDArray[np.float32], reference: NDArray[np.float32]) -> Figures:
    """Return the figures of a ``Fidelity``.

    Args:
        result: ``[C, H, W]`` in [0, 1], H and W at least 11.
        reference: the same shape and range.

    Raises:
        ValueError: the shapes differ or are not ``[C, H, W]``.
        UnsupportedImage: the picture is smaller than SSIM's window.
    """
    return {"psnr": psnr_chw(result, reference), "ssim": ssim_chw(result, reference)}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A picture that could not be scored; ``reason`` is a sentence that names it."""

    path: Path
    reason: str


def to_luma(picture: Picture) -> Picture:
    """Return a colour picture as 8-bit Rec. 601 luma, exactly as Pillow's mode L does.

    Gray pictures come back as they are.
    """
    if picture.channels == 1:
        return picture
    red, green, blue = np.rint(picture.pixels * 255).clip(0, 255).astype(np.uint32)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
    return picture.with_pixels(luma[None].astype(np.float32) / np.float32(255), bit_depth=8)


def clean_picture(path: Path, *, gray: bool = False) -> Picture:
    """Read a clean reference picture.

    Raises:
        InputError: it cannot be read, is linear, has values outside [0, 1] or is smaller than
            SSIM's window.
    """
    picture = decode(path)
    if picture.transfer is Transfer.LINEAR:
        raise UnsupportedImage(
            f"{path}: linear light; the figures are defined on gamma-encoded pictures"
        )
    low, high = picture.pixels.min(), picture.pixels.max()
    if not (low >= 0 and high <= 1):
        raise UnsupportedImage(
            f"{path}: values from {low:g} to {high:g}; a clean picture needs values in [0, 1]"
        )
    if min(picture.height, picture.width) < SSIM_WINDOW:
        raise UnsupportedImage(
            f"{path}: {picture.width}x{picture.height} pixels; "
            f"SSIM needs at least {SSIM_WINDOW}x{SSIM_WINDOW}"
        )
    return to_luma(picture) if gray else picture
