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
        weights = torch.tensor(list(weighted.values()), dtype=torch.float32)
        return list(weighted)[int(torch.multinomial(weights, 1, generator=self.host))]

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
    rows, row_shares = _lattice(height, cell[0], dice)
    columns, column_shares = _lattice(width, cell[1], dice)
    angles = 2 * math.pi * dice.field(int(rows.max()) + 2, int(columns.max()) + 2)
    down, right = torch.sin(angles), torch.cos(angles)

    def corner(below: int, beside: int) -> Tensor:
        index = (rows + below)[:, None], (columns + beside)[None, :]
        return down[index] * (row_shares - below)[:, None] + right[index] * (column_shares - beside)

    fade_down, fade_right = _faded(row_shares)[:, None], _faded(column_shares)[None, :]
    top = torch.lerp(corner(0, 0), corner(0, 1), fade_right)
    bottom = torch.lerp(corner(1, 0), corner(1, 1), fade_right)
    return torch.lerp(top, bottom, fade_down) * math.sqrt(2)


def fractal(height: int, width: int, dice: Dice, *, cell: float, octaves: int = 3) -> Tensor:
    """Return a sum of Perlin noise of ever finer cells, each half as strong, ``(H, W)``."""
    layers = [
        perlin(height, width, dice, cell=(cell / 2**octave, cell / 2**octave)) / 2**octave
        for octave in range(octaves)
    ]
    return torch.stack(layers).sum(dim=0)


def _lattice(size: int, cell: float, dice: Dice) -> tuple[Tensor, Tensor]:
    """Return for every pixel the lattice point before it and how far it lies beyond that."""
    cells = min(size / max(cell, 1.0), _MOST_CELLS)
    # A random start, or every crop would have lattice points, where the noise is zero, at its edge.
    places = torch.arange(size, device=dice.device) * (cells / size) + dice.uniform(0, 1)
    points = places.floor()
    return points.long(), places - points


def _faded(share: Tensor) -> Tensor:
    return share**3 * (share * (share * 6 - 15) + 10)
