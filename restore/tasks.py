"""The tasks of this library, and the loading of weights for any of them."""

from pathlib import Path
from typing import TYPE_CHECKING

from restore.anomaly.task import TASK as ANOMALY
from restore.dark.task import TASK as DARK_ENHANCE
from restore.denoise.task import ERRORS as DENOISE_ERROR
from restore.denoise.task import TASK as DENOISE
from restore.errors import WeightsError
from restore.hdr.task import TASK as HDR
from restore.mosaic.task import TASK as DENOISE_RAW
from restore.weights.file import read_weight_file
from restore.weights.task import Task

if TYPE_CHECKING:
    from torch import nn

    from restore.weights.store import Weights

__all__ = ["TASKS", "load", "task_called"]

TASKS = (DENOISE, DENOISE_RAW, DENOISE_ERROR, DARK_ENHANCE, ANOMALY, HDR)


def task_called(name: str) -> Task:
    """Return the task called ``name``.

    Raises:
        WeightsError: there is none.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise WeightsError(f"task {name!r} is not known")


def load(name_or_path: str | Path, *, network: "type[nn.Module] | None" = None) -> "Weights":
    """Read shipped weights by name, or a weight file, for any task.

    Args:
        name_or_path: shipped name, or path of a weight file.
        network: class of a network of your own, if the file may hold one.

    Raises:
        WeightsError: unknown name, not a weight file, or invalid metadata.

    >>> import restore
    >>> restore.load("resunet-color").architecture
    'ResUNet'
    """
    file = read_weight_file(name_or_path)
    try:
        task = task_called(file.task)
    except WeightsError as error:
        raise WeightsError(f"{file.path}: metadata that make no sense: {error}") from error
    return task.load(file.path, network=network)
