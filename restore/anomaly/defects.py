"""Synthetic defects on pictures of good parts, for networks that never see a real one.

Perlin-masked textures as in DRAEM (Zavrtanik et al., ICCV 2021), pieces of the parts themselves
(CutPaste, Li et al., CVPR 2021; NSA, Schlueter et al., ECCV 2022), and what inspectors look for:
cracks, pores, chips, stains, dents, other light and other grain.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.anomaly import defect_fills as fills
from restore.anomaly import defect_shapes as shapes
from restore.anomaly.defect_fills import Site
from restore.anomaly.perlin import Dice

__all__ = ["KINDS", "Defective", "make_defect", "with_defects"]

Shape = Callable[[int, int, Dice], Tensor]
Fill = Callable[[Site, Dice], Tensor]

_LEAST_OPACITY = 0.3
_LEAST_PIXELS = 10
_LEAST_SEEN = 0.3
"""Share of a defect's pixels, or of those that it changes, that must look different."""
_LARGEST_SHARE = 0.5
_LEAST_STEPS, _LEAST_STEPS_LARGE = 2.0, 0.5
_USUAL = 0.9
"""Quantile of the part's own differences that a defect must exceed, ``_LEAST_STEPS`` times."""
_MOST_ABOVE_CONTRAST = 8.0
"""Above so many times the usual contrast, that quantile tells of a part's edges, not its grain."""
_SAMPLED_PX = 3
_LEAST_VARIATION = 1 / 255
_GLANCE_PX, _APART_PX = 5, 10
_TRIES = 8


@dataclass(frozen=True)
class DefectKind:
    """A kind of defect: its shape, and the fills that it is drawn with.

    Attributes:
        shape: function that returns the signed distance in pixels.
        looks: fills with their relative probabilities.
        soft: half of the largest width in pixels over which its edge may fade.
        sharp: smallest such width.
        is_opaque: whether nothing of the part shows through.
        is_trimmed: whether the defect is only where its shape changes the part, as where a bridge
            of copper crosses what is copper already.
        faintness: factor on how much it must differ from the part.
        share: how often it is made, relative to the others.
    """

    shape: Shape
    looks: Mapping[Fill, float]
    soft: float = 2.0
    sharp: float = 0.5
    is_opaque: bool = False
    is_trimmed: bool = False
    faintness: float = 1.0
    share: float = 1.0


KINDS: Mapping[str, DefectKind] = {
    "spot": DefectKind(
        shapes.spot,
        {fills.dark: 5, fills.light: 1.5, fills.relief: 2.5, fills.texture: 1},
    ),
    "line": DefectKind(
        shapes.line,
        {fills.dark: 6, fills.light: 2, fills.relief: 1},
        soft=1.0,
    ),
    "blob": DefectKind(
        shapes.blob,
        {
            fills.dark: 3, fills.light: 1, fills.relief: 3, fills.texture: 1.5,
            fills.transplanted: 1.5, fills.displaced: 1.5, fills.shaded: 1.5, fills.smeared: 1,
        },
        soft=4.0,
    ),
    "area": DefectKind(
        shapes.area,
        {
            fills.shaded: 3, fills.streaked: 2, fills.transplanted: 2.5, fills.displaced: 1.5,
            fills.smeared: 1.5, fills.texture: 0.3,
        },
        soft=10.0,
    ),
    "cloud": DefectKind(
        shapes.cloud,
        {
            fills.texture: 2, fills.transplanted: 2, fills.displaced: 1.5, fills.shaded: 1,
            fills.dark: 1, fills.light: 1, fills.relief: 1,
        },
        soft=1.5, share=0.5,
    ),
    "crack": DefectKind(
        shapes.crack,
        {fills.dark: 6, fills.light: 1.5, fills.relief: 1},
        soft=1.0, faintness=0.6, share=0.75,
    ),
    "piece": DefectKind(
        shapes.piece,
        {fills.material: 1},
        sharp=0.02, is_opaque=True, is_trimmed=True, share=1.5,
    ),
    "form": DefectKind(
        shapes.piece,
        {fills.grown: 1, fills.warped: 1},
        sharp=0.02, is_opaque=True, is_trimmed=True, share=0.5,
    ),
    "graft": DefectKind(
        shapes.stain,
        {fills.grafted: 1},
        soft=4.0, is_opaque=True, faintness=2.0, share=0.5,
    ),
    "tinge": DefectKind(
        shapes.stain,
        {fills.tinged: 3, fills.streaked: 1},
        sharp=2.0, soft=30.0, faintness=1.5, share=0.5,
    ),
}  # fmt: skip
"""Kinds of defects by name."""


