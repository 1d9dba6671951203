"""Ordinary photographs made scenes of high dynamic range."""

import math

import torch
from torch import Tensor

from restore.image.transfer import SRGB_EXPONENT, SRGB_KNEE, SRGB_OFFSET, SRGB_SLOPE

__all__ = ["brightened"]

_LARGEST_PEAK = 32.0
_MOST_LIGHTS = 5
_LIGHT_STOPS = (0.0, 7.0)
_LIGHT_RADIUS = (0.004, 0.06)


def brightened(photograph: Tensor, rng: torch.Generator) -> Tensor:
    """Return radiance: the photograph linearised, its whites expanded, and a few lights added.

    The inverse tone curve ``x / (1 - a v^b)``, with v the brightest channel, leaves shadows and
    middle tones as they are and raises white to a random peak of up to 32 (a family that holds
    the inverse of Reinhard's operator, SIGGRAPH 2002, at b = 1). Lights are ellipses with soft or
    hard edges of up to seven stops above white, nearly white or coloured.

    Args:
        photograph: sRGB ``(3, H, W)`` in [0, 1].
        rng: on the host.

    Returns:
        ``(3, H, W)``, white of the photograph at about 1.
    """
    low = photograph / SRGB_SLOPE
    curve = ((photograph + SRGB_OFFSET) / (1 + SRGB_OFFSET)).pow(SRGB_EXPONENT)
    linear = torch.where(photograph <= SRGB_SLOPE * SRGB_KNEE, low, curve)
    peak = math.exp(_uniform(rng, 0.0, math.log(_LARGEST_PEAK)))
    power = _uniform(rng, 1.0, 8.0)
    value = linear.amax(dim=0, keepdim=True)
    radiance = linear / (1 - (1 - 1 / peak) * value.pow(power))
    for _ in range(int(torch.randint(_MOST_LIGHTS + 1, (), generator=rng))):
        radiance = radiance + _light(radiance.shape[1], radiance.shape[2], rng)
    return radiance


def _light(height: int, width: int, rng: torch.Generator) -> Tensor:
    side = min(height, width)
    y, x = _uniform(rng) * height, _uniform(rng) * width
    low, high = (math.log(radius * side) for radius in _LIGHT_RADIUS)
    radii = [math.exp(_uniform(rng, low, high)) for _ in range(2)]
    angle = _uniform(rng, 0, math.pi)
    rows = torch.arange(height, dtype=torch.float32)[:, None] - y
    columns = torch.arange(width, dtype=torch.float32) - x
    along = (rows * math.cos(angle) + columns * math.sin(angle)) / radii[0]
    across = (columns * math.cos(angle) - rows * math.sin(angle)) / radii[1]
    distance = along.square() + across.square()
    hardness = math.exp(_uniform(rng, 0.0, math.log(8.0)))
    shape = torch.exp(-distance.pow(hardness))
    colour = 1 - _uniform(rng, 0.0, 0.7) * torch.rand((3, 1, 1), generator=rng)
    return 2 ** _uniform(rng, *_LIGHT_STOPS) * colour * shape


def _uniform(rng: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))
