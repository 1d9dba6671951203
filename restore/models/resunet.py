"""ResUNet: a U-Net of residual blocks that is told the noise level."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.sigma_map import with_sigma_map

__all__ = ["ResUNet", "ResUNetConfig", "ResidualBlock"]


@dataclass(frozen=True, kw_only=True)
class ResUNetConfig:
    """What a ResUNet looks like.

    Attributes:
        channels: 1 for gray, 3 for colour.
        widths: feature channels from full resolution downwards, halving the resolution each time.
        blocks: residual blocks per level on the way down, and again on the way up.
        noise_map: sigma is an extra input channel.
        residual: the network predicts the noise; False for networks that predict the picture.
    """

    channels: int = 3
    widths: tuple[int, ...] = (32, 64, 128, 128)
    blocks: int = 2
    noise_map: bool = True
    residual: bool = True

    def __post_init__(self) -> None:
        """Refuse what no ResUNet can be; accept the lists that JSON makes of tuples."""
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.channels not in (1, 3) or not self.widths or min(self.widths) < 1:
            raise WeightsError(f"ResUNet cannot have {self.channels} channels and {self.widths}")
        if self.blocks < 1:
            raise WeightsError(f"ResUNet needs at least one block per level, not {self.blocks}")


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))`` with 3x3 convolutions."""

    def __init__(self, width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, width, H, W)`` to the same shape."""
        return cast(Tensor, self.conv2(torch.relu(self.conv1(x)))) + x


class ResUNet(nn.Module):
    """Residual U-Net with a noise-level map, after DRUNet (Zhang et al., IEEE TPAMI 2021).

    A 3x3 head, per level ``blocks`` residual blocks and a strided 2x2 convolution down, the
    mirror image with 2x2 transposed convolutions up, skips added, a 3x3 tail. No layer has a bias:
    scaling picture and sigma together scales the result, which carries the network beyond the
    noise levels it was trained on (Mohan et al., ICLR 2020). ``clean = noisy - network(noisy)``.
    """

    def __init__(self, config: ResUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        inputs = config.channels + int(config.noise_map)
        self.head = nn.Conv2d(inputs, widths[0], kernel_size=3, padding=1, bias=False)
        self.encoder = nn.ModuleList(_level(width, config.blocks) for width in widths)
        self.decoder = nn.ModuleList(_level(width, config.blocks) for width in widths[:-1])
        steps = list(pairwise(widths))
        self.down = nn.ModuleList(
            nn.Conv2d(fine, coarse, kernel_size=2, stride=2, bias=False) for fine, coarse in steps
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2, bias=False)
            for fine, coarse in steps
        )
        self.tail = nn.Conv2d(widths[0], config.channels, kernel_size=3, padding=1, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start every residual block near the identity, so that depth costs no learning speed."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, ResidualBlock):
                    module.conv2.weight.mul_(0.1)
                elif isinstance(module, nn.ConvTranspose2d):
                    module.weight.mul_(0.5)
            self.tail.weight.mul_(0.1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return int(2 ** (len(self.config.widths) - 1))

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels, rounded up to ``multiple``."""
        levels = len(self.config.widths)
        convs = 2 * self.config.blocks
        down_and_up = sum(2 * convs * 2**level for level in range(levels - 1))
        bottom = convs * 2 ** (levels - 1)
        # Down and up steps look at their own 2x2 cell only: less than one coarse pixel in all.
        radius = 2 + down_and_up + bottom + self.multiple
        return int(-(-radius // self.multiple) * self.multiple)

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Return the clean picture.

        Args:
            noisy: ``(B, C, H, W)`` in [0, 1], H and W multiples of ``multiple``.
            sigma: ``(B,)`` noise level in [0, 1]; needed with ``noise_map``.

        Returns:
            ``(B, C, H, W)`` in the dtype of ``noisy``, not clipped. Everything but the last
            subtraction runs in the parameters' dtype.
        """
        inputs = with_sigma_map(noisy, sigma) if self.config.noise_map else noisy
        features: Tensor = self.head(inputs.to(self.head.weight.dtype))
        skips = []
        for level, down in zip(self.encoder, self.down, strict=False):
            features = level(features)
            skips.append(features)
            features = down(features)
        features = self.encoder[-1](features)
        for level, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = level(up(features) + skips.pop())
        predicted: Tensor = self.tail(features).to(noisy.dtype)
        return noisy - predicted if self.config.residual else predicted


def _level(width: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
