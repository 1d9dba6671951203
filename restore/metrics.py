"""How close a result is to its reference."""

import math
from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage

__all__ = ["SSIM_WINDOW", "psnr", "ssim"]

SSIM_WINDOW = 11


def psnr(result: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return the peak signal-to-noise ratio in dB, peak 1, over all pixels and channels.

    Args:
        result: ``[C, H, W]`` in [0, 1].
        reference: the same shape and range.

    Returns:
        ``10 log10(1 / mean squared error)``; infinite when both are equal.

    Raises:
        ValueError: the shapes differ or are no picture's.
    """
    _check_shapes(result, reference)
    error = np.subtract(result, reference, dtype=np.float64)
    mean_square = float(np.mean(np.square(error, out=error)))
    return -10 * math.log10(mean_square) if mean_square else math.inf


def ssim(result: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Return the mean structural similarity, averaged over channels.

    Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment", IEEE TIP 2004: 11x11 Gaussian
    window of sigma 1.5, K1 = 0.01, K2 = 0.03, dynamic range 1, no padding.

    Args:
        result: ``[C, H, W]`` in [0, 1], H and W at least 11.
        reference: the same shape and range.

    Raises:
        ValueError: the shapes differ or are no picture's.
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
