"""Checks that a weight file is complete and its network runs."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.errors import WeightsError
from restore.weights.file import shipped, weights_folder
from restore.weights.measurement import levels_of
from restore.weights.store import Weights
from restore.weights.task import Task

__all__ = ["Trial", "trial_on_planes", "verify"]

_SIZES = ((1, 1), (37, 53))
"""Height and width of the smallest picture, and of one with prime sides."""

Trial = Callable[[np.random.Generator, int, int], tuple[NDArray[np.float32], tuple[int, ...]]]
"""Runs a network on a random picture of the given height and width.

Returns the output and its expected shape.
"""


def verify(weights: Weights, task: Task) -> None:
    """Check everything that needs no data set.

    The tensors fill the network exactly and are finite, the metadata are complete, shipped weights
    have a card, and the network runs on a 1x1 and a 53x37 picture.

    Args:
        weights: loaded weights.
        task: task of the weights.

    Raises:
        WeightsError: one of these checks fails.
    """
    trial = task.trial_of(weights)
    _check_origin(weights)
    _check_losses(weights, task)
    rng = np.random.default_rng(0)
    for height, width in _SIZES:
        result, shape = trial(rng, height, width)
        if result.shape != shape or not np.isfinite(result).all():
            raise WeightsError(f"{weights.name}: the network fails on {width}x{height} pixels")


def trial_on_planes(weights: Weights, scale: int = 1) -> Trial:
    """Return a trial that runs a network of planes on random ones.

    Args:
        weights: loaded weights.
        scale: how many times wider and higher than the planes the result is.
    """
    runner = Runner(weights, Placement(device="cpu", precision="fp32"))

    def run(
        rng: np.random.Generator, height: int, width: int
    ) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        planes = rng.random((weights.planes, height, width), dtype=np.float32)
        shape = (weights.channels, scale * height, scale * width)
        return runner.tiled(planes, channels=weights.channels), shape

    return run


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
