"""PMRID: a small U-Net of separable convolutions for Bayer mosaics of phones."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from restore.errors import WeightsError

__all__ = ["PMRID", "PMRIDConfig"]

_WIDTHS = (16, 64, 128, 256, 512)
_BLOCKS = (2, 2, 4, 4)
_UP_WIDTHS = (64, 64, 32, 32, 16)


@dataclass(frozen=True, kw_only=True)
class PMRIDConfig:
    """Configuration of a PMRID; there is one.

    Attributes:
        channels: planes of a packed Bayer mosaic.
    """

    channels: int = 4

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if self.channels != 4:
            raise WeightsError(f"PMRID has four planes, not {self.channels}")


class PMRID(nn.Module):
    """PMRID (Wang et al., "Practical Deep Raw Image Denoising on Mobile Devices", ECCV 2020).

    Four stages of residual blocks of 5x5 separable convolutions, each halving the resolution, and
    back up with 3x3 ones; skips are projected and added. Layers have the names of the published
    checkpoint: 1,031,908 parameters. It returns the clean planes, which it makes by a correction.
    """

    multiple: int = 2 ** len(_BLOCKS)

    halo: int = 240
    """Three standard deviations of the effective receptive field, a multiple of ``multiple``."""

    def __init__(self, config: PMRIDConfig) -> None:
        super().__init__()
        self.config = config
        self.conv0 = _Plain(config.channels, _WIDTHS[0])
        for stage, blocks in enumerate(_BLOCKS):
            fine, coarse = _WIDTHS[stage : stage + 2]
            rest = (_Encoder(coarse, coarse) for _ in range(blocks - 1))
            self.add_module(f"enc{stage + 1}", nn.Sequential(_Encoder(fine, coarse), *rest))
        self.encdec = _Separable(_WIDTHS[-1], _UP_WIDTHS[0], 3)
        for stage, skip in enumerate(reversed(_WIDTHS[:-1])):
            inputs, outputs = _UP_WIDTHS[stage : stage + 2]
            self.add_module(f"dec{stage + 1}", _Up(inputs, outputs, skip))
        self.out0 = _Decoder(_UP_WIDTHS[-1])
        self.out1 = _Plain(_UP_WIDTHS[-1], config.channels)

    def forward(self, planes: Tensor) -> Tensor:
        """Return the clean planes.

        Args:
            planes: ``(B, 4, H, W)``: red, the greens beside red and beside blue, and blue, with the
                noise that the network was trained for; H and W multiples of ``multiple``.

        Returns:
            ``(B, 4, H, W)`` in the dtype of ``planes``; the last addition runs in it too.
        """
        dtype = self.conv0.conv.weight.dtype
        features = torch.relu(self.conv0(planes.to(dtype)))
        skips = []
        for stage in range(len(_BLOCKS)):
            skips.append(features)
            features = self.get_submodule(f"enc{stage + 1}")(features)
        features = torch.relu(self.encdec(features))
        for stage in range(len(_BLOCKS)):
            features = self.get_submodule(f"dec{stage + 1}")(features, skips.pop())
        return planes + cast(Tensor, self.out1(self.out0(features))).to(planes.dtype)


class _Plain(nn.Module):
    """A 3x3 convolution, named as in the checkpoint."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        return cast(Tensor, self.conv(x))


class _Separable(nn.Module):
    """A depthwise convolution without bias, then a pointwise one."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False
        )
        self.pointwise = nn.Conv2d(inputs, outputs, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        return cast(Tensor, self.pointwise(self.depthwise(x)))


class _Encoder(nn.Module):
    """A residual block; where the number of features grows, it halves the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = _Separable(inputs, outputs // 4, 5, stride=stride)
        self.conv2 = _Separable(outputs // 4, outputs, 5)
        self.proj = nn.Identity() if stride == 1 else _Separable(inputs, outputs, 3, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H / stride, W / stride)``."""
        return torch.relu(self.conv2(torch.relu(self.conv1(x))) + self.proj(x))


class _Decoder(nn.Module):
    """A residual block of 3x3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = _Separable(width, width, 3)
        self.conv1 = _Separable(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, width, H, W)`` to the same shape."""
        return x + cast(Tensor, self.conv1(torch.relu(self.conv0(x))))


class _Up(nn.Module):
    """A residual block, twice the resolution, and the features of the way down added."""

    def __init__(self, inputs: int, outputs: int, skip: int) -> None:
        super().__init__()
        self.decode_conv = _Decoder(inputs)
        self.upsample = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
        self.proj_conv = _Separable(skip, outputs, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, 2 H, 2 W)``."""
        up: Tensor = self.upsample(self.decode_conv(x))
        return up + torch.relu(self.proj_conv(skip))
