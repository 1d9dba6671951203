"""HdrResUNet: radiance from one exposure, thought in perceptual steps."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.optical_element import carry_element, check_element
from restore.models.residual_levels import ResidualLevels

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


class HdrResUNet(ResidualLevels):
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
        self.add_levels(widths, config.blocks, bias=True)
        self.tail = nn.Conv2d(widths[0], config.channels, kernel_size=3, padding=1)
        carry_element(self, config.psf_size, config.cells)
        self.reset_parameters(tail=0.02)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.coarsest

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels, a multiple of ``multiple``."""
        radius = 2 + self.levels_radius
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
        restored = perceived + self.tail(self.through_levels(features)).to(capture.dtype)
        return torch.expm1(restored * math.log1p(_MU)) / slope
