"""Whether a weight file is whole and its network runs."""

from pathlib import Path

import numpy as np

from restore.engine.backend import Backend
from restore.engine.precision import levels_of
from restore.errors import WeightsError
from restore.weights import Weights, load, shipped, weights_folder

__all__ = ["verify"]

_SIZES = ((1, 1), (37, 53))
"""The smallest picture there is, and one that no multiple fits."""


def verify(name_or_path: str | Path) -> Weights:
    """Return the weights after every check that needs no data set.

    The file is loaded, its tensors fill the network exactly and are finite, its metadata are
    complete, shipped weights have a card, and the network restores a 1x1 and a 53x37 picture.

    Raises:
        WeightsError: one of that is not so.
    """
    weights = load(name_or_path)
    backend = Backend(weights, device="cpu", precision="fp32")
    _check_metadata(weights)
    rng = np.random.default_rng(0)
    for height, width in _SIZES:
        if weights.task == "dark-enhance":
            planes = rng.random((weights.config.planes, height, width), dtype=np.float32)
            scale = weights.config.scale
            result = backend.developed(planes, scale=scale, channels=weights.channels)
        else:
            scale = 1
            result = backend(rng.random((weights.channels, height, width), np.float32), 25 / 255)
        shape = (weights.channels, scale * height, scale * width)
        if result.shape != shape or not np.isfinite(result).all():
            raise WeightsError(f"{weights.name}: the network fails on {width}x{height} pixels")
    return weights


def _check_metadata(weights: Weights) -> None:
    if not weights.provenance:
        raise WeightsError(f"{weights.name}: says nothing about where it comes from")
    measured = set(levels_of(weights))
    for precision in ("fp16", "bf16"):
        if not measured <= set(weights.precision_loss_db.get(precision, {})):
            raise WeightsError(
                f"{weights.name}: the loss in {precision} is not measured; "
                "use `imrestore weights measure --write`"
            )
    if weights.name in shipped() and not (weights_folder() / f"{weights.name}.md").is_file():
        raise WeightsError(f"{weights.name}: has no model card {weights.name}.md")
