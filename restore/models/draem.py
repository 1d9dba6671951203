"""DRAEM: one network repairs a part, another segments what had to be repaired."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import WeightsError
from restore.models.layers import ResidualLevels, pooled

__all__ = ["Draem", "DraemConfig"]


@dataclass(frozen=True, kw_only=True)
class DraemConfig:
    """Configuration of a DRAEM.

    Attributes:
        channels: number of picture channels, at least 1.
        reconstructor: feature channels per level of the repairing U-Net, from half the resolution
            downwards, halving it each time.
        discriminator: the same for the segmenting U-Net.
        blocks: residual blocks per level on the way down, and again on the way up.
        smoothing: side in pixels, odd, of the square over which evidence is averaged.
    """

    channels: int = 1
    reconstructor: tuple[int, ...] = (16, 32, 32)
    discriminator: tuple[int, ...] = (16, 32, 64, 128)
    blocks: int = 1
    smoothing: int = 9

    def __post_init__(self) -> None:
        """Refuse invalid settings; accept the lists that JSON makes of tuples."""
        for name in ("reconstructor", "discriminator"):
            widths = tuple(getattr(self, name))
            object.__setattr__(self, name, widths)
            if not widths or min(widths) < 1:
                raise WeightsError(f"DRAEM cannot have a {name} of widths {widths}")
        if self.channels < 1 or self.blocks < 1:
            raise WeightsError(f"DRAEM cannot have {self.channels} channels, {self.blocks} blocks")
        if self.smoothing < 1 or self.smoothing % 2 == 0:
            raise WeightsError(f"DRAEM averages over an odd number of pixels, not {self.smoothing}")


class Draem(nn.Module):
    """Reconstruction and discrimination, after DRAEM (Zavrtanik et al., ICCV 2021).

    A U-Net learns to repair synthetic defects; a second one takes the part and its difference from
    the repair, and learns which pixels were defective. Unlike the paper's, both work at half the
    resolution (a strided stem, a pixel shuffle at the end), are narrow, and have no batch
    normalisation: pictures of one part differ in exposure, and a batch holds few.
    """

    def __init__(self, config: DraemConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.reconstructor = _UNet(channels, channels, config.reconstructor, config.blocks)
        self.discriminator = _UNet(2 * channels, 1, config.discriminator, config.blocks)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return max(self.reconstructor.multiple, self.discriminator.multiple)

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels, rounded up to ``multiple``."""
        radius = self.reconstructor.radius + self.discriminator.radius + self.config.smoothing // 2
        return -(-radius // self.multiple) * self.multiple

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the repaired pictures, and the evidence that a pixel belongs to a defect.

        Args:
            pictures: ``(B, C, H, W)`` in [0, 1], H and W multiples of ``multiple``.

        Returns:
            ``(B, C + 1, H, W)``: the repair, and the log-odds of a defect.
        """
        dtype = self.discriminator.stem.weight.dtype
        centred = (pictures - 0.5).to(dtype)
        repair = centred + self.reconstructor(centred)
        evidence = self.discriminator(torch.cat([centred, centred - repair], dim=1))
        return torch.cat([repair + 0.5, evidence], dim=1)

    def describe(self, pictures: Tensor) -> Tensor:
        """Return what the discriminator's encoder sees of whole pictures, ``(B, D)``.

        Means and standard deviations of its features, as if the repair changed nothing.

        Args:
            pictures: as for ``forward``.
        """
        centred = (pictures - 0.5).to(self.discriminator.stem.weight.dtype)
        pairs = torch.cat([centred, torch.zeros_like(centred)], dim=1)
        return pooled(self.discriminator.encoded(self.discriminator.stem(pairs)))

    def smoothed(self, evidence: Tensor) -> Tensor:
        """Return log-odds ``(B, 1, H, W)`` averaged over a square around every pixel."""
        side = self.config.smoothing
        return F.avg_pool2d(evidence, side, stride=1, padding=side // 2, count_include_pad=False)

    def inspect(self, pictures: Tensor) -> Tensor:
        """Return repair and score map ``(B, C + 1, H, W)``.

        The score is minus the logarithm of the probability that a pixel is good, in nats.
        """
        result = self(pictures).float()
        repair, evidence = result[:, :-1].clamp(0, 1), result[:, -1:]
        return torch.cat([repair, _softplus(self.smoothed(evidence))], dim=1)


_FEW = -4.0


def _softplus(log_odds: Tensor) -> Tensor:
    """Return log(1 + exp(x)), with all digits where it is nearly 0, whatever runs it.

    Engines compute it as written, and 1 + exp(-16) is 1 in float32: the scores of good parts would
    lose their digits, and some be 0.
    """
    few = log_odds.clamp(max=_FEW).exp()
    series = few * (1 - few * (1 / 2 - few * (1 / 3 - few / 4)))
    return torch.where(log_odds < _FEW, series, F.softplus(log_odds))


class _UNet(ResidualLevels):
    """A U-Net of residual blocks between a stem that halves the resolution and a pixel shuffle."""

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(inputs, widths[0], kernel_size=4, stride=2, padding=1)
        self.add_levels(widths, blocks, bias=True)
        self.tail = nn.Conv2d(widths[0], 4 * outputs, kernel_size=3, padding=1)
        self.reset_parameters(tail=0.1)

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""
        return 2 * self.coarsest

    @property
    def radius(self) -> int:
        """Radius of the receptive field in pixels."""
        # The levels work at half the resolution; stem and tail look at four pixels in all.
        return 4 + 2 * self.levels_radius

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        features = self.through_levels(self.stem(x))
        return F.pixel_shuffle(self.tail(torch.relu(features)), 2)
