"""Loading and saving of weights: safetensors files whose metadata name the network.

``restore.weights.file`` describes the metadata. Loading executes no code.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from inspect import get_annotations
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from restore.errors import OutputError, OutputExists, UsageError, WeightsError
from restore.files import identity_of, write_atomically
from restore.weights.file import (
    FORMAT_VERSION,
    WeightFile,
    described,
    digest,
    find,
    opened,
)
from restore.weights.task import Task

__all__ = ["Network", "Weights", "check_new_file", "load", "save_weights", "weights_of"]

_LARGEST_SETTING = 10_000
"""Upper limit on any setting: a hostile file could demand a network that takes days to build."""


class Network(Protocol):
    """The interface of every network of this library, besides ``nn.Module``."""

    config: Any

    @property
    def halo(self) -> int:
        """How far an output depends on the input, in input pixels."""

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A network's tensors and where they come from.

    Attributes:
        name: shipped name or the file's stem.
        network: class of the network, constructed with ``config``.
        config: configuration of the network.
        task: the subcommand that the network is for.
        tensors: the state dict, float32.
        provenance: recipe, data and measurements, as written by training or conversion.
        precision_loss_db: dtype name -> sigma (0..255) -> loss in dB against float32.
        stored_dtype: dtype of the tensors in the file.

    >>> import restore
    >>> weights = restore.load("dncnn-gray")
    >>> weights.task, weights.channels, weights.takes_sigma
    ('denoise', 1, False)
    """

    name: str
    network: type[nn.Module]
    config: Any
    task: str
    tensors: dict[str, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)
    precision_loss_db: dict[str, dict[str, float]] = field(default_factory=dict)
    stored_dtype: torch.dtype = torch.float32

    @property
    def architecture(self) -> str:
        """Class name of the network, as stored in files."""
        return self.network.__name__

    @property
    def channels(self) -> int:
        """Number of picture channels."""
        return int(self.config.channels)

    @property
    def planes(self) -> int:
        """Number of input channels; for a packed mosaic, of its planes."""
        return int(getattr(self.config, "planes", self.channels))

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    @property
    def takes_sigma(self) -> bool:
        """Whether the network is told the noise level."""
        return bool(getattr(self.config, "noise_map", False))

    @property
    def is_residual(self) -> bool:
        """Whether the network predicts what is subtracted from its input."""
        return bool(getattr(self.config, "residual", False))

    def build(self) -> nn.Module:
        """Return the network in evaluation mode, float32, on the CPU.

        Raises:
            WeightsError: the tensors do not fit the architecture, or one is not finite.
        """
        tensors = {key: tensor.detach().clone() for key, tensor in self.tensors.items()}
        # On the meta device, a config that asks for more than the tensors takes no memory.
        with torch.device("meta"):
            network = self.network(self.config)
        try:
            network.load_state_dict(tensors, strict=True, assign=True)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise WeightsError(f"{self.name}: tensors do not fit: {reason}") from error
        for key, tensor in self.tensors.items():
            if not torch.isfinite(tensor).all():
                raise WeightsError(f"{self.name}: tensor {key} holds values that are not finite")
        return network.eval().requires_grad_(False)

    def fingerprint(self, version: str) -> str:
        """Return a cache key for the network as converted by ``version`` of an engine."""
        tensors = ((key, tensor.numpy()) for key, tensor in self.tensors.items())
        return digest(self.architecture, asdict(self.config), tensors, version)


def weights_of(network: nn.Module, *, name: str, task: str, provenance: dict[str, Any]) -> Weights:
    """Return the weights of a trained network, in float32.

    Args:
        network: trained network from ``restore.models``.
        name: name of the weights.
        task: the subcommand that the network is for.
        provenance: recipe, data and measurements.
    """
    return Weights(
        name=name,
        network=type(network),
        config=cast(Any, network).config,
        task=task,
        tensors={key: tensor.float() for key, tensor in network.state_dict().items()},
        provenance=provenance,
    )


