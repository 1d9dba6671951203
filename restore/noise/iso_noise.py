"""Noise at random ISO speeds, and of given levels, as training and simulation add it."""

import math

import torch
from torch import Tensor

from restore.noise.eld import DarkNoise
from restore.noise.iso import LEAST_SHOT, MOST_SHOT, READ_BIAS, READ_SLOPE, READ_SPREAD

__all__ = ["dark_noise", "random_iso_levels", "random_iso_noise"]

# The lambda with which Tukey's distribution is nearly normal, and its standard deviation there.
_NORMAL_SHAPE, _NORMAL_DEVIATION = 0.14, 1.4527


def random_iso_levels(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a and b of ``count`` pictures, from ISO 100 to 25600 of good and bad cameras, ``(B,)``.

    Args:
        count: number of pictures.
        generator: on the device of the result.
    """
    low, high = math.log(LEAST_SHOT), math.log(MOST_SHOT)
    log_shot = low + (high - low) * torch.rand(count, generator=generator, device=generator.device)
    spread = READ_SPREAD * torch.randn(count, generator=generator, device=generator.device)
    return log_shot.exp(), (READ_SLOPE * log_shot + READ_BIAS + spread).exp()


def random_iso_noise(count: int, range_dn: float, generator: torch.Generator) -> DarkNoise:
    """Draw the noise of ``count`` pictures, see ``random_iso_levels``.

    Args:
        count: number of pictures.
        range_dn: digital numbers from black to saturation.
        generator: on the device of the result.
    """
    return dark_noise(*random_iso_levels(count, generator), range_dn)


def dark_noise(shot: Tensor, read: Tensor, range_dn: float) -> DarkNoise:
    """Return Poisson noise and normal read noise as ``add_dark_noise`` takes them.

    Args:
        shot: a of each picture, ``(B,)``.
        read: b of each picture, ``(B,)``.
        range_dn: digital numbers from black to saturation.
    """
    none = torch.zeros_like(shot)
    return DarkNoise(
        gain=shot * range_dn,
        read_scale=read.sqrt() * range_dn / _NORMAL_DEVIATION,
        shape=torch.full_like(shot, _NORMAL_SHAPE),
        row_sigma=none,
        black_error=none[:, None].expand(-1, 3),
    )
