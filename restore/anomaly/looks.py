"""The appearances of good parts in files, from which it is learned what is familiar."""

from collections.abc import Callable, Sequence
from pathlib import Path

from restore.anomaly.appearance import Appearance, Onlooker
from restore.anomaly.familiarity import MOST_LOOKS
from restore.anomaly.part import read_part
from restore.training.schedule import raise_if_stopped
from restore.weights.store import Weights

__all__ = ["looks_of"]


def looks_of(
    weights: Weights,
    scale: int,
    paths: Sequence[Path],
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Appearance]:
    """Return the appearances of pictures that the network may see, of the first ``MOST_LOOKS``.

    Args:
        weights: Weights of the detector.
        scale: Integer factor by which pictures are scaled down.
        paths: Paths of good parts, in random order.
        should_stop: Called before every picture.

    Raises:
        InputError: a picture cannot be read.
        TrainingStopped: ``should_stop`` returned True.
    """
    onlooker = Onlooker(weights, scale)
    looks = []
    for path in paths[:MOST_LOOKS]:
        raise_if_stopped(should_stop)
        looks.append(onlooker(read_part(path).fitted_to(weights.channels)))
    return looks
