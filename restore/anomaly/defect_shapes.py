"""The shapes of synthetic defects, as signed distances in pixels, positive inside."""

import math

import torch
from torch import Tensor

from restore.anomaly.perlin import Dice, fractal, perlin

__all__ = ["area", "bar", "blob", "cloud", "crack", "line", "piece", "spot", "stain"]

_JOINTS = 10
_SMALLEST_SPOT_PX, _LARGEST_SPOT_PX = 2.2, 14.0
_LARGEST_BLOB = 0.35
_FINEST_BEND_PX = 4.0


def spot(height: int, width: int, dice: Dice) -> Tensor:
    """Return a speck: a hole, a pore, a grain of dirt."""
    radius = dice.spread(_SMALLEST_SPOT_PX, _LARGEST_SPOT_PX)
    return _blob(height, width, dice, radius, roughness=dice.uniform(0, 0.8))


def blob(height: int, width: int, dice: Dice) -> Tensor:
    """Return something larger with an irregular outline: a stain, a chip, a missing piece."""
    largest = max(_LARGEST_SPOT_PX + 1, _LARGEST_BLOB * min(height, width))
    radius = dice.spread(_LARGEST_SPOT_PX / 2, largest)
    return _blob(height, width, dice, radius, roughness=dice.uniform(0, 1.5))


def line(height: int, width: int, dice: Dice) -> Tensor:
    """Return a curved thin line: a crack, a scratch, a hair."""
    length = dice.spread(15, 1.2 * max(height, width))
    step = length / _JOINTS
    heading, bend = dice.angle(), dice.uniform(-1, 1) * dice.uniform(0, 2) / _JOINTS
    jitter = dice.uniform(0, 0.5)
    y, x = dice.uniform(0, height), dice.uniform(0, width)
    joints = [(y, x)]
    for _ in range(_JOINTS):
        heading += bend + dice.uniform(-jitter, jitter)
        y, x = y + step * math.sin(heading), x + step * math.cos(heading)
        joints.append((y, x))
    distance = _distance_to(torch.tensor(joints, device=dice.device), height, width)
    thickness = dice.spread(0.6, 2.5)
    # Cracks are of uneven width and fade out here and there.
    uneven = perlin(height, width, dice, cell=(8 * thickness + 8,) * 2)
    return thickness * (1 + dice.uniform(0, 1.5) * uneven) - distance


def crack(height: int, width: int, dice: Dice) -> Tensor:
    """Return a long thin line whose course is a fractal."""
    length = dice.spread(30, max(31.0, 1.2 * max(height, width)))
    jaggedness, cell = dice.spread(0.1, 0.6), length / 2
    course = torch.zeros(int(length) + 2, device=dice.device)
    while cell >= _FINEST_BEND_PX:
        course += jaggedness * cell * perlin(1, len(course), dice, cell=(1, cell))[0]
        cell /= 2
    along, across = _turned_grid(height, width, dice)
    place = (along + length / 2).clamp(0, length)
    index = place.long()
    slope = course[index + 1] - course[index]
    beside = across - course[index] - slope * (place - index)
    beyond = (along.abs() - length / 2).clamp_min(0)
    distance = torch.sqrt(beside.square() / (1 + slope.square()) + beyond.square())
    uneven = perlin(height, width, dice, cell=(12, 12))
    return dice.spread(0.4, 1.5) * (1 + dice.uniform(0, 1.5) * uneven) - distance


def bar(height: int, width: int, dice: Dice) -> Tensor:
    """Return a short thick line with round ends: a bridge, a gap, a burr."""
    along, across = _turned_grid(height, width, dice)
    length, thickness = dice.spread(4, 80), dice.spread(1.2, 12)
    outline = fractal(height, width, dice, cell=max(3.0, 2 * thickness), octaves=2)
    rough = 1 + dice.uniform(0, 0.6) * outline
    return thickness * rough - torch.hypot((along.abs() - length / 2).clamp_min(0), across)


