"""IspUNet: a learned image signal processor, from a packed RAW mosaic to colour."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import WeightsError
from restore.models.layers import awaits_tensors

__all__ = ["IspUNet", "IspUNetConfig"]

_LEVELS = 5
_SLOPE = 0.2


@dataclass(frozen=True, kw_only=True)
class IspUNetConfig:
    """Configuration of an IspUNet.

    Attributes:
        planes: 4 for packed Bayer mosaics (red, green, blue, second green), 9 for X-Trans.
        width: feature channels of the first level; each level below has twice as many.
        head: "camera" for white-balanced camera RGB, encoded with sRGB's curve, of any camera;
            "srgb" for finished pictures of the one camera that it was trained for, as in the
            paper.
        up_bias: whether the transposed convolutions have biases, as in ports of the paper's code.
    """

    planes: int = 4
    width: int = 32
    head: str = "camera"
    up_bias: bool = False

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if self.planes not in (4, 9) or self.width < 1 or self.head not in ("camera", "srgb"):
            raise WeightsError(
                f"IspUNet cannot have {self.planes} planes, {self.width} features and the head "
                f"{self.head}"
            )

    @property
    def channels(self) -> int:
        """Number of channels of the output picture."""
        return 3

    @property
    def periods(self) -> tuple[int, ...]:
        """Periods of the colour filters that it is for: 2 for Bayer, 6 for X-Trans."""
        return (2,) if self.planes == 4 else (6,)

    @property
    def packs(self) -> bool:
        """Whether the mosaic is packed into planes of one colour each."""
        return True

    @property
    def highest(self) -> float:
        """Level at which samples are clipped: white."""
        return 1.0

    @property
    def scale(self) -> int:
        """Pixels of the mosaic per packed pixel, in each direction."""
        return 2 if self.planes == 4 else 3


class IspUNet(nn.Module):
    """The U-Net of Chen et al., "Learning to See in the Dark", CVPR 2018.

    Five levels of two 3x3 convolutions with leaky ReLU, max-pooling down, 2x2 transposed
    convolutions up, skips concatenated, 1x1 to three colours for every pixel of the mosaic. At
    width 32 it has 7,760,268 (Bayer) or 7,762,203 (X-Trans) parameters, as the authors' has.
    """

    multiple: int = 2 ** (_LEVELS - 1)

    def __init__(self, config: IspUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * 2**level for level in range(_LEVELS)]
        self.encoder = nn.ModuleList(_level(a, b) for a, b in pairwise([config.planes, *widths]))
        steps = list(pairwise(widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, kernel_size=2, stride=2, bias=config.up_bias)
            for fine, coarse in steps
        )
        self.decoder = nn.ModuleList(_level(2 * width, width) for width in widths[:-1])
        self.tail = nn.Conv2d(widths[0], 3 * config.scale**2, kernel_size=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise the weights so that the variance of features stays the same in every layer."""
        if awaits_tensors(self):
            return
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE, nonlinearity="leaky_relu")
                nn.init.zeros_(cast(Tensor, module.bias))
            elif isinstance(module, nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight.transpose(0, 1), nonlinearity="linear")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def halo(self) -> int:
        """Radius of the receptive field in packed pixels, a multiple of ``multiple``."""
        down_and_up = sum(2 * 2 * 2**level for level in range(_LEVELS - 1))
        bottom = 2 * 2 ** (_LEVELS - 1)
        # Pooling and upsampling see their own cell only: less than one coarse pixel in all.
        radius = down_and_up + bottom + self.multiple
        return int(-(-radius // self.multiple) * self.multiple)

    def forward(self, packed: Tensor) -> Tensor:
        """Return colour for every pixel of the mosaic.

        Args:
            packed: ``(B, planes, H, W)``, black at 0, amplified, clipped at 1; H and W multiples
                of ``multiple``.

        Returns:
            ``(B, 3, scale * H, scale * W)`` in the dtype of ``packed``, not clipped. The last
            layer runs in that dtype too, the others in the parameters' dtype, so that low precision
            causes no banding.
        """
        features = packed.to(self.tail.weight.dtype)
        skips = []
        for index, level in enumerate(self.encoder):
            features = level(F.max_pool2d(features, 2) if index else features)
            skips.append(features)
        skips.pop()
        for level, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = level(torch.cat([up(features), skips.pop()], dim=1))
        weight, bias = (part.to(packed.dtype) for part in self.tail.parameters())
        colours = F.conv2d(features.to(packed.dtype), weight, bias)
        return F.pixel_shuffle(colours, self.config.scale)


def _level(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
        nn.Conv2d(outputs, outputs, kernel_size=3, padding=1),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )
