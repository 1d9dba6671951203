"""Colour filter mosaics as tensors: taken from pictures, and filled in again."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["BAYER_PATTERNS", "demosaic", "mosaic"]

BAYER_PATTERNS = ("rggb", "grbg", "gbrg", "bggr")
"""Colours of the top left two by two pixels, row by row."""

_CHANNELS = {"r": 0, "g": 1, "b": 2}

# Eighths, from figure 2 of the paper.
_GREEN = [
    [0.0, 0.0, -1.0, 0.0, 0.0],
    [0.0, 0.0, 2.0, 0.0, 0.0],
    [-1.0, 2.0, 4.0, 2.0, -1.0],
    [0.0, 0.0, 2.0, 0.0, 0.0],
    [0.0, 0.0, -1.0, 0.0, 0.0],
]
_BESIDE = [
    [0.0, 0.0, 0.5, 0.0, 0.0],
    [0.0, -1.0, 0.0, -1.0, 0.0],
    [-1.0, 4.0, 5.0, 4.0, -1.0],
    [0.0, -1.0, 0.0, -1.0, 0.0],
    [0.0, 0.0, 0.5, 0.0, 0.0],
]
_ACROSS = [
    [0.0, 0.0, -1.5, 0.0, 0.0],
    [0.0, 2.0, 0.0, 2.0, 0.0],
    [-1.5, 0.0, 6.0, 0.0, -1.5],
    [0.0, 2.0, 0.0, 2.0, 0.0],
    [0.0, 0.0, -1.5, 0.0, 0.0],
]
_KERNELS = torch.tensor([_GREEN, _BESIDE, _ACROSS])[:, None] / 8


def mosaic(colour: Tensor, pattern: str) -> Tensor:
    """Return what a sensor behind a Bayer filter sees.

    Args:
        colour: ``(B, 3, H, W)``.
        pattern: one of ``BAYER_PATTERNS``.

    Returns:
        ``(B, 1, H, W)``.
    """
    return (colour * _masks(colour, pattern)).sum(dim=1, keepdim=True)


def demosaic(mosaicked: Tensor, pattern: str) -> Tensor:
    """Fill in the colours that the filter kept out.

    Malvar, He and Cutler, "High-Quality Linear Interpolation for Demosaicing of Bayer-Patterned
    Color Images", ICASSP 2004.

    Args:
        mosaicked: ``(B, 1, H, W)``, at least 3 pixels on each side.
        pattern: one of ``BAYER_PATTERNS``.

    Returns:
        ``(B, 3, H, W)``; the values of the mosaic stand where they stood.
    """
    kernels = _KERNELS.to(mosaicked)
    kernels = torch.cat([kernels, kernels[1:2].transpose(2, 3)])
    # Mirroring about the outermost pixel keeps the pattern's parity.
    padded = F.pad(mosaicked, (2, 2, 2, 2), mode="reflect")
    green, in_row, across, in_column = torch.split(F.conv2d(padded, kernels), 1, dim=1)
    is_red, is_green, is_blue = torch.split(_masks(mosaicked, pattern).bool(), 1, dim=1)
    has_red_in_row = is_red.any(dim=3, keepdim=True)
    estimates = []
    for own, other, in_own_row in (
        (is_red, is_blue, has_red_in_row),
        (is_blue, is_red, ~has_red_in_row),
    ):
        missing = torch.where(other, across, torch.where(in_own_row, in_row, in_column))
        estimates.append(torch.where(own, mosaicked, missing))
    red, blue = estimates
    return torch.cat([red, torch.where(is_green, mosaicked, green), blue], dim=1)


def _masks(like: Tensor, pattern: str) -> Tensor:
    """Return ``(1, 3, H, W)``, 1 where the sensor sees red, green and blue."""
    masks = like.new_zeros((1, 3, *like.shape[2:]))
    for index, colour in enumerate(pattern):
        masks[:, _CHANNELS[colour], index // 2 :: 2, index % 2 :: 2] = 1
    return masks
