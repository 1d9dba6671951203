"""Impulses: samples replaced by a fault, as of hot, dead and stuck photosites."""

import torch
from torch import Tensor

from restore.noise.camera import smoothed

__all__ = ["impulses"]

# Shares of samples that are replaced, as powers of ten.
_RAREST, _DENSEST = -3.5, -0.7
_BRIGHT_SHARE = 0.25
_DARK_SHARE = 0.15
_RANDOM_SHARE = 0.25
_PER_CHANNEL_SHARE = 0.35
_SOFT_SHARE = 0.3
# Standard deviations in pixels of the blur by demosaicking or scaling.
_LEAST_BLUR, _MOST_BLUR = 0.3, 0.7
_WHITE_SHARE = 0.3
_STRONGEST_WHITE = 12 / 255


def impulses(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return what random impulses change in each of ``clean``.

    Impulses are white and black ("salt and pepper"), only white, only black, or of random values;
    of all channels of a pixel, or of single ones; sharp, or softened as by demosaicking; some
    pictures have weak white noise as well.

    Args:
        clean: ``(B, C, H, W)`` in [0, 1], with 1 or 3 channels.
        generator: random generator on the device of ``clean``.

    Returns:
        Difference to add, ``(B, C, H, W)``.
    """

    def uniform(channels: int = 1, *side: int) -> Tensor:
        shape = (len(clean), channels, *(side or (1, 1)))
        return torch.rand(shape, generator=generator, device=clean.device)

    size = clean.shape[1:]
    density = 10 ** (_RAREST + (_DENSEST - _RAREST) * uniform())
    is_single = uniform() < _PER_CHANNEL_SHARE
    chance = torch.where(is_single, uniform(*size), uniform(1, *size[1:]))
    draws = torch.where(is_single, uniform(*size), uniform(1, *size[1:]))
    kind = uniform()
    values = (draws < 0.5).to(clean.dtype)
    values = torch.where(kind < _BRIGHT_SHARE + _DARK_SHARE + _RANDOM_SHARE, draws, values)
    values = torch.where(kind < _BRIGHT_SHARE + _DARK_SHARE, 0.0, values)
    values = torch.where(kind < _BRIGHT_SHARE, 1.0, values)
    changed = torch.where(chance < density, values - clean, 0.0)
    blur = _LEAST_BLUR + (_MOST_BLUR - _LEAST_BLUR) * uniform().flatten()
    changed = torch.where(uniform() < _SOFT_SHARE, smoothed(changed, blur), changed)
    white = torch.randn(clean.shape, generator=generator, device=clean.device)
    level = torch.where(uniform() < _WHITE_SHARE, _STRONGEST_WHITE * uniform(), 0.0)
    return changed + level * white
