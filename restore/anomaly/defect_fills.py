"""The appearance of synthetic defects: pictures that are blended in through their shape."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.anomaly.perlin import Dice, fractal, perlin

__all__ = [
    "Site", "dark", "displaced", "light", "relief", "shaded", "smeared", "streaked", "texture",
    "transplanted",
]  # fmt: skip


@dataclass(frozen=True)
class Site:
    """The place of a synthetic defect.

    Attributes:
        part: the good crop ``(C, H, W)`` in [0, 1].
        other: a crop of another good part, of the same shape.
        shape: opacity of the defect ``(H, W)`` in [0, 1].
        level: mean of the part under the defect, ``(C, 1, 1)``.
    """

    part: Tensor
    other: Tensor
    shape: Tensor
    level: Tensor


def dark(site: Site, dice: Dice) -> Tensor:
    """Return darkness: a hole, a crack, a missing piece."""
    return _flat(site, dice, site.level * dice.uniform(0, 0.75))


def light(site: Site, dice: Dice) -> Tensor:
    """Return brightness: a scratch, a bare spot."""
    return _flat(site, dice, site.level + (1 - site.level) * dice.uniform(0.15, 0.9))


def relief(site: Site, dice: Dice) -> Tensor:
    """Return the part with the shape embossed: a dent, a pit, a chip, lit from one side."""
    direction, depth = dice.uniform(0, 2 * math.pi), dice.spread(0.15, 0.8)
    reach = dice.spread(1, 4)
    steps = (round(reach * math.sin(direction)), round(reach * math.cos(direction)))
    slope = torch.roll(site.shape, steps, (0, 1)) - torch.roll(
        site.shape, (-steps[0], -steps[1]), (0, 1)
    )
    # Divided by the opacity: the slope lies at the edge of the shape, where it is transparent.
    return site.part * dice.uniform(0.5, 1.05) + depth * slope / site.shape.clamp_min(0.25)


def shaded(site: Site, dice: Dice) -> Tensor:
    """Return the part under other light: brighter or darker, flatter or harsher."""
    gain = dice.spread(0.4, 0.85) if dice.chance(0.5) else dice.spread(1.15, 2)
    return site.level * gain + (site.part - site.level) * dice.spread(0.3, 3)


def streaked(site: Site, dice: Dice) -> Tensor:
    """Return the part with streaks along one of its sides: other grinding, other grain."""
    _, height, width = site.part.shape
    length, breadth = dice.spread(20, 400), dice.spread(1, 6)
    cell = (length, breadth) if dice.chance(0.5) else (breadth, length)
    streaks = perlin(height, width, dice, cell=cell) * dice.spread(0.05, 0.4)
    return site.part * dice.uniform(0.7, 1.3) + streaks


def smeared(site: Site, dice: Dice) -> Tensor:
    """Return the part blurred, equally in all directions or along one of its sides."""
    reach, sides = 1 + dice.below(10), dice.below(3)
    high, wide = (reach if sides != 1 else 0), (reach if sides != 2 else 0)
    return F.avg_pool2d(
        site.part[None],
        (2 * high + 1, 2 * wide + 1),
        stride=1,
        padding=(high, wide),
        count_include_pad=False,
    )[0]


def texture(site: Site, dice: Dice) -> Tensor:
    """Return foreign matter: synthetic texture of any colour and scale."""
    channels, height, width = site.part.shape
    scale = dice.spread(2, 60)
    if dice.chance(0.5):
        pattern = fractal(height, width, dice, cell=scale)
    else:
        cell = (scale, scale * dice.spread(0.1, 10))
        pattern = torch.sin(perlin(height, width, dice, cell=cell) * dice.uniform(3, 20))
    tint = dice.field(channels, 1, 1) if dice.chance(0.5) else dice.field(1, 1, 1)
    return tint + pattern * dice.spread(0.05, 0.4) * (1 + 0.3 * dice.normal(channels, 1, 1))


def transplanted(site: Site, dice: Dice) -> Tensor:
    """Return another part, turned, and usually matched to the brightness of this one."""
    return _as_bright(_turned(site.other, dice), site, dice)


def displaced(site: Site, dice: Dice) -> Tensor:
    """Return another place of the same part, turned."""
    _, height, width = site.part.shape
    shifts = (round(height * dice.uniform(0.15, 0.85)), round(width * dice.uniform(0.15, 0.85)))
    return _as_bright(_turned(torch.roll(site.part, shifts, (1, 2)), dice), site, dice)


def _flat(site: Site, dice: Dice, level: Tensor) -> Tensor:
    _, height, width = site.part.shape
    mottled = perlin(height, width, dice, cell=(dice.spread(2, 12),) * 2)
    grain = (site.part - site.level) * dice.uniform(0, 0.7)
    return level + dice.uniform(0, 0.12) * mottled + grain


def _turned(crop: Tensor, dice: Dice) -> Tensor:
    turned = crop.flip(1) if dice.chance(0.5) else crop
    if crop.shape[1] == crop.shape[2] and dice.chance(0.5):
        turned = turned.transpose(1, 2)
    factor = dice.choice({1: 0.6, 2: 0.2, 3: 0.1, 4: 0.1})
    if factor > 1:
        _, height, width = crop.shape
        piece = turned[:, : -(-height // factor), : -(-width // factor)]
        larger = F.interpolate(piece[None], scale_factor=float(factor), mode="bilinear")[0]
        turned = larger[:, :height, :width]
    return turned


def _as_bright(crop: Tensor, site: Site, dice: Dice) -> Tensor:
    if dice.chance(0.3):
        return crop
    weights = site.shape / site.shape.sum().clamp_min(1e-3)
    level = (crop * weights).sum(dim=(1, 2), keepdim=True)
    return crop + (site.level - level) + dice.uniform(-0.1, 0.1)
