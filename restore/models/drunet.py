"""DRUNet: a U-Net of residual blocks whose skips bypass the blocks of a level."""

from dataclasses import dataclass

from torch import Tensor

from restore.models.resunet import ResUNet, ResUNetConfig

__all__ = ["DRUNet", "DRUNetConfig"]


@dataclass(frozen=True, kw_only=True)
class DRUNetConfig(ResUNetConfig):
    """Configuration of a DRUNet: a ResUNet's with the sizes of the paper."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: int = 4
    residual: bool = False


class DRUNet(ResUNet):
    """Denoiser of Zhang et al., "Plug-and-Play Image Restoration", IEEE TPAMI 2021.

    The layers are those of a ``ResUNet``, but a skip carries the input of a level's blocks on the
    way down, and is added to the output of that level's blocks on the way up.
    """

    def __init__(self, config: DRUNetConfig) -> None:
        super().__init__(config)

    def through_levels(self, features: Tensor) -> Tensor:
        """Map ``(B, widths[0], H, W)`` to the same shape, sides multiples of ``multiple``."""
        skips = []
        for level, down in zip(self.encoder, self.down, strict=False):
            skips.append(features)
            features = down(level(features))
        features = self.encoder[-1](features) + features
        for level, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            features = level(up(features)) + skips.pop()
        return features