def piece(height: int, width: int, dice: Dice) -> Tensor:
    """Return a shape in which there may be too much or too little of a part's material."""
    return dice.choice({spot: 4, bar: 4, blob: 1, line: 1, crack: 1})(height, width, dice)


def stain(height: int, width: int, dice: Dice) -> Tensor:
    """Return a large region, rounded or with nearly straight edges."""
    return dice.choice({blob: 1, area: 1.5})(height, width, dice)


def area(height: int, width: int, dice: Dice) -> Tensor:
    """Return a large region with nearly straight edges: a band, a corner, a quadrangle."""
    rows, columns = _grid(height, width, dice)
    y, x = dice.uniform(0, height), dice.uniform(0, width)
    heading = dice.angle()
    inside = torch.full((height, width), math.inf, device=dice.device)
    for _ in range(1 + dice.below(4)):
        reach = dice.uniform(0.05, 0.5) * max(height, width)
        across = (rows - y) * math.sin(heading) + (columns - x) * math.cos(heading)
        inside = torch.minimum(inside, reach - across)
        heading += math.pi / 2 * (1 + dice.below(2)) + dice.uniform(-0.3, 0.3)
    wobble = dice.spread(0.3, 8)
    return inside + wobble * perlin(height, width, dice, cell=(dice.spread(8, 100),) * 2)


def cloud(height: int, width: int, dice: Dice) -> Tensor:
    """Return scattered regions: Perlin noise above a threshold, as DRAEM makes them."""
    cell = (dice.spread(6, height), dice.spread(6, width))
    noise = perlin(height, width, dice, cell=cell)
    return (noise.abs() - dice.uniform(0.25, 0.5)) * min(cell)


def _blob(height: int, width: int, dice: Dice, radius: float, *, roughness: float) -> Tensor:
    along, across = _turned_grid(height, width, dice)
    narrowing = dice.uniform(1, 2.5)
    distance = torch.hypot(along / math.sqrt(narrowing), across * math.sqrt(narrowing))
    outline = fractal(height, width, dice, cell=max(3.0, radius * dice.uniform(0.7, 2)), octaves=2)
    return radius * (1 + roughness * outline) - distance


def _turned_grid(height: int, width: int, dice: Dice) -> tuple[Tensor, Tensor]:
    """Return each pixel's coordinates along and across a random direction from a random place."""
    rows, columns = _grid(height, width, dice)
    y, x = dice.uniform(0, height), dice.uniform(0, width)
    heading = dice.angle()
    along = (rows - y) * math.sin(heading) + (columns - x) * math.cos(heading)
    across = (rows - y) * math.cos(heading) - (columns - x) * math.sin(heading)
    return along, across


def _grid(height: int, width: int, dice: Dice) -> tuple[Tensor, Tensor]:
    rows = torch.arange(height, device=dice.device, dtype=torch.float32)[:, None]
    columns = torch.arange(width, device=dice.device, dtype=torch.float32)[None, :]
    return rows, columns


def _distance_to(joints: Tensor, height: int, width: int) -> Tensor:
    """Return every pixel's distance to the polyline through ``joints`` ``(N, 2)``."""
    rows = torch.arange(height, device=joints.device, dtype=torch.float32)[None, :, None]
    columns = torch.arange(width, device=joints.device, dtype=torch.float32)[None, None, :]
    starts, steps = joints[:-1, :, None, None], (joints[1:] - joints[:-1])[:, :, None, None]
    down, right = rows - starts[:, 0], columns - starts[:, 1]
    lengths = steps.square().sum(dim=1).clamp_min(1e-6)
    share = ((down * steps[:, 0] + right * steps[:, 1]) / lengths).clamp(0, 1)
    squares = (down - share * steps[:, 0]).square() + (right - share * steps[:, 1]).square()
    return squares.amin(dim=0).sqrt()
