"""Whether a weight file is whole and its network runs."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from restore.errors import WeightsError
from restore.weights.file import shipped, weights_folder
from restore.weights.measurement import levels_of
from restore.weights.store import Weights
from restore.weights.task import Task

__all__ = ["Trial", "verify"]

_SIZES = ((1, 1), (37, 53))
"""The smallest picture there is, and one that no multiple fits."""

Trial = Callable[[np.random.Generator, int, int], tuple[NDArray[np.float32], tuple[int, ...]]]
"""Runs a network on a random picture of a height and a width.

Returns what came out and the shape that it should have.
"""


def verify(weights: Weights, task: Task) -> None:
    """Check all that needs no data set.

    The tensors fill the network exactly and are finite, the metadata are complete, shipped weights
    have a card, and the network runs on a 1x1 and a 53x37 picture.

    Args:
        weights: as they were loaded.
        task: that they are for.

    Raises:
        WeightsError: one of that is not so.
    """
    trial = task.trial_of(weights)
    _check_origin(weights)
    _check_losses(weights, task)
    rng = np.random.default_rng(0)
    for height, width in _SIZES:
        result, shape = trial(rng, height, width)
        if result.shape != shape or not np.isfinite(result).all():
            raise WeightsError(f"{weights.name}: the network fails on {width}x{height} pixels")


def _check_origin(weights: Weights) -> None:
    if not weights.provenance:
        raise WeightsError(f"{weights.name}: says nothing about where it comes from")
    if weights.name in shipped() and not (weights_folder() / f"{weights.name}.md").is_file():
        raise WeightsError(f"{weights.name}: has no model card {weights.name}.md")


def _check_losses(weights: Weights, task: Task) -> None:
    measured = set(levels_of(weights, task))
    for precision in ("fp16", "bf16"):
        if not measured <= set(weights.precision_loss_db.get(precision, {})):
            raise WeightsError(
                f"{weights.name}: the loss in {precision} is not measured; "
                "use `imrestore weights measure --write`"
            )
