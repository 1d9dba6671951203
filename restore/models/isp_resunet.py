"""IspResUNet: a learned image signal processor at the full resolution of any mosaic."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import WeightsError
from restore.models.layers import ResidualLevels, added, awaits_tensors, srgb_encoded

__all__ = ["IspResUNet", "IspResUNetConfig"]

_COLOURS = 3
_REACH = 2
_LEVELS_WITH_MEANS = 2


@dataclass(frozen=True, kw_only=True)
class IspResUNetConfig:
    """Configuration of an IspResUNet.

    Attributes:
        widths: feature channels from full resolution downwards, halving the resolution each time.
        blocks: residual blocks per level on the way down, and again on the way up.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128)
    blocks: int = 2

    def __post_init__(self) -> None:
        """Refuse invalid settings; accept the lists that JSON makes of tuples."""
        object.__setattr__(self, "widths", tuple(self.widths))
        if not self.widths or min((*self.widths, self.blocks)) < 1:
            raise WeightsError(f"IspResUNet cannot have {self.widths} and {self.blocks} blocks")

    @property
    def head(self) -> str:
        """White-balanced camera RGB, see ``IspUNetConfig``."""
        return "camera"

    @property
    def periods(self) -> tuple[int, ...]:
        """Periods of the colour filters that it is for: Bayer and X-Trans."""
        return (2, 6)

    @property
    def packs(self) -> bool:
        """Whether the mosaic is packed into planes of one colour each."""
        return False

    @property
    def highest(self) -> float:
        """Level at which samples are clipped: two stops above white."""
        return 4.0

    @property
    def planes(self) -> int:
        """Number of input planes."""
        return 2

    @property
    def channels(self) -> int:
        """Number of channels of the output picture."""
        return _COLOURS

    @property
    def scale(self) -> int:
        """Output pixels per input pixel, in each direction."""
        return 1


class IspResUNet(ResidualLevels):
    """A residual U-Net that corrects an interpolated mosaic.

    The missing colours are interpolated from the nearest samples by normalised convolution
    (Knutsson and Westin, CVPR 1993), which knows no pattern. The network sees the result, linear
    and encoded, and the colour of the filter over each pixel, and predicts what is wrong with the
    encoded one. The levels are those of a ``ResUNet``, whose weights it can start from. The two
    coarsest also see the means of each colour's samples in their cells, linear and encoded: in the
    dark, the mean of encoded noise is not the encoded mean.
    """

    def __init__(self, config: IspResUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.head = nn.Conv2d(3 * _COLOURS, widths[0], kernel_size=3, padding=1, bias=False)
        self.add_levels(widths, config.blocks, bias=False)
        self.means = nn.ModuleList(
            nn.Conv2d(2 * _COLOURS, width, kernel_size=1, bias=False)
            for width in widths[-_LEVELS_WITH_MEANS:]
        )
        self.tail = nn.Conv2d(widths[0], _COLOURS, kernel_size=3, padding=1, bias=False)
        self.reset_parameters(tail=0.1)
        if not awaits_tensors(self):
            for weight in self.means.parameters():
                nn.init.zeros_(weight)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return self.coarsest

    @property
    def halo(self) -> int:
        """How far the result depends on the mosaic, in pixels, rounded up to ``multiple``.

        As for a blind ``ResUNet``, with the reach of the interpolation.
        """
        radius = _REACH + 2 + min(self.levels_radius, 3.5 * self.levels_spread)
        return math.ceil(radius / self.multiple) * self.multiple

    def forward(self, mosaic: Tensor) -> Tensor:
        """Return colour for every pixel of the mosaic.

        Args:
            mosaic: ``(B, 2, H, W)``: samples, black at 0, white balanced and amplified, clipped at
                ``config.highest``; and the filter over each pixel, 0 red, 1 green, 2 blue. H and W
                multiples of ``multiple``.

        Returns:
            ``(B, 3, H, W)``, encoded, in the dtype of ``mosaic``, not clipped. Everything but the
            correction is computed in that dtype.
        """
        samples, filters = mosaic[:, :1], mosaic[:, 1:]
        is_green = (filters > 0.5) & (filters < 1.5)
        masks = torch.cat([filters <= 0.5, is_green, filters >= 1.5], dim=1).to(mosaic.dtype)
        colour = _interpolated(samples, masks)
        start = srgb_encoded(colour)
        inputs = torch.cat([start, masks, colour], dim=1)
        features: Tensor = self.head(inputs.to(self.head.weight.dtype))
        correction: Tensor = self.tail(self._corrected(features, samples * masks, masks))
        return start - correction.to(mosaic.dtype)

    def _corrected(self, features: Tensor, sparse: Tensor, masks: Tensor) -> Tensor:
        """Map features as ``through_levels`` does, and add the means of the mosaic's cells."""
        skips = []
        first = len(self.encoder) - len(self.means)
        for index, level in enumerate(self.encoder):
            if index:
                features = self.down[index - 1](features)
            if index >= first:
                means = _means(sparse, masks, 2**index).to(features.dtype)
                features = added(features, self.means[index - first](means))
            features = level(features)
            skips.append(features)
        skips.pop()
        for level, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = level(added(up(features), skips.pop()))
        return features


def _interpolated(samples: Tensor, masks: Tensor) -> Tensor:
    """Return ``(B, 3, H, W)``: each colour's samples where they are, weighted means between them.

    Args:
        samples: ``(B, 1, H, W)``.
        masks: ``(B, 3, H, W)``, 1 under the filter of each colour.
    """
    kernel = _kernel(samples)
    # Autocast would round the samples to half precision.
    with torch.autocast(samples.device.type, enabled=False):
        weighted = F.conv2d(samples * masks, kernel, padding=_REACH, groups=_COLOURS)
        weights = F.conv2d(masks, kernel, padding=_REACH, groups=_COLOURS)
    between = weighted / weights.clamp_min(torch.finfo(samples.dtype).tiny)
    return torch.where(masks > 0.5, samples, between)


def _means(sparse: Tensor, masks: Tensor, cell: int) -> Tensor:
    """Return the mean of each colour's samples in cells, linear and encoded, ``(B, 6, h, w)``."""
    weights = F.avg_pool2d(masks, cell).clamp_min(torch.finfo(masks.dtype).tiny)
    means = F.avg_pool2d(sparse, cell) / weights
    return torch.cat([means, srgb_encoded(means)], dim=1)


def _kernel(like: Tensor) -> Tensor:
    """Return weights ``(3, 1, 5, 5)`` that fall with the fourth power of the distance."""
    offsets = torch.arange(-_REACH, _REACH + 1, dtype=like.dtype, device=like.device) ** 2
    squares = offsets[:, None] + offsets[None]
    return squares.clamp_min(1).pow(-2).expand(_COLOURS, 1, -1, -1)