@dataclass(frozen=True)
class Defective:
    """Pictures of which some have a defect.

    Attributes:
        pictures: ``(B, C, H, W)`` in [0, 1].
        masks: ``(B, 1, H, W)``, 1 where a defect is.
    """

    pictures: Tensor
    masks: Tensor


def with_defects(
    good: Tensor, dice: Dice, *, share: float = 0.5, inside: Tensor | None = None
) -> Defective:
    """Return ``good`` with defects on a share of the pictures.

    Args:
        good: ``(B, C, H, W)`` in [0, 1]; pieces of each may be put into the others.
        dice: source of randomness.
        share: share of the pictures that get one, two or three defects, 0 to 1.
        inside: ``(B, 1, H, W)``, 1 where defects may be made; None for everywhere.
    """
    pictures, masks = good.clone(), torch.zeros_like(good[:, :1])
    for index in range(len(good)):
        if not dice.chance(share):
            continue
        for _ in range(dice.choice({1: 0.75, 2: 0.15, 3: 0.1})):
            kind = KINDS[dice.choice({name: each.share for name, each in KINDS.items()})]
            picture, mask = make_visible_defect(
                pictures[index],
                good,
                kind,
                dice,
                tries=_TRIES,
                inside=None if inside is None else inside[index, 0],
            )
            pictures[index], masks[index] = picture, torch.maximum(masks[index], mask)
    return Defective(pictures, masks)


