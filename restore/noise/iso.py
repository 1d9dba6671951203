"""Noise of a camera at normal exposure, by its ISO speed: Var(x) = a x + b, white at 1.

Medians and regression over several hundred camera models that users of RAW converters measured.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from restore.noise.eld import DarkNoise

__all__ = [
    "MEDIAN_NOISE",
    "READ_SLOPE",
    "READ_SPREAD",
    "dark_noise",
    "median_noise",
    "random_iso_levels",
    "random_iso_noise",
    "usual_read",
]

MEDIAN_NOISE: Mapping[float, tuple[float, float]] = {
    100: (3.2e-6, 2.8e-9),
    400: (9.4e-6, 1.6e-8),
    1600: (3.6e-5, 1.1e-7),
    3200: (6.7e-5, 2.7e-7),
    6400: (1.2e-4, 5.7e-7),
    12800: (2.3e-4, 1.3e-6),
    25600: (3.4e-4, 2.1e-6),
}
"""ISO speed to the medians of a and b."""

# From the best of ISO 100 to the worst of ISO 25600.
_LEAST_SHOT, _MOST_SHOT = 5e-7, 1e-3
READ_SLOPE, READ_SPREAD = 1.239, 1.07
"""ln b = slope ln a + bias +- spread: a line through the profiles of 433 camera models."""

_READ_BIAS = -3.27

# The lambda with which Tukey's distribution is nearly normal, and its standard deviation there.
_NORMAL_SHAPE, _NORMAL_DEVIATION = 0.14, 1.4527


def median_noise(iso: float) -> tuple[float, float]:
    """Return a and b at an ISO speed from 100 to 25600, their logarithms interpolated."""
    speeds = np.log(np.array(list(MEDIAN_NOISE)))
    levels = np.log(np.array(list(MEDIAN_NOISE.values())))
    shot, read = (math.exp(np.interp(math.log(iso), speeds, level)) for level in levels.T)
    return shot, read


def usual_read(shot: float) -> float:
    """Return the b that cameras with this a have on average."""
    return math.exp(READ_SLOPE * math.log(shot) + _READ_BIAS)


def random_iso_levels(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a and b of ``count`` pictures, from ISO 100 to 25600 of good and bad cameras, ``(B,)``.

    Args:
        count: number of pictures.
        generator: on the device of the result.
    """
    low, high = math.log(_LEAST_SHOT), math.log(_MOST_SHOT)
    log_shot = low + (high - low) * torch.rand(count, generator=generator, device=generator.device)
    spread = READ_SPREAD * torch.randn(count, generator=generator, device=generator.device)
    return log_shot.exp(), (READ_SLOPE * log_shot + _READ_BIAS + spread).exp()


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
