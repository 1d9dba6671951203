"""Noise of a camera at normal exposure, by its ISO speed: Var(x) = a x + b, white at 1.

Medians and regression over several hundred camera models that users of RAW converters measured.
"""

import math
from collections.abc import Mapping

import numpy as np

__all__ = [
    "LEAST_SHOT",
    "MEDIAN_NOISE",
    "MOST_SHOT",
    "READ_BIAS",
    "READ_SLOPE",
    "READ_SPREAD",
    "median_noise",
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
LEAST_SHOT, MOST_SHOT = 5e-7, 1e-3
READ_SLOPE, READ_BIAS, READ_SPREAD = 1.239, -3.27, 1.07
"""ln b = slope ln a + bias +- spread: a line through the profiles of 433 camera models."""


def median_noise(iso: float) -> tuple[float, float]:
    """Return a and b at an ISO speed from 100 to 25600, their logarithms interpolated."""
    speeds = np.log(np.array(list(MEDIAN_NOISE)))
    levels = np.log(np.array(list(MEDIAN_NOISE.values())))
    shot, read = (math.exp(np.interp(math.log(iso), speeds, level)) for level in levels.T)
    return shot, read


def usual_read(shot: float) -> float:
    """Return the b that cameras with this a have on average."""
    return math.exp(READ_SLOPE * math.log(shot) + READ_BIAS)
