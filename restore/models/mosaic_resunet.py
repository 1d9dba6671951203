"""MosaicResUNet: the noise in a RAW mosaic of any colour filter, at half resolution."""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.layers import ResidualLevels

__all__ = ["PLANES", "SAMPLES", "MosaicResUNet", "MosaicResUNetConfig"]

SAMPLES = 4
"""Samples of the mosaic per pixel of the network, two by two."""

PLANES = 31
"""Input planes per pixel of the network; ``restore.mosaic.planes`` says which."""

_MEAN_RADIUS = 4
"""Radius of the local means among the input planes."""


@dataclass(frozen=True, kw_only=True)
class MosaicResUNetConfig:
    """Configuration of a MosaicResUNet.

    Attributes:
        widths: feature channels from half the mosaic's resolution downwards.
        blocks: residual blocks per level on the way down, and again on the way up.
        residual: the network predicts the noise.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128)
    blocks: int = 2
    residual: bool = True

    def __post_init__(self) -> None:
        """Refuse invalid settings; accept the lists that JSON makes of tuples."""
        object.__setattr__(self, "widths", tuple(self.widths))
        if not self.widths or min(self.widths) < 1 or self.blocks < 1 or not self.residual:
            raise WeightsError(
                f"MosaicResUNet cannot have widths {self.widths}, {self.blocks} blocks and "
                f"residual {self.residual}"
            )

    @property
    def planes(self) -> int:
        """Number of input channels."""
        return PLANES

    @property
    def channels(self) -> int:
        """Number of output channels: the samples of two by two pixels."""
        return SAMPLES


class MosaicResUNet(ResidualLevels):
    """A residual U-Net on two by two samples of a mosaic, for every colour filter.

    Its inputs are samples from which the local mean is taken, in units of the expected noise, so
    that the noise is equally strong in every picture and half precision does not round it away
    beside the light; and its output is that noise. No layer has a bias and none normalises, as in
    ``ResUNet``, whose levels it shares.
    """

    def __init__(self, config: MosaicResUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.head = nn.Conv2d(PLANES, widths[0], kernel_size=3, padding=1, bias=False)
        self.add_levels(widths, config.blocks, bias=False)
        self.tail = nn.Conv2d(widths[0], SAMPLES, kernel_size=3, padding=1, bias=False)
        self.reset_parameters(tail=0.1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.coarsest

    @property
    def halo(self) -> int:
        """How far the result depends on the mosaic, in pixels of the network.

        Three standard deviations of the effective receptive field, as in ``ResUNet``, and the
        radius of the local means among the inputs.
        """
        radius = 2 + _MEAN_RADIUS + min(self.levels_radius, 3 * self.levels_spread)
        return math.ceil(radius / self.multiple) * self.multiple

    def forward(self, planes: Tensor) -> Tensor:
        """Return the noise of each sample, in the unit of the planes.

        Args:
            planes: ``(B, 31, H, W)``, H and W multiples of ``multiple``.

        Returns:
            ``(B, 4, H, W)`` in the dtype of ``planes``; everything else runs in that of the
            parameters.
        """
        features: Tensor = self.head(planes.to(self.head.weight.dtype))
        noise: Tensor = self.tail(self.through_levels(features))
        return noise.to(planes.dtype)
