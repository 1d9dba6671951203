"""HdrResUNet: radiance from one exposure, thought in perceptual steps."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.optical_element import carry_element, check_element

__all__ = ["HdrResUNet", "HdrResUNetConfig"]

_MU, _PEAK = 5000.0, 64.0
_SATURATION_KNEE = 0.05


@dataclass(frozen=True, kw_only=True)
class HdrResUNetConfig:
    """What an HdrResUNet looks like.

    Attributes:
        widths: feature channels from full resolution downwards.
        blocks: residual blocks per level on the way down, and again on the way up.
        psf_size: side of the PSF that it was trained with, 0 for none.
        cells: side of the height map that makes this PSF, 0 where that is not known.
    """

    widths: tuple[int, ...] = (16, 48, 96, 128, 128)
    blocks: int = 1
    psf_size: int = 0
    cells: int = 0
    channels: int = 3

    def __post_init__(self) -> None:
        """Refuse what no HdrResUNet can be; accept the lists that JSON makes of tuples."""
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.channels != 3 or not self.widths or min(self.widths) < 1 or self.blocks < 1:
            raise WeightsError(
                f"HdrResUNet cannot have {self.channels} colours, widths {self.widths} and "
                f"{self.blocks} blocks"
            )
        check_element(self.psf_size, self.cells)


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))`` with 3x3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, width, H, W)`` to the same shape."""
        return cast(Tensor, self.conv2(torch.relu(self.conv1(x)))) + x


class HdrResUNet(nn.Module):
    """A residual U-Net between mu-law values, which are told where the sensor saturated.

    ``t = log(1 + mu y / 64) / log(1 + mu)`` with mu = 5000 takes radiance from 0 to 64 times white
    to [0, 1]. The network adds its correction to the ``t`` of the capture, so that a highlight and
    a shadow that are off by the same factor count alike, and the loss in this space is well
    conditioned.
    """

    def __init__(self, config: HdrResUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.head = nn.Conv2d(2 * config.channels, widths[0], kernel_size=3, padding=1)
        self.encoder = nn.ModuleList(_level(width, config.blocks) for width in widths)
        self.decoder = nn.ModuleList(_level(width, config.blocks) for width in widths[:-1])
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, kernel_size=2, stride=2) for fine, coarse in steps
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2) for fine, coarse in steps
        )
        self.tail = nn.Conv2d(widths[0], config.channels, kernel_size=3, padding=1)
        carry_element(self, config.psf_size, config.cells)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start every residual block near the identity, and the whole network near no change."""
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    nn.init.zeros_(cast(Tensor, module.bias))
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    module.conv2.weight.mul_(0.1)
                elif isinstance(module, nn.ConvTranspose2d):
                    module.weight.mul_(0.5)
            self.tail.weight.mul_(0.02)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return int(2 ** (len(self.config.widths) - 1))

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels, a multiple of ``multiple``."""
        levels, convs = len(self.config.widths), 2 * self.config.blocks
        down_and_up = sum(2 * convs * 2**level for level in range(levels - 1))
        # Down and up steps look at their own 2x2 cell only: less than one coarse pixel in all.
        radius = 2 + down_and_up + convs * 2 ** (levels - 1) + self.multiple
        return int(-(-radius // self.multiple) * self.multiple)

    def forward(self, capture: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Return radiance.

        Args:
            capture: ``(B, 3, H, W)``, linear, white at 1; sides multiples of ``multiple``.
            sigma: not used; all networks are called alike.

        Returns:
            ``(B, 3, H, W)`` in units of white, in the dtype of ``capture``; not clipped.
            Everything but the correction is computed in that dtype.
        """
        del sigma
        saturated = ((capture - (1 - _SATURATION_KNEE)) / _SATURATION_KNEE).clamp(0, 1)
        slope = _MU / _PEAK
        perceived = torch.log1p(slope * capture.clamp(min=0)) / math.log1p(_MU)
        inputs = torch.cat([perceived, saturated], dim=1)
        features: Tensor = self.head(inputs.to(self.head.weight.dtype))
        skips = []
        for level, down in zip(self.encoder, self.down, strict=False):
            features = level(features)
            skips.append(features)
            features = down(features)
        features = self.encoder[-1](features)
        for level, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = level(up(features) + skips.pop())
        restored = perceived + self.tail(features).to(capture.dtype)
        return torch.expm1(restored * math.log1p(_MU)) / slope


def _level(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