def make_visible_defect(
    part: Tensor,
    good: Tensor,
    kind: DefectKind,
    dice: Dice,
    *,
    tries: int,
    inside: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Repeat ``make_defect`` until the defect is visible, and return the last result.

    Args:
        part: as for ``make_defect``.
        good: ``(B, C, H, W)``, from which the other part of each try is drawn.
        kind: as for ``make_defect``.
        dice: as for ``make_defect``.
        tries: maximum number of tries, at least 1.
        inside: as for ``make_defect``.
    """
    seen = _Seen.of(part)
    for _ in range(tries):
        picture, mask = _made(seen, good[dice.below(len(good))], kind, dice, inside)
        if mask.any():
            break
    return picture, mask


def make_defect(
    part: Tensor, other: Tensor, kind: DefectKind, dice: Dice, inside: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return ``part`` with one defect, and where it is.

    A defect that would be invisible, or cover more than half of the part, is not made: the part
    comes back unchanged, with an empty mask.

    Args:
        part: ``(C, H, W)`` in [0, 1].
        other: another good part, of the same shape.
        kind: one of ``KINDS``.
        dice: source of randomness.
        inside: ``(H, W)``, 1 where a defect may be made; None for everywhere.

    Returns:
        ``(C, H, W)`` in [0, 1] and ``(1, H, W)`` of 0 and 1.
    """
    return _made(_Seen.of(part), other, kind, dice, inside)


def _made(
    seen: "_Seen", other: Tensor, kind: DefectKind, dice: Dice, inside: Tensor | None
) -> tuple[Tensor, Tensor]:
    part = seen.picture
    _, height, width = part.shape
    distance = kind.shape(height, width, dice)
    softness = dice.spread(kind.sharp, 2 * kind.soft)
    shape = _faded(0.5 + distance / softness)
    if inside is not None:
        shape = shape * inside
    mask = shape > _LEAST_OPACITY
    count = int(mask.sum())
    nothing = (part, torch.zeros_like(part[:1]))
    if not 0 < count <= _LARGEST_SHARE * height * width:
        return nothing
    level = (part * mask).sum(dim=(1, 2), keepdim=True) / count
    fill = dice.choice(dict(kind.looks))(Site(part, other, shape, level), dice)
    opacity = shape if kind.is_opaque else shape * dice.uniform(0.35, 1)
    defective = (part + opacity * (fill - part)).clamp(0, 1)
    steps = _LEAST_STEPS if kind.is_trimmed else _steps_for(count)
    visible = mask & seen.looks_different(defective, kind.faintness * steps)
    if kind.is_trimmed:
        changed = mask & ((defective - part).abs().amax(dim=0) > _LEAST_VARIATION)
        mask, count = visible, int(changed.sum())
        defective = torch.where(mask, defective, part)
    if int(visible.sum()) < max(_LEAST_PIXELS, _LEAST_SEEN * count):
        return nothing
    return defective, mask[None].to(part.dtype)


def _faded(share: Tensor) -> Tensor:
    """Return a smooth step from 0 to 1, nothing at all where ``share`` is negative."""
    share = share.clamp(0, 1)
    return share * share * (3 - 2 * share)


def _steps_for(pixels: int) -> float:
    """Return how much a defect of this area must differ, in units of the part's own variation.

    The eye averages over a large area: different light or grinding is visible there that would be
    lost in the grain of a small one.
    """
    side = math.sqrt(max(pixels, 1)) / _GLANCE_PX
    return min(_LEAST_STEPS, max(_LEAST_STEPS_LARGE, _LEAST_STEPS / math.sqrt(side)))


@dataclass(frozen=True)
class _Seen:
    """What the eye sees of a part at a glance.

    Attributes:
        picture: ``(C, H, W)`` in [0, 1].
        glances: Its level and contrast around every pixel, ``(C, H, W)`` each.
        variations: How much each differs between places some pixels apart, ``(C, 1, 1)``.
    """

    picture: Tensor
    glances: tuple[Tensor, Tensor]
    variations: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, picture: Tensor) -> "_Seen":
        """Look at a part."""
        level, contrast = _level_and_contrast(picture)
        # A circuit is flat but for its many edges, which are no grain.
        sampled = contrast[:, ::_SAMPLED_PX, ::_SAMPLED_PX].flatten(1)
        most = _MOST_ABOVE_CONTRAST * sampled.median(dim=1).values
        variations = (_variation(level, most), _variation(contrast, most))
        return cls(picture, (level, contrast), variations)

    def looks_different(self, other: Tensor, steps: float) -> Tensor:
        """Return where level or contrast differ by ``steps`` times the part's variation, (H, W).

        Other grain of the same kind is invisible, and so is a faint stain on a mottled part.
        """
        change = torch.zeros_like(other[:1])
        for glance, own, variation in zip(
            _level_and_contrast(other), self.glances, self.variations, strict=True
        ):
            changes = (glance - own).abs() / (steps * variation)
            change = torch.maximum(change, changes.amax(dim=0, keepdim=True))
        return change[0] > 1


def _level_and_contrast(picture: Tensor) -> tuple[Tensor, Tensor]:
    means = torch.cat([picture, picture * picture])
    for window in ((_GLANCE_PX, 1), (1, _GLANCE_PX)):
        means = F.avg_pool2d(
            means,
            window,
            stride=1,
            padding=(window[0] // 2, window[1] // 2),
            count_include_pad=False,
        )
    mean, square = means.chunk(2)
    return mean, (square - mean * mean).clamp_min(0).sqrt()


def _variation(values: Tensor, most: Tensor) -> Tensor:
    """Return how much values differ between places some pixels apart, at most ``most`` ``(C,)``.

    A quantile: stains that good parts have too raise it, the few edges of a part hardly do.

    Returns:
        ``(C, 1, 1)``.
    """
    steps = []
    for axis in (1, 2):
        apart = min(_APART_PX, values.shape[axis] // 2)
        if apart:
            ahead, behind = (
                values.narrow(axis, apart, values.shape[axis] - apart),
                values.narrow(axis, 0, values.shape[axis] - apart),
            )
            changes = (ahead - behind)[:, ::_SAMPLED_PX, ::_SAMPLED_PX]
            steps.append(changes.abs().flatten(1))
    if not steps:
        return values.new_full((len(values), 1, 1), _LEAST_VARIATION)
    every = torch.cat(steps, dim=1).sort(dim=1).values
    usual = every[:, max(0, int(_USUAL * every.shape[1]) - 1)]
    return torch.minimum(usual, most)[:, None, None].clamp_min(_LEAST_VARIATION)
