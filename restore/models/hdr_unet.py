"""HdrUNet: radiance from one coded exposure, as published."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import WeightsError
from restore.models.layers import awaits_tensors
from restore.models.optical_element import carry_element, check_element

__all__ = ["HdrUNet", "HdrUNetConfig"]

_LEVELS = 5
_BILINEAR = (0.25, 0.75, 0.75, 0.25)


@dataclass(frozen=True, kw_only=True)
class HdrUNetConfig:
    """Configuration of an HdrUNet.

    Attributes:
        width: feature channels at every level.
        psf_size: side in pixels of the PSF that it was trained with, odd; 0 for none.
        cells: side in cells of the height map that makes this PSF; 0 if unknown.
    """

    width: int = 64
    psf_size: int = 0
    cells: int = 0
    channels: int = 3

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if self.width < 1 or self.channels != 3:
            raise WeightsError(
                f"HdrUNet cannot have {self.width} features, {self.channels} colours"
            )
        check_element(self.psf_size, self.cells)


class HdrUNet(nn.Module):
    """The U-Net of Metzler et al., "Deep Optics for Single-shot High-dynamic-range Imaging".

    Five levels of two 3x3 convolutions, max-pooling down, 4x4 transposed convolutions with batch
    normalisation up; skips are concatenated and fused by 1x1 convolutions that begin as additions,
    the last one with the capture itself. Input and output are linear in light.
    """

    multiple: int = 2 ** (_LEVELS - 1)

    def __init__(self, config: HdrUNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoder = nn.ModuleList(
            _level(width if level else config.channels, width) for level in range(_LEVELS)
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(width, width, kernel_size=4, stride=2, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for _ in range(_LEVELS - 1)
        )
        self.fuse = nn.ModuleList(nn.Conv2d(2 * width, width, 1) for _ in range(_LEVELS - 1))
        self.tail = nn.Sequential(
            nn.Conv2d(width, config.channels, 1), nn.BatchNorm2d(config.channels)
        )
        self.last = nn.Conv2d(2 * config.channels, config.channels, 1)
        carry_element(self, config.psf_size, config.cells)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start fusions as additions and steps up as bilinear interpolation, as in the paper."""
        if awaits_tensors(self):
            return
        with torch.no_grad():
            for fusion in (*self.fuse, self.last):
                outputs = fusion.weight.shape[0]
                fusion.weight.copy_(torch.eye(outputs).repeat(1, 2)[:, :, None, None])
                fusion.bias.zero_()
            kernel = torch.outer(torch.tensor(_BILINEAR), torch.tensor(_BILINEAR))
            steps = [step for step in self.modules() if isinstance(step, nn.ConvTranspose2d)]
            for step in steps:
                step.weight.copy_(torch.eye(step.in_channels)[:, :, None, None] * kernel)
                if step.bias is not None:
                    step.bias.zero_()

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels, a multiple of ``multiple``."""
        down = sum(2 * 2**level for level in range(_LEVELS))
        # Pooling sees its own cell only, a 4x4 step up one coarse pixel beyond.
        up = sum(2 * 2**level for level in range(_LEVELS - 1))
        radius = down + up + self.multiple
        return int(-(-radius // self.multiple) * self.multiple)

    def forward(
        self, capture: Tensor, sigma: Tensor | None = None, psf: Tensor | None = None
    ) -> Tensor:
        """Return radiance.

        Args:
            capture: ``(B, 3, H, W)``, linear, white at 1; sides multiples of ``multiple``.
            sigma: not used; all networks share one signature.
            psf: not used either; the network has learned its element's PSF.

        Returns:
            ``(B, 3, H, W)`` in units of white, in the dtype of ``capture``; not clipped.
        """
        del sigma, psf
        features = capture.to(self.last.weight.dtype)
        skips = [features]
        for index, level in enumerate(self.encoder):
            features = level(F.max_pool2d(features, 2) if index else features)
            skips.append(features)
        skips.pop()
        for up, fuse in zip(self.up, self.fuse, strict=True):
            features = fuse(torch.cat([up(features), skips.pop()], dim=1))
        radiance: Tensor = self.last(torch.cat([self.tail(features), skips.pop()], dim=1))
        return radiance.to(capture.dtype)


def _level(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
    )
