"""Whether a weight file is whole and its network runs."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.calibration import Calibration
from restore.anomaly.network import InspectionBackend
from restore.engine.backend import Backend
from restore.errors import WeightsError
from restore.weights.pictures import levels_of
from restore.weights.store import Weights, load, shipped, weights_folder

__all__ = ["verify"]

_SIZES = ((1, 1), (37, 53))
"""The smallest picture there is, and one that no multiple fits."""
_SIGMA = 25 / 255

Pixels = NDArray[np.float32]


def verify(name_or_path: str | Path) -> Weights:
    """Return the weights after every check that needs no data set.

    The file is loaded, its tensors fill the network exactly and are finite, its metadata are
    complete, shipped weights have a card, and the network restores, or for anomalies scores, a
    1x1 and a 53x37 picture.

    Raises:
        WeightsError: one of that is not so.
    """
    weights = load(name_or_path)
    prepare, check_figures = _BY_TASK.get(weights.task, (_restoring, _check_losses))
    run = prepare(weights)
    _check_origin(weights)
    check_figures(weights)
    rng = np.random.default_rng(0)
    for height, width in _SIZES:
        result, shape = run(rng, height, width)
        if result.shape != shape or not np.isfinite(result).all():
            raise WeightsError(f"{weights.name}: the network fails on {width}x{height} pixels")
    return weights


_Run = Callable[[np.random.Generator, int, int], tuple[Pixels, tuple[int, ...]]]
"""Generator, height and width of a random picture to what came out and the shape it should have."""


def _restoring(weights: Weights) -> _Run:
    backend = Backend(weights, device="cpu", precision="fp32")

    def run(rng: np.random.Generator, height: int, width: int) -> tuple[Pixels, tuple[int, ...]]:
        shape = (weights.channels, height, width)
        return backend(rng.random(shape, np.float32), _SIGMA), shape

    return run


def _developing(weights: Weights) -> _Run:
    backend = Backend(weights, device="cpu", precision="fp32")
    scale = weights.config.scale

    def run(rng: np.random.Generator, height: int, width: int) -> tuple[Pixels, tuple[int, ...]]:
        planes = rng.random((weights.planes, height, width), dtype=np.float32)
        return backend.developed(planes), (weights.channels, scale * height, scale * width)

    return run


def _inspecting(weights: Weights) -> _Run:
    backend = InspectionBackend(weights, device="cpu", precision="fp32")

    def run(rng: np.random.Generator, height: int, width: int) -> tuple[Pixels, tuple[int, ...]]:
        part = rng.random((weights.channels, height, width), dtype=np.float32)
        return backend(part).scores, (height, width)

    return run


def _check_origin(weights: Weights) -> None:
    if not weights.provenance:
        raise WeightsError(f"{weights.name}: says nothing about where it comes from")
    if weights.name in shipped() and not (weights_folder() / f"{weights.name}.md").is_file():
        raise WeightsError(f"{weights.name}: has no model card {weights.name}.md")


def _check_calibration(weights: Weights) -> None:
    """Check what networks for anomalies have where the others have losses."""
    try:
        Calibration.from_mapping(weights.provenance.get("calibration", {}))
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error


def _check_losses(weights: Weights) -> None:
    measured = set(levels_of(weights))
    for precision in ("fp16", "bf16"):
        if not measured <= set(weights.precision_loss_db.get(precision, {})):
            raise WeightsError(
                f"{weights.name}: the loss in {precision} is not measured; "
                "use `imrestore weights measure --write`"
            )


_BY_TASK: Mapping[str, tuple[Callable[[Weights], _Run], Callable[[Weights], None]]] = {
    "anomaly": (_inspecting, _check_calibration),
    "dark-enhance": (_developing, _check_losses),
}
"""Task to how its networks run and which figures they need; the others restore pictures."""
