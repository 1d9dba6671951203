"""Stripes: offsets of whole rows or columns, as of readout, line scanners and analogue video."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["stripes"]

_STRONGEST = 16 / 255
_COMMON_SHARE = 0.6
_WIDE_SHARE = 0.35
_WIDEST_PX = 6
_FADING_SHARE = 0.3
_COLUMNS_SHARE = 0.5
_WHITE_SHARE = 0.6
_STRONGEST_WHITE = 15 / 255


def stripes(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return random stripes for each of ``clean``.

    Stripes are one pixel wide or wider, along rows or columns, alike in all channels or not; some
    fade along their length, and most come with white noise.

    Args:
        clean: ``(B, C, H, W)`` in [0, 1], with 1 or 3 channels.
        generator: random generator on the device of ``clean``.

    Returns:
        Offsets to add, ``(B, C, H, W)``. Their standard deviation is 16/255 U^1.5, with U uniform
        in [0, 1].
    """
    count, channels, height, width = clean.shape
    side = max(height, width)

    def uniform() -> Tensor:
        return torch.rand((count, 1, 1, 1), generator=generator, device=clean.device)

    def normal(*shape: int) -> Tensor:
        return torch.randn((count, *shape), generator=generator, device=clean.device)

    offsets = torch.where(uniform() < _COMMON_SHARE, normal(1, side, 1), normal(channels, side, 1))
    box = int(torch.randint(2, _WIDEST_PX + 1, (1,), generator=generator, device=clean.device))
    wide = F.avg_pool2d(F.pad(offsets, (0, 0, box - 1, 0), mode="replicate"), (box, 1), stride=1)
    offsets = torch.where(uniform() < _WIDE_SHARE, wide * box**0.5, offsets)
    # A stripe that fades has another strength at each end.
    place = torch.linspace(0, 1, side, device=clean.device)
    fading = 1 + (normal(1, side, 1).abs() - 1) * place
    lines = offsets * torch.where(uniform() < _FADING_SHARE, fading, 1.0)
    lines = lines.expand(count, channels, side, side)
    lines = torch.where(uniform() < _COLUMNS_SHARE, lines.transpose(2, 3), lines)
    white = normal(channels, height, width)
    level = torch.where(uniform() < _WHITE_SHARE, _STRONGEST_WHITE * uniform(), 0.0)
    return _STRONGEST * uniform() ** 1.5 * lines[..., :height, :width] + level * white
