"""The training losses of high dynamic range."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from restore.hdr.metrics import MU, PEAK, PU21_AT_100_NITS, mu_law, pu21

__all__ = ["HDR_LOSSES", "hdr_loss"]

_DISPLAY_PEAK_NITS = 4000.0
_LEAST, _LEAST_SQUARE = 1e-6, 1e-7
_SLOPE_AT_ZERO = MU / PEAK / math.log1p(MU)


def hdr_loss(
    name: str, result: Tensor, scene: Tensor, *, saturated: Tensor, highlight_weight: float
) -> Tensor:
    """Return the mean difference over all pixels plus the weighted mean over saturated ones.

    Args:
        name: one of ``HDR_LOSSES``.
        result: radiance ``(B, C, H, W)`` in units of white.
        scene: true radiance, of the same shape and unit.
        saturated: bool ``(B, 1, H, W)``, the pixels above the sensor's white.
        highlight_weight: weight of the second mean.
    """
    if name == "gamma":
        # The paper's loss: the root mean square, in which highlights weigh more by themselves.
        difference = _root(result) - _root(scene)
        return difference.square().mean().clamp(min=1e-12).sqrt()
    if name == "psnr":
        square = _pu21_difference(result, scene).square().mean(dim=(1, 2, 3))
        return 0.1 * torch.log(square + _LEAST_SQUARE).mean()
    difference = _DIFFERENCES[name](result, scene)
    loss = difference.mean()
    if highlight_weight:
        # A masked sum instead of indexing, which would wait for the GPU.
        share = saturated.float().mean().clamp(min=1e-12)
        loss = loss + highlight_weight * (difference * saturated).mean() / share
    return loss


def _mu_difference(result: Tensor, scene: Tensor) -> Tensor:
    return (mu_law(result.clamp(min=0)) - mu_law(scene)).abs() + _below_zero(result)


def _pu21_difference(result: Tensor, scene: Tensor) -> Tensor:
    scale = _DISPLAY_PEAK_NITS / PEAK
    difference = pu21(result * scale) - pu21(scene * scale)
    return difference.abs() / PU21_AT_100_NITS + _below_zero(result)


def _below_zero(result: Tensor) -> Tensor:
    """Return a penalty on negative light, where the encodings have no gradients."""
    return -_SLOPE_AT_ZERO * result.clamp(max=0)


def _root(radiance: Tensor) -> Tensor:
    return torch.sqrt(radiance.clamp(min=0) + _LEAST)


_DIFFERENCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mu": _mu_difference,
    "pu21": _pu21_difference,
}

HDR_LOSSES = (*_DIFFERENCES, "psnr", "gamma")
"""Differences of radiances in mu-law values, in PU21 values of a display with a peak of 4000 cd/m^2
(256 counted as 1); the logarithm of the mean square of PU21 differences, which is the PSNR itself;
and square roots, as in the paper."""
