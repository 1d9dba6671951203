"""How many made defects a detector finds at its threshold, on parts that it was not trained on.

The figure says little about real defects, but one near zero says that the detector is useless.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from restore.anomaly.defects import KINDS, make_visible_defect
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.perlin import Dice
from restore.anomaly.recipe import AnomalyRecipe
from restore.arguments import argument
from restore.training.picture_store import Samples
from restore.training.schedule import raise_if_stopped

__all__ = ["MadeDefects", "try_made_defects"]

_MOST_TRIED, _LEAST_TRIED = 40, 10
_MOST_PIXELS = 60_000_000
_TRIES = 5
_SEED_OFFSET = 15_485
_USELESS = 0.5
_FEW_STEPS, _FEW_PARTS, _COARSE = 1000, 100, 1


@dataclass(frozen=True)
class MadeDefects:
    """How many made defects were found.

    Attributes:
        made: Number of defects by kind.
        found: Number of those found.
    """

    made: Mapping[str, int]
    found: Mapping[str, int]

    @property
    def rate(self) -> float | None:
        """Share that is found, None without any."""
        made = sum(self.made.values())
        return sum(self.found.values()) / made if made else None

    def sentence(self) -> str:
        """Return the figures in words."""
        made, found = sum(self.made.values()), sum(self.found.values())
        if not made:
            return "no made defect shows on these parts, so that nobody knows what it finds"
        kinds = ", ".join(f"{kind} {self.found[kind]} of {self.made[kind]}" for kind in self.made)
        return (
            f"at its threshold it finds {found} of {made} made defects "
            f"({100 * found / made:.0f} %) on parts that it was not trained on: {kinds}"
        )

    def warning(
        self, recipe: AnomalyRecipe, *, steps: int, parts: int, continued: bool = False
    ) -> str:
        """Return what to do if too few were found, else "".

        Args:
            recipe: Recipe of the detector.
            steps: Number of steps that it was trained for.
            parts: Number of parts that it was trained on.
            continued: Whether it went on from another detector, whose recipe is its own.
        """
        if self.rate is None or self.rate >= _USELESS:
            return ""
        advice = []
        if steps < _FEW_STEPS:
            advice.append(
                f"train longer ({argument('time', '1h')} or more; these were {steps} steps)"
            )
        if parts < _FEW_PARTS:
            advice.append(f"give more good parts (these were {parts})")
        if recipe.scale > _COARSE and not continued:
            advice.append(f"give a smaller {argument('defect_size')}")
        if recipe.model != "draem" and not continued:
            advice.append(f"use {argument('model', 'draem')}")
        most = f"{argument('target_fpr')} above {recipe.target_fpr:g}"
        advice.append(f"allow more false alarms ({most})")
        return f"this detector misses most of them; do not rely on it: {', '.join(advice)}"

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a weight file."""
        rate = self.rate
        return {
            "made": dict(self.made),
            "found": dict(self.found),
            "rate": None if rate is None else round(rate, 4),
        }


def try_made_defects(
    network: InspectionNetwork,
    pictures: Sequence[Samples],
    insides: Sequence[Samples],
    threshold: float,
    *,
    patch: int,
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> MadeDefects:
    """Make defects on parts held out of training; count those whose place exceeds a threshold.

    Args:
        network: The detector, for pictures at its own scale and as they lie.
        pictures: Good parts not trained on, ``(C, H, W)``, at least one.
        insides: Where on each defects count, bool ``(H, W)``; empty for everywhere.
        threshold: Score above which a part is defective.
        patch: Side in pixels of the crops that defects are made in, as in training.
        seed: Seed of the defects, whose kinds take turns.
        should_stop: Called before every part.

    Raises:
        TrainingStopped: ``should_stop`` returned True.
    """
    rng = torch.Generator().manual_seed(seed + _SEED_OFFSET)
    dice = Dice(rng, rng)
    made, found = (dict.fromkeys(KINDS, 0) for _ in range(2))
    pixels = sum(math.prod(part.shape[1:]) for part in pictures) / len(pictures)
    for index in range(max(_LEAST_TRIED, min(_MOST_TRIED, int(_MOST_PIXELS / pixels)))):
        raise_if_stopped(should_stop)
        part = pictures[index % len(pictures)][:]
        inside = insides[index % len(pictures)] if insides else None
        name = tuple(KINDS)[index % len(KINDS)]
        rows, columns = (_window(side, patch, dice) for side in part.shape[1:])
        crop = part[:, rows, columns]
        defective, mask = make_visible_defect(
            crop,
            torch.stack([crop.flip(1), crop.flip(2)]),
            KINDS[name],
            dice,
            tries=_TRIES,
            inside=None if inside is None else inside[rows, columns].float(),
        )
        if not mask.any():
            continue
        made[name] += 1
        spoilt = part.clone()
        spoilt[:, rows, columns] = defective
        scores = network.raw(spoilt.numpy()).scores[rows, columns]
        found[name] += bool(scores[mask[0].numpy() > 0].max() > threshold)
    return MadeDefects(made, found)


def _window(side: int, patch: int, dice: Dice) -> slice:
    start = dice.below(max(1, side - patch + 1))
    return slice(start, min(side, start + patch))
