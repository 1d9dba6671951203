"""Encodings of light in which equal steps look about equal."""

import math

import torch
from torch import Tensor

__all__ = ["MU", "PEAK", "PU21_AT_100_NITS", "mu_law", "pu21"]

PEAK = 64.0
"""The radiance that counts as the peak of a picture: six stops above the sensor's white."""

MU = 5000.0

PU21_AT_100_NITS = 256.0
"""What PU21 makes of 100 cd/m^2, the white of an ordinary display: the peak of its PSNR."""

_PU21 = (0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166)
_PU21_OFFSET, _PU21_SCALE = 0.9099517204, 596.3148142
_PU21_RANGE = (0.005, 10_000.0)


def mu_law(radiance: Tensor) -> Tensor:
    """Return ``log(1 + mu y / 64) / log(1 + mu)`` with mu = 5000, any shape.

    Kalantari and Ramamoorthi, ACM TOG 2017, eq. 5, with 64 times white as the peak.

    Args:
        radiance: in units of white; above -0.0128.
    """
    return torch.log1p(radiance * (MU / PEAK)) / math.log1p(MU)


def pu21(luminance: Tensor) -> Tensor:
    """Return perceptually uniform values of light, any shape; 100 cd/m^2 is about 256.

    Mantiuk and Azimi, "PU21: A novel perceptually uniform encoding", PCS 2021, banding and glare.

    Args:
        luminance: in cd/m^2; clipped to 0.005 .. 10,000.
    """
    p1, p2, p3, p4, p5 = _PU21
    power = luminance.clamp(*_PU21_RANGE).pow(p4)
    return _PU21_SCALE * (((p1 + p2 * power) / (1 + p3 * power)).pow(p5) - _PU21_OFFSET)
