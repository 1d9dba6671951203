"""Structural similarity as a map that gradients flow through."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["SSIM_RADIUS", "ssim_map"]

SSIM_RADIUS = 5
"""Of the 11x11 window, in pixels."""

_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Return the structural similarity at every pixel.

    Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment", IEEE TIP 2004: 11x11 Gaussian
    window of sigma 1.5, K1 = 0.01, K2 = 0.03, dynamic range 1. Edges are mirrored.

    Args:
        first: ``(B, C, H, W)`` in [0, 1], H and W at least 6.
        second: the same shape and range.

    Returns:
        ``(B, C, H, W)``, 1 where both are equal.
    """
    mean1, mean2 = _blurred(first), _blurred(second)
    variance1 = _blurred(first * first) - mean1 * mean1
    variance2 = _blurred(second * second) - mean2 * mean2
    covariance = _blurred(first * second) - mean1 * mean2
    luminance = (2 * mean1 * mean2 + _C1) / (mean1 * mean1 + mean2 * mean2 + _C1)
    structure = (2 * covariance + _C2) / (variance1 + variance2 + _C2)
    return luminance * structure


def _blurred(x: Tensor) -> Tensor:
    offsets = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1, dtype=x.dtype, device=x.device)
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    batch, channels, height, width = x.shape
    planes = x.reshape(batch * channels, 1, height, width)
    padded = F.pad(planes, (SSIM_RADIUS,) * 4, mode="reflect")
    rows = F.conv2d(padded, weights.view(1, 1, -1, 1))
    return F.conv2d(rows, weights.view(1, 1, 1, -1)).view(x.shape)