def save_weights(weights: Weights, path: Path, *, overwrite: bool = False) -> None:
    """Write ``weights`` to ``path`` in ``weights.stored_dtype``, atomically.

    Raises:
        OutputError: ``path`` exists (without ``overwrite``) or cannot be written.
    """
    metadata = {
        "format": "imrestore",
        "format_version": FORMAT_VERSION,
        "architecture": weights.architecture,
        "config": json.dumps(asdict(weights.config)),
        "task": weights.task,
        "provenance": json.dumps(weights.provenance),
        "precision_loss_db": json.dumps(weights.precision_loss_db),
    }
    tensors = {
        key: tensor.detach().to("cpu", weights.stored_dtype).contiguous()
        for key, tensor in weights.tensors.items()
    }
    write_atomically(path, save(tensors, metadata), overwrite=overwrite)


def check_new_file(
    path: Path,
    *,
    overwrite: bool,
    suffix: str = ".safetensors",
    inputs: Sequence[Path] = (),
) -> None:
    """Check that weights may be written to ``path``, before the work starts.

    Raises:
        UsageError: ``path`` has another suffix or no parent folder, is a folder, or is one of
            ``inputs``.
        OutputError: the folder cannot be written.
        OutputExists: ``path`` exists and may not be replaced.
    """
    if path.suffix != suffix:
        raise UsageError(f"{path}: the name of the output must end in {suffix}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent}: this folder cannot be written")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder")
    if os.path.lexists(path) and not overwrite:
        raise OutputExists(f"{path}: exists already; use --overwrite to replace it")
    for read in inputs:
        if path.exists() and identity_of(read) == identity_of(path):
            raise UsageError(f"{path}: is the input {read}; choose another output")


def load(name_or_path: str | Path, task: Task) -> Weights:
    """Read shipped weights by name, or a file.

    Args:
        name_or_path: shipped name, or path of a weight file.
        task: task that the weights must be for.

    Raises:
        WeightsError: unknown name, not a safetensors file, weights for another task, or invalid
            metadata.
    """
    path = find(name_or_path)
    with opened(path, "pt") as file:
        weight_file = task.check(described(path, file.metadata() or {}))
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    dtypes = {tensor.dtype for tensor in stored.values()}
    network, config = _network(weight_file, task)
    return Weights(
        name=weight_file.name,
        network=network,
        config=config,
        task=weight_file.task,
        tensors={key: tensor.float() for key, tensor in stored.items()},
        provenance=weight_file.provenance,
        precision_loss_db=weight_file.precision_loss_db,
        stored_dtype=dtypes.pop() if len(dtypes) == 1 else torch.float32,
    )


def _network(file: WeightFile, task: Task) -> tuple[type[nn.Module], Any]:
    """Return the class of a file's network, and its config."""
    try:
        network = task.network(file.architecture)
        config_type = get_annotations(network.__init__, eval_str=True)["config"]
        kinds = {setting.name: type(setting.default) for setting in fields(config_type)}
        for name, value in file.settings.items():
            _check_setting(name, value, kinds.get(name))
        return network, config_type(**file.settings)
    except (KeyError, TypeError, ValueError, WeightsError) as error:
        raise WeightsError(f"{file.path}: metadata that make no sense: {error}") from error


def _check_setting(name: str, value: Any, kind: type | None) -> None:
    """Refuse what a config's own checks do not expect from JSON.

    Raises:
        ValueError: an unknown name, a value of another type, or a number that is too large.
    """
    values = value if kind is tuple and isinstance(value, list) else [value]
    expected = int if kind is tuple else kind
    for one in values:
        is_huge = isinstance(one, int) and abs(one) > _LARGEST_SETTING
        if type(one) is not expected or is_huge:
            raise ValueError(f"{name} cannot be {str(value)[:40]}")
