"""Layers that networks share: residual levels, convolution with ReLU, noise maps, curves, SSIM."""

import math
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.image.colour import SRGB_EXPONENT, SRGB_KNEE, SRGB_OFFSET, SRGB_SLOPE

__all__ = [
    "SSIM_RADIUS",
    "ResidualBlock",
    "ResidualLevels",
    "added",
    "awaits_tensors",
    "conv_relu",
    "pooled",
    "srgb_encoded",
    "ssim_map",
    "with_sigma_map",
]

_VARIANCE_OF_3X3 = 2 / 3
"""Variance of an offset that is -1, 0 or 1 with equal probability."""


def awaits_tensors(network: nn.Module) -> bool:
    """Whether a network is on the meta device, where it will get trained tensors.

    Random initialisation is useless there, and costs the two seconds of importing PyTorch's
    compiler.
    """
    return any(parameter.is_meta for parameter in network.parameters())


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))`` with 3x3 convolutions."""

    def __init__(self, width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, width, H, W)`` to the same shape."""
        return added(self.conv2(conv_relu(self.conv1, x)), x)


class ResidualLevels(nn.Module):
    """Base class of residual U-Nets; each adds its own first layer, tail and ``forward``.

    Per level some residual blocks, then a strided 2x2 convolution down; the mirror image with 2x2
    transposed convolutions up; skips are added.
    """

    tail: nn.Conv2d

    def add_levels(self, widths: Sequence[int], blocks: int, *, bias: bool) -> None:
        """Make the layers, after the network's first and before its tail.

        The order in which layers are made fixes the order of the parameters and of their random
        initial values.

        Args:
            widths: feature channels from the finest level downwards.
            blocks: residual blocks per level on the way down, and again on the way up.
            bias: whether the convolutions have biases.
        """

        def level(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width, bias=bias) for _ in range(blocks)))

        steps = list(pairwise(widths))
        self.encoder = nn.ModuleList(level(width) for width in widths)
        self.decoder = nn.ModuleList(level(width) for width in widths[:-1])
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, kernel_size=2, stride=2, bias=bias) for fine, coarse in steps
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2, bias=bias)
            for fine, coarse in steps
        )

    def reset_parameters(self, *, tail: float) -> None:
        """Start every residual block near the identity, so that depth costs no learning speed.

        Args:
            tail: factor on the tail's weights; the smaller it is, the smaller the network's initial
                correction.
        """
        if awaits_tensors(self):
            return
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    module.conv2.weight.mul_(0.1)
                elif isinstance(module, nn.ConvTranspose2d):
                    module.weight.mul_(0.5)
            self.tail.weight.mul_(tail)

    @property
    def coarsest(self) -> int:
        """Side of a pixel of the coarsest level, in pixels of the finest."""
        return int(2 ** len(self.down))

    @property
    def levels_radius(self) -> int:
        """Radius of the levels' receptive field, in pixels of the finest level."""
        convs = 2 * len(cast(nn.Sequential, self.encoder[0]))
        down_and_up = sum(2 * convs * 2**level for level in range(len(self.down)))
        # Down and up steps see their own 2x2 cell only: less than one coarse pixel in all.
        return int(down_and_up + convs * self.coarsest + self.coarsest)

    @property
    def levels_spread(self) -> float:
        """Standard deviation of the levels' effective receptive field, in pixels of the finest.

        Each convolution spreads its input by at most one pixel, and the field of a stack of them is
        nearly Gaussian (Luo et al., NeurIPS 2016), far narrower than its full radius.
        """
        convs = 2 * len(cast(nn.Sequential, self.encoder[0]))
        down_and_up = sum(2 * convs * 4**level for level in range(len(self.down)))
        return math.sqrt(_VARIANCE_OF_3X3 * (down_and_up + convs * self.coarsest**2))

    def encoded(self, features: Tensor) -> list[Tensor]:
        """Return the features of every level on the way down, the finest first."""
        levels = []
        for level, down in zip(self.encoder, self.down, strict=False):
            levels.append(level(features))
            features = down(levels[-1])
        return [*levels, self.encoder[-1](features)]

    def through_levels(self, features: Tensor) -> Tensor:
        """Map ``(B, widths[0], H, W)`` to the same shape, sides multiples of ``coarsest``."""
        *skips, features = self.encoded(features)
        for level, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = level(added(up(features), skips.pop()))
        return features


def added(result: Tensor, features: Tensor) -> Tensor:
    """Return ``result + features``, in inference mode in the memory of ``result``.

    On a CPU, memory that is taken anew costs time: the system clears each page of it.
    """
    return result.add_(features) if torch.is_inference_mode_enabled() else result + features


def pooled(levels: Sequence[Tensor]) -> Tensor:
    """Return means and standard deviations of features over each picture.

    Args:
        levels: ``(B, C, H, W)`` of any C, H and W.

    Returns:
        ``(B, D)``, D twice the sum of all C.
    """
    return torch.cat(
        [
            moment
            for level in levels
            for moment in (level.mean(dim=(2, 3)), level.std(dim=(2, 3), correction=0))
        ],
        dim=1,
    )


def conv_relu(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    """Return ``relu(convolution(features))``.

    PyTorch runs the convolution in cuDNN, but bias and ReLU in separate passes, which take a GPU
    longer than the convolution. Where no gradient is needed, cuDNN can fuse all three, and then
    rounds to half precision once instead of three times.

    Args:
        convolution: convolution with zero padding, given in pixels.
        features: ``(B, C, H, W)``.
    """
    weight = convolution.weight
    is_half = weight.dtype in (torch.float16, torch.bfloat16)
    if is_half and features.is_cuda and torch.version.hip is None and not torch.is_grad_enabled():
        # If cuDNN fails, or memory is short, the separate passes below succeed or raise the reason.
        with suppress(RuntimeError):
            result: Tensor = torch.cudnn_convolution_relu(
                features,
                weight,
                convolution.bias,
                convolution.stride,
                cast(tuple[int, ...], convolution.padding),
                convolution.dilation,
                convolution.groups,
            )
            return result
    return torch.relu_(convolution(features))


def with_sigma_map(noisy: Tensor, sigma: Tensor | None) -> Tensor:
    """Return ``noisy`` ``(B, C, H, W)`` with ``sigma`` ``(B,)`` as one more, constant channel.

    Raises:
        ValueError: ``sigma`` is None or does not hold one value per picture.
    """
    if sigma is None or sigma.shape != noisy.shape[:1]:
        raise ValueError(f"this network needs sigma of shape {list(noisy.shape[:1])}, got {sigma}")
    plane = sigma.to(noisy.dtype)[:, None, None, None].expand(-1, 1, *noisy.shape[2:])
    return torch.cat((noisy, plane), dim=1)


def srgb_encoded(light: Tensor) -> Tensor:
    """Encode light with sRGB's curve (IEC 61966-2-1), any shape.

    The curve goes on above 1, and below 0 as an odd function: noise around black stays symmetric,
    and of moderate amplitude.
    """
    size = light.abs()
    curve = (1 + SRGB_OFFSET) * size.clamp_min(SRGB_KNEE) ** (1 / SRGB_EXPONENT) - SRGB_OFFSET
    return torch.where(size <= SRGB_KNEE, SRGB_SLOPE * light, light.sign() * curve)


SSIM_RADIUS = 5
"""Radius of the 11x11 window in pixels."""

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
