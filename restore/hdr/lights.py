"""Photographs made HDR: whites expanded, and lights added."""

import math

import torch
from torch import Tensor

from restore.image.colour import SRGB_EXPONENT, SRGB_KNEE, SRGB_OFFSET, SRGB_SLOPE

__all__ = ["brightened", "linearised", "uniform"]

_LARGEST_PEAK = 32.0
_MOST_LIGHTS = 5
_LIGHT_STOPS = (0.0, 7.0)
_SMALL, _LARGE = (0.004, 0.06), (0.05, 0.16)
_SHARE_OF_LARGE, _SHARE_OF_LAMPS, _SHARE_OF_WINDOWS = 0.25, 0.3, 0.3
_MOST_FILAMENTS = 8
_FILAMENT_PX = (0.7, 2.5)


def linearised(photograph: Tensor) -> Tensor:
    """Return light of the same shape for sRGB samples in [0, 1]."""
    low = photograph / SRGB_SLOPE
    curve = ((photograph + SRGB_OFFSET) / (1 + SRGB_OFFSET)).pow(SRGB_EXPONENT)
    return torch.where(photograph <= SRGB_SLOPE * SRGB_KNEE, low, curve)


def brightened(photograph: Tensor, rng: torch.Generator) -> Tensor:
    """Return radiance: the photograph linearised, its whites expanded, and a few lights added.

    The inverse tone curve ``x / (1 - a v^b)``, with v the brightest channel, leaves shadows and
    middle tones as they are and raises white to a random peak of up to 32 (a family that holds
    the inverse of Reinhard's operator, SIGGRAPH 2002, at b = 1). Lights are of up to seven stops
    above white, nearly white or coloured: ellipses and windows, small and large, with soft or hard
    edges, and lamps whose filaments shine through a glow.

    Args:
        photograph: sRGB ``(3, H, W)`` in [0, 1].
        rng: on the host.

    Returns:
        ``(3, H, W)``, white of the photograph at about 1.
    """
    linear = linearised(photograph)
    peak = math.exp(uniform(rng, 0.0, math.log(_LARGEST_PEAK)))
    power = uniform(rng, 1.0, 8.0)
    value = linear.amax(dim=0, keepdim=True)
    radiance = linear / (1 - (1 - 1 / peak) * value.pow(power))
    for _ in range(int(torch.randint(_MOST_LIGHTS + 1, (), generator=rng))):
        radiance = radiance + _light(radiance.shape[1], radiance.shape[2], rng)
    return radiance


def _light(height: int, width: int, rng: torch.Generator) -> Tensor:
    """Return one light on a dark ground, ``(3, height, width)``."""
    side = min(height, width)
    place = (uniform(rng) * height, uniform(rng) * width)
    sizes = _LARGE if uniform(rng) < _SHARE_OF_LARGE else _SMALL
    low, high = (math.log(radius * side) for radius in sizes)
    radii = (math.exp(uniform(rng, low, high)), math.exp(uniform(rng, low, high)))
    colour = 1 - uniform(rng) ** 2 * torch.rand((3, 1, 1), generator=rng)
    stops = uniform(rng, *_LIGHT_STOPS)
    kind = uniform(rng)
    if kind < _SHARE_OF_LAMPS:
        glow = _spot(height, width, place, radii, 2.0, rng) * 2 ** (stops - uniform(rng, 1.0, 5.0))
        return colour * (glow + 2**stops * _filaments(height, width, place, max(radii), rng))
    corners = 8.0 if kind < _SHARE_OF_LAMPS + _SHARE_OF_WINDOWS else 2.0
    return 2**stops * colour * _spot(height, width, place, radii, corners, rng)


def _spot(
    height: int,
    width: int,
    place: tuple[float, float],
    radii: tuple[float, float],
    corners: float,
    rng: torch.Generator,
) -> Tensor:
    """Return a spot of height 1 with soft or hard edges, ``(height, width)``.

    Args:
        height: in pixels.
        width: in pixels.
        place: row and column of its middle.
        radii: half axes in pixels.
        corners: exponent of its outline: 2 of an ellipse, 8 nearly of a rectangle.
        rng: on the host.
    """
    angle = uniform(rng, 0, math.pi)
    rows = torch.arange(height, dtype=torch.float32)[:, None] - place[0]
    columns = torch.arange(width, dtype=torch.float32) - place[1]
    along = (rows * math.cos(angle) + columns * math.sin(angle)) / radii[0]
    across = (columns * math.cos(angle) - rows * math.sin(angle)) / radii[1]
    distance = (along.abs().pow(corners) + across.abs().pow(corners)).pow(2 / corners)
    hardness = math.exp(uniform(rng, 0.0, math.log(8.0)))
    return torch.exp(-distance.pow(hardness))


def _filaments(
    height: int, width: int, place: tuple[float, float], reach: float, rng: torch.Generator
) -> Tensor:
    """Return thin spots side by side or scattered within ``reach`` pixels of ``place``."""
    shape = torch.zeros(height, width)
    for _ in range(1 + int(torch.randint(_MOST_FILAMENTS, (), generator=rng))):
        row, column = (middle + uniform(rng, -reach, reach) for middle in place)
        radii = (uniform(rng, 0.1, 1.0) * reach, uniform(rng, *_FILAMENT_PX))
        shape = torch.maximum(shape, _spot(height, width, (row, column), radii, 2.0, rng))
    return shape


def uniform(rng: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """Return a random number from ``low`` to ``high``."""
    return low + (high - low) * float(torch.rand((), generator=rng))
