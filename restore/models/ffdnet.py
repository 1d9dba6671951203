"""FFDNet: a stack of convolutions on the pixel-unshuffled picture and a noise-level map."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import WeightsError
from restore.models.layers import conv_relu, with_sigma_map

__all__ = ["FFDNet", "FFDNetConfig"]


@dataclass(frozen=True, kw_only=True)
class FFDNetConfig:
    """Configuration of an FFDNet.

    Attributes:
        channels: 1 for gray, 3 for colour.
        depth: number of convolutions; 15 gray, 12 colour in the paper.
        width: feature channels; 64 gray, 96 colour in the paper.
        noise_map: always True; sigma is an input.
        residual: the network predicts the noise; False in the paper.
    """

    channels: int = 3
    depth: int = 12
    width: int = 96
    noise_map: bool = True
    residual: bool = False

    def __post_init__(self) -> None:
        """Refuse invalid settings."""
        if self.channels not in (1, 3) or self.depth < 2 or self.width < 1 or not self.noise_map:
            raise WeightsError(f"{self} is no FFDNet")


class FFDNet(nn.Module):
    """Denoiser of Zhang, Zuo and Zhang, "FFDNet", IEEE TIP 2018."""

    multiple = 2

    def __init__(self, config: FFDNetConfig) -> None:
        super().__init__()
        self.config = config
        hidden = [config.width] * (config.depth - 1)
        sizes = [4 * config.channels + 1, *hidden, 4 * config.channels]
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in pairwise(sizes)
        )

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels; the stack runs at half resolution."""
        return 2 * self.config.depth + self.multiple

    def forward(self, noisy: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Return the clean picture.

        Args:
            noisy: ``(B, C, H, W)`` in [0, 1], H and W even.
            sigma: ``(B,)`` noise level in [0, 1].

        Returns:
            ``(B, C, H, W)`` in the dtype of ``noisy``, not clipped.
        """
        inputs = with_sigma_map(F.pixel_unshuffle(noisy, 2), sigma)
        features = inputs.to(cast(Tensor, self.convs[0].weight).dtype)
        for conv in self.convs[:-1]:
            features = conv_relu(cast(nn.Conv2d, conv), features)
        predicted = F.pixel_shuffle(self.convs[-1](features), 2).to(noisy.dtype)
        return noisy - predicted if self.config.residual else predicted
