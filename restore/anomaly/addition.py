"""Good parts that a detector called defective, and with which it is trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.anomaly.data import Parts
from restore.anomaly.part import check_range, read_part
from restore.anomaly.recipe import AnomalyRecipe
from restore.anomaly.scale import shrunk
from restore.anomaly.view import View
from restore.arguments import argument
from restore.errors import InputError, TrainingError, UsageError, WeightsError
from restore.weights.store import Weights

__all__ = ["Addition", "as_seen", "recipe_to_continue"]

_GENTLE = 0.2
"""Factor on the learning rate."""
_SHARE = 0.25
"""Share of the crops that come from the added parts."""


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What an existing detector is trained on with.

    Attributes:
        weights: Weights that training begins with.
        paths: Pictures of good parts, in addition to those of every training.
        scale: Integer factor by which pictures are scaled down.
    """

    weights: Weights
    paths: Sequence[Path]
    scale: int

    def crops(self, parts: Parts, warn: Callable[[str], None]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the added pictures, and where defects count on them, repeated to their share.

        Args:
            parts: The other parts.
            warn: Called with a line about every picture that is left out.

        Raises:
            TrainingError: none of them can be used.
        """
        pictures, insides = [], []
        for path in self.paths:
            try:
                part = read_part(path).fitted_to(parts.channels)
                check_range(part, str(path))
                if part.channels != parts.channels:
                    raise InputError(f"{path}: has {part.channels} channels, not {parts.channels}")
                picture, inside = as_seen(part.pixels, parts.view, self.scale, str(path))
            except InputError as error:
                warn(f"{error}; left out")
                continue
            pictures.append(picture)
            insides.append(inside)
        if not pictures:
            raise TrainingError("none of the added parts can be used")
        wanted = _SHARE / (1 - _SHARE) * len(parts.training)
        repeats = max(1, round(wanted / len(pictures)))
        is_part = bool(parts.training_inside)
        return pictures * repeats, insides * repeats if is_part else []

    @property
    def memory_advice(self) -> str:
        """What to do where memory is short: crops and their number are those of the weights."""
        return (
            f"{self.weights.name} sets how much its training takes; let {argument('device')} name "
            "one with more memory"
        )

    def provenance(self) -> dict[str, Any]:
        """Return what the weights say of it."""
        return {"continued": {"from": self.weights.name, "added": len(self.paths)}}


def recipe_to_continue(
    weights: Weights, view: View, seconds: float, target_fpr: float | None
) -> AnomalyRecipe:
    """Return the recipe of weights for a short continuation: a lower learning rate, no folds.

    Args:
        weights: Weights that training begins with.
        view: What of a part they inspect.
        seconds: Training time.
        target_fpr: Another false-alarm rate, or None.

    Raises:
        WeightsError: the weights do not say how they were trained.
        UsageError: a rate that no threshold is set for.
    """
    stored = weights.provenance.get("recipe")
    try:
        if not isinstance(stored, dict):
            raise TypeError("no recipe")
        recipe = AnomalyRecipe(
            **stored
            | {
                "steps": None,
                "seconds": seconds,
                "folds": 0,
                "roi": view.roi.name if view.roi else "",
                "align": view.align,
            }
        )
    except (TypeError, UsageError) as error:
        raise WeightsError(
            f"{weights.name}: does not say how it was trained, so that it cannot be trained on: "
            f"{error}"
        ) from error
    return replace(
        recipe,
        learning_rate=_GENTLE * recipe.learning_rate,
        target_fpr=recipe.target_fpr if target_fpr is None else target_fpr,
    )


def as_seen(pixels: Any, view: View, scale: int, name: str) -> tuple[Tensor, Tensor]:
    """Return a picture ``(C, h, w)`` as a network sees it, and where defects count, ``(h, w)``.

    Args:
        pixels: ``[C, H, W]`` in [0, 1].
        view: What of a part is inspected.
        scale: Integer factor by which pictures are scaled down.
        name: Name of the picture in messages.

    Raises:
        InputError: the region of interest is for pictures of another size.
    """
    size = (pixels.shape[1], pixels.shape[2])
    placed = view.placed(pixels)
    inside = view.inside(size, placed, name)
    if view.alignment and placed and placed.is_moved:
        pixels = view.alignment.aligned(pixels, placed)
    picture = torch.from_numpy(shrunk(pixels, scale)).nan_to_num().clamp(0, 1)
    if inside is None:
        return picture, torch.ones(picture.shape[1:], dtype=torch.bool)
    share = torch.from_numpy(shrunk(inside[None].astype(pixels.dtype), scale)[0])
    return picture, share >= 0.5
