"""ResUNet: a U-Net of residual blocks with a noise-level map as input."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.layers import ResidualLevels, with_sigma_map

__all__ = ["ResUNet", "ResUNetConfig"]


@dataclass(frozen=True, kw_only=True)
class ResUNetConfig:
    """Configuration of a ResUNet.

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
        """Refuse invalid settings; accept the lists that JSON makes of tuples."""
        object.__setattr__(self, "widths", tuple(self.widths))
        if self.channels not in (1, 3) or not self.widths or min(self.widths) < 1:
            raise WeightsError(f"ResUNet cannot have {self.channels} channels and {self.widths}")
        if self.blocks < 1:
            raise WeightsError(f"ResUNet needs at least one block per level, not {self.blocks}")


class ResUNet(ResidualLevels):
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
        self.add_levels(widths, config.blocks, bias=False)
        self.tail = nn.Conv2d(widths[0], config.channels, kernel_size=3, padding=1, bias=False)
        self.reset_parameters(tail=0.1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.coarsest

    @property
    def halo(self) -> int:
        """How far the result depends on the picture, in pixels, rounded up to ``multiple``.

        Three standard deviations of the effective receptive field, or 3.5 for blind networks, which
        estimate the noise level from the surroundings. Pixels further out change the result by less
        than a tenth of an 8-bit step, far less than bfloat16 does.
        """
        deviations = 3 if self.config.noise_map else 3.5
        radius = 2 + min(self.levels_radius, deviations * self.levels_spread)
        return math.ceil(radius / self.multiple) * self.multiple

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
        predicted: Tensor = self.tail(self.through_levels(features)).to(noisy.dtype)
        return noisy - predicted if self.config.residual else predicted
