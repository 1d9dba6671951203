"""What training, batches, weight files and engines must know of a task, in one record.

The tasks' own folders make the records; ``restore.tasks`` gathers them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, cast

from restore.errors import WeightsError
from restore.weights.file import WeightFile, read_weight_file

if TYPE_CHECKING:
    from torch import nn

    from restore.weights.measurement import Measurement
    from restore.weights.store import Weights
    from restore.weights.verify import Trial

__all__ = ["StoredModel", "Task"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of the library.

    Classes and functions are named as ``module:name``, so that a record costs no import of PyTorch.

    Attributes:
        name: its subcommand.
        networks: classes that its weights may be of.
        recipe: class that says what a network of it is trained as.
        trial: function that returns how its weights are tried out, see ``Trial``.
        measurement: function that returns how its weights are measured, see ``Measurement``; empty
            where the task restores no pictures.
        training_noise: function that returns the noise that its weights are for, in words; empty
            where that says nothing about them.
        default_weights: shipped weights by what they are for.
        method: of the networks that is run.
        is_residual: the networks compute what is subtracted from their input.
    """

    name: str
    networks: tuple[str, ...]
    recipe: str
    trial: str
    measurement: str = ""
    training_noise: str = ""
    default_weights: Mapping[str, str] = field(default_factory=dict)
    method: str = "forward"
    is_residual: bool = False

    def network(self, architecture: str) -> "type[nn.Module]":
        """Return the class of a network by its name; imports PyTorch.

        Raises:
            ValueError: no network of this task is called so.
        """
        for name in self.networks:
            if name.rpartition(":")[2] == architecture:
                return cast("type[nn.Module]", resolve_name(name))
        raise ValueError(f"architecture {architecture} is not known")

    def trial_of(self, weights: "Weights") -> "Trial":
        """Return how weights are tried out.

        Raises:
            WeightsError: they lack what the task needs.
        """
        return cast("Callable[[Weights], Trial]", resolve_name(self.trial))(weights)

    def measurement_of(self, weights: "Weights") -> "Measurement | None":
        """Return how weights are measured, None where that cannot be done."""
        if not self.measurement:
            return None
        return cast("Callable[[Weights], Measurement | None]", resolve_name(self.measurement))(
            weights
        )

    def training_noise_of(self, weights: "Weights") -> str | None:
        """Return the noise that weights are for, in words, None if they are for none."""
        if not self.training_noise:
            return None
        return cast("Callable[[Weights], str]", resolve_name(self.training_noise))(weights)

    def check(self, file: WeightFile) -> WeightFile:
        """Return ``file`` if its weights are for this task.

        Raises:
            WeightsError: they are for another.
        """
        if file.task != self.name:
            raise WeightsError(
                f"{file.name}: these weights are for {file.task}, not for {self.name}"
            )
        return file

    def load(self, name_or_path: str | Path) -> "Weights":
        """Read shipped weights by name, or a file; imports PyTorch.

        Raises:
            WeightsError: unknown name, not a weight file of this task, or one that makes no sense.
        """
        from restore.weights.store import load

        return load(name_or_path, self)

    def open(self, name_or_path: str | Path) -> "StoredModel":
        """Return what an engine needs of weights, without reading their tensors.

        Raises:
            WeightsError: as ``load``, as far as it can be told from the file's head.
        """
        return StoredModel(self.check(read_weight_file(name_or_path)), self)


@dataclass(frozen=True)
class StoredModel:
    """A network in a weight file, see ``restore.engine.lane.Model``; built when it is needed."""

    file: WeightFile
    task: Task

    @property
    def name(self) -> str:
        """Shipped name or the file's stem."""
        return self.file.name

    @property
    def precision_loss_db(self) -> Mapping[str, Mapping[str, float]]:
        """Measured losses against float32, precision -> level -> dB."""
        return self.file.precision_loss_db

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Recipe, data and measurements."""
        return self.file.provenance

    def build(self) -> "nn.Module":
        """Return the network in evaluation mode, float32, on the CPU.

        Raises:
            WeightsError: the tensors do not fit the architecture.
        """
        return self.task.load(self.file.path).build()

    def fingerprint(self, version: str) -> str | None:
        """Return a name for what ``version`` of a program makes of the network.

        None where PyTorch would be needed to read the tensors.
        """
        return self.file.fingerprint(version)
