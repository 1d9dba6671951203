"""The shapes of synthetic defects, as signed distances in pixels, positive inside."""

import math

import torch
from torch import Tensor

from restore.anomaly.perlin import Dice, fractal, perlin

__all__ = ["area", "blob", "cloud", "line", "spot"]

_JOINTS = 10
_SMALLEST_SPOT_PX, _LARGEST_SPOT_PX = 2.2, 14.0
_LARGEST_BLOB = 0.35


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
    rows, columns = _grid(height, width, dice)
    y, x = dice.uniform(0, height), dice.uniform(0, width)
    heading, narrowing = dice.uniform(0, math.pi), dice.uniform(1, 2.5)
    along = (rows - y) * math.sin(heading) + (columns - x) * math.cos(heading)
    across = (rows - y) * math.cos(heading) - (columns - x) * math.sin(heading)
    distance = torch.hypot(along / math.sqrt(narrowing), across * math.sqrt(narrowing))
    outline = fractal(height, width, dice, cell=max(3.0, radius * dice.uniform(0.7, 2)), octaves=2)
    return radius * (1 + roughness * outline) - distance


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
    return torch.hypot(down - share * steps[:, 0], right - share * steps[:, 1]).amin(dim=0)
