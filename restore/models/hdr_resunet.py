"""HdrResUNet: radiance from one exposure, predicted in mu-law space."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.layers import ResidualLevels
from restore.models.optical_element import (
    TraceGathering,
    TraceScattering,
    carry_element,
    check_element,
)

__all__ = ["HdrResUNet", "HdrResUNetConfig"]

_MU, _PEAK = 5000.0, 64.0
_SATURATION_KNEE = 0.05
_LEVEL_OF_TRACES = 2


@dataclass(frozen=True, kw_only=True)
class HdrResUNetConfig:
    """Configuration of an HdrResUNet.

    Attributes:
        widths: feature channels from full resolution downwards.
        blocks: residual blocks per level on the way down, and again on the way up.
        psf_size: side in pixels of the PSF that it was trained with, odd; 0 for none.
        cells: side in cells of the height map that makes this PSF; 0 if unknown.
        gathered: number of feature planes that are gathered through each colour's PSF.
        scattered: number of planes for each colour that are scattered on the way up; 0 for none.
        reach_px: pixels to each side that they are gathered and scattered over at most.
    """

    widths: tuple[int, ...] = (16, 48, 96, 128, 128)
    blocks: int = 1
    gathered: int = 8
    scattered: int = 8
    reach_px: int = 48
    psf_size: int = 0
    cells: int = 0
    channels: int = 3

    def __post_init__(self) -> None:
        """Refuse invalid settings; accept the lists that JSON makes of tuples."""
        object.__setattr__(self, "widths", tuple(self.widths))
        least = min((*self.widths, self.blocks, self.gathered, self.reach_px))
        if self.channels != 3 or not self.widths or least < 1 or self.scattered < 0:
            raise WeightsError(
                f"HdrResUNet cannot have {self.channels} colours, widths {self.widths}, "
                f"{self.blocks} blocks, {self.gathered} gathered planes and {self.scattered} "
                f"scattered ones over {self.reach_px} pixels"
            )
        check_element(self.psf_size, self.cells)


class HdrResUNet(ResidualLevels):
    """A residual U-Net on mu-law values and a map of where the sensor saturated.

    ``t = log(1 + mu y / 64) / log(1 + mu)`` with mu = 5000 takes radiance from 0 to 64 times white
    to [0, 1]. The network adds its correction to the ``t`` of the capture, so that a highlight and
    a shadow that are off by the same factor count alike, and the loss in this space is well
    conditioned.

    With an optical element, features at a quarter of the resolution are gathered from where the
    element spreads their light, and scattered back there on the way up; see ``TraceGathering``.
    """

    def __init__(self, config: HdrResUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.head = nn.Conv2d(2 * config.channels, widths[0], kernel_size=3, padding=1)
        self.add_levels(widths, config.blocks, bias=True)
        self.tail = nn.Conv2d(widths[0], config.channels, kernel_size=3, padding=1)
        self.gathering, self.scattering = None, None
        self.level_of_traces = min(_LEVEL_OF_TRACES, len(widths) - 1)
        if config.psf_size:
            width, step = widths[self.level_of_traces], 2**self.level_of_traces
            self.gathering = TraceGathering(
                width,
                psf_size=config.psf_size,
                planes=config.gathered,
                step=step,
                reach_px=config.reach_px,
            )
            if config.scattered:
                self.scattering = TraceScattering(
                    width,
                    psf_size=config.psf_size,
                    planes=config.scattered,
                    step=step,
                    reach_px=config.reach_px,
                )
        carry_element(self, config.psf_size, config.cells)
        self.reset_parameters(tail=0.02)
        with torch.no_grad():
            for transport in self._transports:
                transport.merge.weight.mul_(0.1)

    @property
    def _transports(self) -> list[TraceGathering]:
        return [each for each in (self.gathering, self.scattering) if each is not None]

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.coarsest

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels, a multiple of ``multiple``."""
        radius = 2 + self.levels_radius
        radius += sum(transport.reach for transport in self._transports)
        return int(-(-radius // self.multiple) * self.multiple)

    def forward(
        self, capture: Tensor, sigma: Tensor | None = None, psf: Tensor | None = None
    ) -> Tensor:
        """Return radiance.

        Args:
            capture: ``(B, 3, H, W)``, linear, white at 1; sides multiples of ``multiple``.
            sigma: not used; all networks share one signature.
            psf: PSF ``(3, P, P)`` to gather through while it is trained; None for the network's
                own.

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
        restored = perceived + self.tail(self.through_levels(features, psf)).to(capture.dtype)
        return torch.expm1(restored * math.log1p(_MU)) / slope

    def through_levels(self, features: Tensor, psf: Tensor | None = None) -> Tensor:
        """Map ``(B, widths[0], H, W)`` to the same shape, gathering and scattering by a PSF."""
        skips = []
        for index, level in enumerate(self.encoder):
            features = level(features)
            if self.gathering is not None and index == self.level_of_traces:
                features = self.gathering(features, psf)
            skips.append(features)
            if index < len(self.down):
                features = self.down[index](features)
        for index in reversed(range(len(skips))):
            if index < len(self.up):
                features = self.decoder[index](self.up[index](features) + skips[index])
            if self.scattering is not None and index == self.level_of_traces:
                features = self.scattering(features, psf)
        return features
