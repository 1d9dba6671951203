"""Perlin noise, and the random draws of synthetic defects."""

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["Dice", "fractal", "perlin"]

_MOST_CELLS = 512


T = TypeVar("T")


@dataclass(frozen=True)
class Dice:
    """The random draws of synthetic defects.

    Attributes:
        host: generator on the CPU, for choices.
        local: generator on the device, for fields.
    """

    host: torch.Generator
    local: torch.Generator

    @property
    def device(self) -> torch.device:
        """Device of the fields."""
        return self.local.device

    def uniform(self, low: float, high: float) -> float:
        """Return a number between ``low`` and ``high``."""
        return low + (high - low) * float(torch.rand((), generator=self.host))

    def spread(self, low: float, high: float) -> float:
        """Return a log-uniform number between ``low`` and ``high``, both positive."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def chance(self, probability: float) -> bool:
        """Return True with ``probability``."""
        return self.uniform(0, 1) < probability

    def below(self, count: int) -> int:
        """Return a whole number from 0 to ``count`` - 1."""
        return int(torch.randint(count, (), generator=self.host))

    def angle(self) -> float:
        """Return a direction in radians; half of them lie along the picture's sides."""
        if self.chance(0.5):
            return self.below(4) * math.pi / 2 + self.uniform(-0.1, 0.1)
        return self.uniform(0, 2 * math.pi)

    def choice(self, weighted: dict[T, float]) -> T:
        """Return a key with a probability proportional to its value."""
        drawn = self.uniform(0, sum(weighted.values()))
        for key, weight in weighted.items():
            drawn -= weight
            if drawn < 0:
                return key
        return next(reversed(weighted))

    def normal(self, *shape: int) -> Tensor:
        """Return a field of normal values."""
        return torch.randn(shape, generator=self.local, device=self.device)

    def field(self, *shape: int) -> Tensor:
        """Return a field of values uniform in [0, 1]."""
        return torch.rand(shape, generator=self.local, device=self.device)


def perlin(height: int, width: int, dice: Dice, *, cell: tuple[float, float]) -> Tensor:
    """Return gradient noise (Perlin, SIGGRAPH 2002).

    Args:
        height: Height in pixels.
        width: Width in pixels.
        dice: Source of randomness.
        cell: Height and width of a bump in pixels.

    Returns:
        ``(height, width)``, mean 0, within about [-1, 1].
    """
    rows, columns = (_lattice(*side, dice) for side in ((height, cell[0]), (width, cell[1])))
    angles = 2 * math.pi * dice.field(rows.points, columns.points)
    # The gradients' products with the offsets, interpolated: separable, hence sums of products of
    # matrices, which take a tenth of the time of looking up the corners of every pixel.
    down = rows.slopes @ torch.sin(angles) @ columns.weights.T
    right = rows.weights @ torch.cos(angles) @ columns.slopes.T
    return (down + right) * math.sqrt(2)


def fractal(height: int, width: int, dice: Dice, *, cell: float, octaves: int = 3) -> Tensor:
    """Return a sum of Perlin noise of ever finer cells, each half as strong, ``(H, W)``."""
    layers = [
        perlin(height, width, dice, cell=(cell / 2**octave, cell / 2**octave)) / 2**octave
        for octave in range(octaves)
    ]
    return torch.stack(layers).sum(dim=0)


@dataclass(frozen=True)
class _Lattice:
    """The lattice points along a side.

    Attributes:
        weights: Weight of each point at each pixel, ``(size, points)``.
        slopes: The same times the pixel's offset from the point, in cells.
    """

    weights: Tensor
    slopes: Tensor

    @property
    def points(self) -> int:
        """Number of points."""
        return self.weights.shape[1]


def _lattice(size: int, cell: float, dice: Dice) -> _Lattice:
    cells = min(size / max(cell, 1.0), _MOST_CELLS)
    # A random start, or every crop would have lattice points, where the noise is zero, at its edge.
    places = torch.arange(size, device=dice.device) * (cells / size) + dice.uniform(0, 1)
    offsets = places[:, None] - torch.arange(int(places[-1]) + 2, device=dice.device)
    weights = _faded((1 - offsets.abs()).clamp_min(0))
    return _Lattice(weights, weights * offsets)


def _faded(share: Tensor) -> Tensor:
    return share**3 * (share * (share * 6 - 15) + 10)
