"""The record that describes a task to training, batches, weight files and engines.

Each task's folder defines its record; ``restore.tasks`` collects them.
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

    from restore.weights.export import Graph
    from restore.weights.measurement import Measurement
    from restore.weights.store import Weights
    from restore.weights.verify import Trial

__all__ = ["Course", "StoredModel", "Task"]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a network of a task is trained.

    Attributes:
        recipe: class of its recipe, as ``module:name``.
        function: function that trains, as ``module:name``; its first arguments are a recipe and the
            weight file to write.
        pictures: what that function calls the pictures.
        takes: what else of the arguments of ``restore.train`` it can be given.
        is_of_one_folder: whether the pictures are one folder; else a list of them.
    """

    recipe: str
    function: str
    pictures: str
    takes: tuple[str, ...] = ()
    is_of_one_folder: bool = False


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task of the library.

    Classes and functions are named as ``module:name``, so that a record costs no import of PyTorch.

    Attributes:
        name: what weight files and functions such as ``restore.train`` call it.
        command: name of the command that runs its networks; empty if they only serve another task.
        networks: network classes that its weights may have.
        course: how its networks are trained.
        trial: function that returns the ``Trial`` of weights.
        measurement: function that returns the ``Measurement`` of weights; empty if the task
            restores no pictures.
        training_noise: function that describes in words the noise that weights are for; empty if
            that does not apply.
        default_weights: names of shipped weights by purpose.
        on_noisy: how its networks are trained on noisy pictures alone; None if they are not.
        method: name of the networks' method that is run.
        graph: function that returns what is exported of weights, a ``Graph``; empty for the network
            alone.
    """

    name: str
    command: str
    networks: tuple[str, ...]
    course: Course
    trial: str
    measurement: str = ""
    training_noise: str = ""
    default_weights: Mapping[str, str] = field(default_factory=dict)
    on_noisy: Course | None = None
    method: str = "forward"
    graph: str = ""

    def network(self, architecture: str) -> "type[nn.Module]":
        """Return the class of a network by its name; imports PyTorch.

        Raises:
            ValueError: no network of this task has that name.
        """
        for name in self.networks:
            if name.rpartition(":")[2] == architecture:
                return cast("type[nn.Module]", resolve_name(name))
        raise ValueError(f"architecture {architecture} is not known")

    def trial_of(self, weights: "Weights") -> "Trial":
        """Return the trial run of weights; see ``Trial``.

        Raises:
            WeightsError: they lack what the task needs.
        """
        return cast("Callable[[Weights], Trial]", resolve_name(self.trial))(weights)

    def measurement_of(self, weights: "Weights") -> "Measurement | None":
        """Return how weights are measured, None if they cannot be."""
        if not self.measurement:
            return None
        return cast("Callable[[Weights], Measurement | None]", resolve_name(self.measurement))(
            weights
        )

    def training_noise_of(self, weights: "Weights") -> str | None:
        """Return in words the noise that weights are for, None if the task describes none."""
        if not self.training_noise:
            return None
        return cast("Callable[[Weights], str]", resolve_name(self.training_noise))(weights)

    def graph_of(self, weights: "Weights") -> "Graph":
        """Return what is exported of weights.

        Raises:
            WeightsError: the tensors do not fit the architecture, or lack what the task exports.
        """
        from restore.weights.export import AnySize, Graph

        if self.graph:
            return cast("Callable[[Weights], Graph]", resolve_name(self.graph))(weights)
        network = weights.build()
        multiple = int(cast(Any, network).multiple)
        if multiple == 1 or weights.planes != weights.channels:  # a mosaic must not be mirrored
            return Graph(module=network, multiple=multiple)
        return Graph(module=AnySize(network, multiple), least=(2, 2))

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

    def load(
        self, name_or_path: str | Path, *, network: "type[nn.Module] | None" = None
    ) -> "Weights":
        """Read shipped weights by name, or a file; imports PyTorch.

        Args:
            name_or_path: shipped name, or path of a weight file.
            network: class of a network of one's own that they may be of.

        Raises:
            WeightsError: unknown name, not a weight file of this task, or invalid metadata.
        """
        from restore.weights.store import load

        return load(name_or_path, self, network=network)

    def open(self, name_or_path: str | Path) -> "StoredModel":
        """Return what an engine needs of weights, without reading their tensors.

        Raises:
            WeightsError: as ``load``, as far as the metadata show.
        """
        return StoredModel(self.check(read_weight_file(name_or_path)), self)


@dataclass(frozen=True)
class StoredModel:
    """A network in a weight file, built on demand; a ``restore.engine.lane.Model``."""

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

    @property
    def is_residual(self) -> bool:
        """Whether the network predicts what is subtracted from its input."""
        return bool(self.file.settings.get("residual", False))

    @property
    def only_pytorch(self) -> bool:
        """Whether no other engine than PyTorch can run the network."""
        return False

    def build(self) -> "nn.Module":
        """Return the network in evaluation mode, float32, on the CPU.

        Raises:
            WeightsError: the tensors do not fit the architecture.
        """
        return self.task.load(self.file.path).build()

    def fingerprint(self, version: str) -> str | None:
        """Return a cache key for the network as converted by ``version`` of an engine.

        None if the tensors cannot be read without PyTorch.
        """
        return self.file.fingerprint(version)
