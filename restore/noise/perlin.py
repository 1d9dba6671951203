"""Perlin noise: smooth randomness of a chosen size."""

import math

import torch
from torch import Tensor

from restore.noise.dice import Dice

__all__ = ["fractal", "perlin"]

_MOST_CELLS = 512


def perlin(height: int, width: int, dice: Dice, *, cell: tuple[float, float]) -> Tensor:
    """Return gradient noise (Perlin, SIGGRAPH 2002).

    Args:
        height: in pixels.
        width: in pixels.
        dice: what is drawn with.
        cell: height and width of a bump in pixels.

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
