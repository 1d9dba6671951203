"""The appearance of synthetic defects: pictures that are blended in through their shape."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.anomaly.perlin import Dice, fractal, perlin

__all__ = [
    "Site", "dark", "displaced", "grafted", "grown", "light", "material", "relief", "shaded",
    "smeared", "streaked", "texture", "tinged", "transplanted", "warped",
]  # fmt: skip


_PLACES = 4
"""Places of which the most different one gives its level."""
_MOST_GROWTH_PX = 6


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


def tinged(site: Site, dice: Dice) -> Tensor:
    """Return the part under slightly other light."""
    gain = dice.spread(0.6, 0.93) if dice.chance(0.5) else dice.spread(1.07, 1.6)
    return site.level * gain + (site.part - site.level) * dice.spread(0.6, 1.7)


def material(site: Site, dice: Dice) -> Tensor:
    """Return the level of another place of the part: too much or too little of its material."""
    _, height, width = site.part.shape
    levels = []
    for _ in range(1 if dice.chance(0.25) else _PLACES):
        y, x = dice.below(height), dice.below(width)
        around = site.part[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        levels.append(around.mean(dim=(1, 2), keepdim=True))
    differences = [float((level - site.level).abs().sum()) for level in levels]
    level = levels[differences.index(max(differences))]
    if dice.chance(0.5):
        return level.expand_as(site.part)
    return level + (site.part - site.level) * dice.uniform(0, 0.5)


def grown(site: Site, dice: Dice) -> Tensor:
    """Return the part with its bright or its dark places grown by some pixels."""
    sign = 1 if dice.chance(0.5) else -1
    grown = sign * site.part[None]
    for _ in range(1 + dice.below(_MOST_GROWTH_PX)):
        # A cross of pixels: corners grow less than with a square.
        grown = torch.maximum(
            F.max_pool2d(grown, (3, 1), stride=1, padding=(1, 0)),
            F.max_pool2d(grown, (1, 3), stride=1, padding=(0, 1)),
        )
    return sign * grown[0]


def warped(site: Site, dice: Dice) -> Tensor:
    """Return the part bent: every place shows one some pixels away."""
    _, height, width = site.part.shape
    cell = dice.spread(6, 60)
    reach = dice.spread(1.5, min(12.0, cell))
    rows = torch.arange(height, device=dice.device)[:, None]
    columns = torch.arange(width, device=dice.device)[None, :]
    moved = [reach * perlin(height, width, dice, cell=(cell, cell)) for _ in range(2)]
    if dice.chance(0.5):
        # Nearest neighbours: interpolated edges would give away where a part with sharp ones bends.
        y = (rows + moved[0]).round().long().clamp(0, height - 1)
        x = (columns + moved[1]).round().long().clamp(0, width - 1)
        return site.part[:, y, x]
    grid = torch.stack(
        [
            (2 * (columns + moved[1]) + 1) / width - 1,
            (2 * (rows + moved[0]) + 1) / height - 1,
        ],
        dim=-1,
    )
    return F.grid_sample(
        site.part[None], grid[None], padding_mode="reflection", align_corners=False
    )[0]


def grafted(site: Site, dice: Dice) -> Tensor:
    """Return another part, or another place of this one, blended in without a seam.

    Poisson blending (Perez et al., SIGGRAPH 2003) keeps the gradients of the graft and fades the
    difference at its border inwards. The membrane that does so is approximated by a convolution
    (Farbman et al., "Convolution Pyramids", SIGGRAPH Asia 2011), exact enough for a defect.
    """
    _, height, width = site.part.shape
    graft = site.other
    if dice.chance(0.5):
        shifts = (round(height * dice.uniform(0.1, 0.9)), round(width * dice.uniform(0.1, 0.9)))
        graft = torch.roll(site.part, shifts, (1, 2))
    graft = _turned(graft, dice)
    inside = (site.shape > 0).float()[None]
    border = F.max_pool2d(inside, 5, stride=1, padding=2) - inside
    return graft + _membrane(site.part - graft, border)


def _membrane(values: Tensor, border: Tensor) -> Tensor:
    """Return values ``(C, H, W)`` where ``border`` ``(1, H, W)`` is 1, interpolated elsewhere."""
    height, width = values.shape[1:]
    size = (2 * height, 2 * width)
    down = torch.arange(size[0], device=values.device)
    across = torch.arange(size[1], device=values.device)
    squares = [
        torch.minimum(place, side - place).square()
        for place, side in ((down, size[0]), (across, size[1]))
    ]
    kernel = (1.0 + squares[0][:, None] + squares[1]) ** -1.5
    spectrum = torch.fft.rfft2(kernel)
    stacked = torch.cat([values * border, border])
    spread = torch.fft.irfft2(torch.fft.rfft2(stacked, s=size) * spectrum, s=size)
    inner: Tensor = spread[:, :height, :width]
    return inner[:-1] / inner[-1:].clamp_min(1e-6)


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
    smeared = site.part[None]
    for axis, window in ((1, (2 * reach + 1, 1)), (2, (1, 2 * reach + 1))):
        if sides != axis:
            padding = (window[0] // 2, window[1] // 2)
            smeared = F.avg_pool2d(
                smeared, window, stride=1, padding=padding, count_include_pad=False
            )
    return smeared[0]


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
