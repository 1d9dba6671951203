"""ErrorNet: how wrong each pixel of a denoised picture is likely to be."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import WeightsError
from restore.models.layers import ResidualBlock, awaits_tensors

__all__ = ["ESTIMATES", "ErrorNet", "ErrorNetConfig"]

ESTIMATES = 3
"""Output channels: expected absolute error, its 90 % quantile, and root mean square error."""

_COLOURS = 3
_CELL = 4
"""Side in pixels of the cells that are the pixels of the hidden layers."""
_FLOOR = 0.5 / 255
"""Level added to that of what was removed, so that a picture left as it is divides by no zero."""
_LEAST = 0.2 / 255
"""Least error that is expected, a little less than rounding to 8 bits makes."""
_RANGE = 6.0
_FIRST = (math.log(0.3), math.log(2.0), math.log(1.3))
"""Logarithms before training: of the mean in levels, and of the other two in means."""


@dataclass(frozen=True, kw_only=True)
class ErrorNetConfig:
    """Configuration of an ErrorNet.

    Attributes:
        width: feature channels.
        blocks: residual blocks.
        around: radius, in cells of 4x4 pixels, within which the level of what was removed is taken.
    """

    width: int = 32
    blocks: int = 3
    around: int = 4

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if min(self.width, self.blocks, self.around) < 1:
            raise WeightsError(
                f"ErrorNet cannot have width {self.width}, {self.blocks} blocks and radius "
                f"{self.around}"
            )

    @property
    def planes(self) -> int:
        """Number of input channels: the noisy picture and the result."""
        return 2 * _COLOURS

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return ESTIMATES


class ErrorNet(nn.Module):
    """Estimates the error of a denoiser from the noisy picture and the result.

    It knows neither the denoiser nor the noise. Cells of 4x4 pixels are the pixels of its layers,
    so that it costs a fortieth of the arithmetic of the denoisers that it serves. What was removed,
    and the result less the mean of its cell, are divided by the level of what was removed around;
    the estimates are multiplied by it. So one set of layers serves every noise level.
    """

    def __init__(self, config: ErrorNetConfig) -> None:
        super().__init__()
        self.config = config
        # Samples of both pictures, of each cell its mean relative to those around and its colour,
        # and the level.
        inputs = 2 * _COLOURS * _CELL**2 + 2 * _COLOURS + 1
        self.head = nn.Conv2d(inputs, config.width, kernel_size=3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(config.width, bias=True) for _ in range(config.blocks))
        )
        self.tail = nn.Conv2d(config.width, ESTIMATES * _CELL**2, kernel_size=3, padding=1)
        if not awaits_tensors(self):
            self._reset_parameters()

    def _reset_parameters(self) -> None:
        with torch.no_grad():
            for block in self.body:
                assert isinstance(block, ResidualBlock)
                block.conv2.weight.mul_(0.1)
            self.tail.weight.mul_(0.1)
            self.tail.bias.copy_(torch.tensor(_FIRST).repeat_interleave(_CELL**2))  # type: ignore[union-attr]

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return _CELL

    @property
    def halo(self) -> int:
        """How far an estimate depends on the pictures, in pixels."""
        convolutions = 2 + 2 * self.config.blocks
        return _CELL * (convolutions + self.config.around + 1)

    def forward(self, planes: Tensor) -> Tensor:
        """Return the estimates of each pixel.

        Args:
            planes: ``(B, 6, H, W)``: the noisy picture and the result, both sRGB-encoded and
                nominally in [0, 1]; H and W multiples of ``multiple``. Gray pictures are given as
                three equal channels.

        Returns:
            ``(B, 3, H, W)`` in the same units and the dtype of ``planes``: the expected absolute
            error, mean of the channels; what it stays below with a probability of 0.9; and the
            square root of the expected squared error.
        """
        features, level = self._features(planes)
        hidden = torch.relu(self.head(features.to(self.head.weight.dtype)))
        logarithms = F.pixel_shuffle(self.tail(self.body(hidden)), _CELL).to(planes.dtype)
        expected, *ratios = logarithms.clamp(-_RANGE, _RANGE).exp().chunk(ESTIMATES, dim=1)
        scale = F.interpolate(level, scale_factor=float(_CELL), mode="nearest")
        expected = scale * expected + _LEAST
        return torch.cat([expected, *(expected * ratio for ratio in ratios)], dim=1)

    def _features(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the layers are given, and the level of what was removed, of each cell."""
        noisy, result = planes.chunk(2, dim=1)
        removed = noisy - result
        energy = F.avg_pool2d(removed.square().mean(dim=1, keepdim=True), _CELL)
        level = self._around(energy).sqrt() + _FLOOR
        colour = F.avg_pool2d(result, _CELL)
        detail = F.pixel_unshuffle(result, _CELL) - colour.repeat_interleave(_CELL**2, dim=1)
        scaled = [
            torch.asinh(F.pixel_unshuffle(removed, _CELL) / level),
            torch.asinh(detail / level),
            torch.asinh((colour - self._around(colour)) / level),
        ]
        return torch.cat([*scaled, colour, level.log() / _RANGE + 1], dim=1), level

    def _around(self, cells: Tensor) -> Tensor:
        """Return the mean within ``around`` cells, of those that there are."""
        radius = self.config.around
        return F.avg_pool2d(
            cells, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False
        )
