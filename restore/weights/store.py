"""Loading and saving of weights: safetensors files whose metadata name the network.

``restore.weights.file`` describes the metadata. Loading executes no code.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from inspect import get_annotations
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from restore.errors import OutputError, UsageError, WeightsError
from restore.files import check_name, exists_already, identity_of, write_atomically
from restore.weights.file import (
    FORMAT_VERSION,
    WeightFile,
    check_hash,
    digest,
    opened,
    read_weight_file,
)
from restore.weights.fitting import check_setting, fitting
from restore.weights.half import in_dtype_of_weights
from restore.weights.header import sealed
from restore.weights.task import Task

__all__ = [
    "Network",
    "Weights",
    "add_hash",
    "check_new_file",
    "load",
    "save_weights",
    "weights_of",
]

_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}
_OURS = "restore."
"""How the names of modules with networks of this library begin."""


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

    @property
    def only_pytorch(self) -> bool:
        """Whether no other engine than PyTorch can run the network: so it is with one's own.

        Other engines convert networks, and know converted ones by their name, config and tensors.
        """
        return not self.network.__module__.startswith(_OURS)

    def build(self) -> nn.Module:
        """Return the network in evaluation mode, float32, on the CPU.

        Raises:
            WeightsError: the tensors do not fit the architecture, or one is not finite.
        """
        shapes = {key: tuple(tensor.shape) for key, tensor in self.tensors.items()}
        network = fitting(self.name, self.network, self.config, shapes)
        tensors = {key: tensor.detach().clone() for key, tensor in self.tensors.items()}
        network.load_state_dict(tensors, strict=True, assign=True)
        for key, tensor in self.tensors.items():
            if not torch.isfinite(tensor).all():
                raise WeightsError(f"{self.name}: tensor {key} holds values that are not finite")
        if self.only_pytorch:
            network.register_forward_pre_hook(in_dtype_of_weights)
        return network.eval().requires_grad_(False)

    def fingerprint(self, version: str) -> str:
        """Return a cache key for the network as converted by ``version`` of an engine."""
        tensors = ((key, tensor.numpy()) for key, tensor in self.tensors.items())
        return digest(self.architecture, asdict(self.config), tensors, version)


def weights_of(
    network: nn.Module,
    *,
    name: str,
    task: str,
    provenance: Mapping[str, Any] = MappingProxyType({}),
) -> Weights:
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
        provenance=dict(provenance),
    )


def save_weights(weights: Weights, path: Path | str, *, overwrite: bool = False) -> None:
    """Write ``weights`` to ``path`` in ``weights.stored_dtype``, atomically.

    The metadata hold the SHA-256 of the tensors, which loading and ``weights verify`` check.

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
    write_atomically(Path(path), sealed(save(tensors, metadata)), overwrite=overwrite)


def add_hash(path: Path) -> None:
    """Add the SHA-256 of its tensors to a weight file that was written without; they stay the same.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, sealed(path.read_bytes()), overwrite=True)


def check_new_file(
    path: Path,
    *,
    overwrite: bool,
    suffix: str = ".safetensors",
    inputs: Sequence[Path] = (),
) -> None:
    """Check that weights may be written to ``path``, before the work starts.

    Raises:
        UsageError: ``path`` has another suffix, too long a name or no parent folder, is a folder,
            or is one of ``inputs``.
        OutputError: the folder cannot be written.
        OutputExists: ``path`` exists and may not be replaced.
    """
    if path.suffix != suffix:
        raise UsageError(f"{path}: the name of the output must end in {suffix}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")
    check_name(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent}: this folder cannot be written")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder")
    if os.path.lexists(path) and not overwrite:
        raise exists_already(path)
    for read in inputs:
        if path.exists() and identity_of(read) == identity_of(path):
            raise UsageError(f"{path}: is the input {read}; choose another output")


def load(
    name_or_path: str | Path, task: Task, *, network: type[nn.Module] | None = None
) -> Weights:
    """Read shipped weights by name, or a file.

    Nothing is built, and no tensor read, before the header shows that both fit each other.

    Args:
        name_or_path: shipped name, or path of a weight file.
        task: task that the weights must be for.
        network: class of a network of one's own that they may be of.

    Raises:
        WeightsError: unknown name, not a safetensors file, weights for another task, invalid
            metadata, or tensors that do not fit the network or were damaged.
    """
    file = task.check(read_weight_file(name_or_path))
    built, config = _network(file, task, network)
    stored = file.header.tensors
    fitting(str(file.path), built, config, {key: each.shape for key, each in stored.items()})
    check_hash(file)
    with opened(file.path, "pt") as tensors:
        read = {key: tensors.get_tensor(key).float() for key in stored}
    dtypes = {each.dtype for each in stored.values()}
    return Weights(
        name=file.name,
        network=built,
        config=config,
        task=file.task,
        tensors=read,
        provenance=file.provenance,
        precision_loss_db=file.precision_loss_db,
        stored_dtype=_DTYPES.get(dtypes.pop() if len(dtypes) == 1 else "", torch.float32),
    )


def _network(
    file: WeightFile, task: Task, own: type[nn.Module] | None
) -> tuple[type[nn.Module], Any]:
    """Return the class of a file's network, and its config."""
    try:
        is_own = own is not None and own.__name__ == file.architecture
        network = own if own is not None and is_own else task.network(file.architecture)
        config_type = get_annotations(network.__init__, eval_str=True)["config"]
        kinds = {setting.name: type(setting.default) for setting in fields(config_type)}
        for name, value in file.settings.items():
            check_setting(name, value, kinds.get(name))
        return network, config_type(**file.settings)
    except (KeyError, TypeError, ValueError, WeightsError) as error:
        raise WeightsError(f"{file.path}: metadata that make no sense: {error}") from error
