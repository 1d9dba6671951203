"""Weight files: safetensors that say themselves which network they are for.

``restore.weights.file`` tells what their metadata hold. Loading executes no code.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from restore.errors import OutputError, OutputExists, UsageError, WeightsError
from restore.files import identity_of, write_atomically
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.draem import Draem, DraemConfig
from restore.models.drunet import DRUNet, DRUNetConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig
from restore.weights.file import (
    FORMAT_VERSION,
    WeightFile,
    described,
    find,
    opened,
    shipped,
    weights_folder,
)

__all__ = [
    "ARCHITECTURES",
    "Network",
    "Weights",
    "build",
    "check_new_file",
    "find",
    "load",
    "save_weights",
    "shipped",
    "weights_folder",
    "weights_of",
]

_LARGEST_SETTING = 10_000
"""No depth, width or number of blocks is larger; a hostile file could ask for days of building."""


class Network(Protocol):
    """What every network of this library offers beside being an ``nn.Module``."""

    config: Any

    @property
    def halo(self) -> int:
        """How far a result depends on the picture, in pixels."""

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this."""


ARCHITECTURES: Mapping[str, tuple[Callable[[Any], nn.Module], type]] = {
    "Autoencoder": (Autoencoder, AutoencoderConfig),
    "DRUNet": (DRUNet, DRUNetConfig),
    "Draem": (Draem, DraemConfig),
    "DnCNN": (DnCNN, DnCNNConfig),
    "FFDNet": (FFDNet, FFDNetConfig),
    "HdrResUNet": (HdrResUNet, HdrResUNetConfig),
    "HdrUNet": (HdrUNet, HdrUNetConfig),
    "IspUNet": (IspUNet, IspUNetConfig),
    "ResUNet": (ResUNet, ResUNetConfig),
}
"""Name in a file's metadata to the network and its config."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A network's tensors and where they come from.

    Attributes:
        name: shipped name or the file's stem.
        architecture: a key of ``ARCHITECTURES``.
        config: the architecture's config dataclass.
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
    architecture: str
    config: Any
    task: str
    tensors: dict[str, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)
    precision_loss_db: dict[str, dict[str, float]] = field(default_factory=dict)
    stored_dtype: torch.dtype = torch.float32

    @property
    def channels(self) -> int:
        """Picture channels the network takes."""
        return int(self.config.channels)

    @property
    def planes(self) -> int:
        """Channels of the network's input; of a packed mosaic, its planes."""
        return int(getattr(self.config, "planes", self.channels))

    @property
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    @property
    def takes_sigma(self) -> bool:
        """Whether the network is told the noise level."""
        return bool(getattr(self.config, "noise_map", False))


def weights_of(network: nn.Module, *, name: str, task: str, provenance: dict[str, Any]) -> Weights:
    """Return what a trained network has learned, in float32.

    Args:
        network: of one of ``ARCHITECTURES``.
        name: of the weights.
        task: the subcommand that the network is for.
        provenance: recipe, data and measurements.
    """
    return Weights(
        name=name,
        architecture=type(network).__name__,
        config=cast(Any, network).config,
        task=task,
        tensors={key: tensor.float() for key, tensor in network.state_dict().items()},
        provenance=provenance,
    )


def build(weights: Weights) -> nn.Module:
    """Return the network in evaluation mode, float32, on the CPU.

    Raises:
        WeightsError: the tensors do not fit the architecture, or one is not finite.

    >>> import torch
    >>> import restore
    >>> network = restore.build(restore.load("dncnn-gray"))
    >>> network(torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 1, 16, 16])
    """
    constructor, _ = ARCHITECTURES[weights.architecture]
    tensors = {key: tensor.detach().clone() for key, tensor in weights.tensors.items()}
    # On the meta device a config that the tensors do not back up takes no memory.
    with torch.device("meta"):
        network = constructor(weights.config)
    try:
        network.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise WeightsError(f"{weights.name}: tensors do not fit: {reason}") from error
    for key, tensor in weights.tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{weights.name}: tensor {key} holds values that are not finite")
    return network.eval().requires_grad_(False)


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
    """Check that weights may be written to ``path``, before the work that makes them begins.

    Raises:
        UsageError: another suffix than ``suffix``, no such folder, or one of ``inputs``, which
            are read.
        OutputError: the folder cannot be written.
        OutputExists: ``path`` is there and may not be replaced.
    """
    if path.suffix != suffix:
        raise UsageError(f"{path}: weight files end in {suffix}")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent}: this folder cannot be written")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder")
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: exists already; use --overwrite to replace it")
    for read in inputs:
        if path.exists() and identity_of(read) == identity_of(path):
            raise UsageError(f"{path}: is the input {read}; choose another output")


def load(name_or_path: str | Path) -> Weights:
    """Read shipped weights by name, or a file.

    Raises:
        WeightsError: unknown name, not a safetensors file, or metadata that make no sense.

    >>> import restore
    >>> restore.load("resunet-color").architecture
    'ResUNet'
    """
    path = find(name_or_path)
    with opened(path, "pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        file_says = described(path, file.metadata() or {})
    dtypes = {tensor.dtype for tensor in stored.values()}
    return Weights(
        name=file_says.name,
        architecture=file_says.architecture,
        config=_config(file_says),
        task=file_says.task,
        tensors={key: tensor.float() for key, tensor in stored.items()},
        provenance=file_says.provenance,
        precision_loss_db=file_says.precision_loss_db,
        stored_dtype=dtypes.pop() if len(dtypes) == 1 else torch.float32,
    )


def _config(file: WeightFile) -> Any:
    try:
        if file.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture {file.architecture} is not known")
        _, config_type = ARCHITECTURES[file.architecture]
        kinds = {setting.name: type(setting.default) for setting in fields(config_type)}
        for name, value in file.settings.items():
            _check_setting(name, value, kinds.get(name))
        return cast(Any, config_type(**file.settings))
    except (TypeError, ValueError, WeightsError) as error:
        raise WeightsError(f"{file.path}: metadata that make no sense: {error}") from error


def _check_setting(name: str, value: Any, kind: type | None) -> None:
    """Refuse what a config's own checks do not expect from JSON.

    Raises:
        ValueError: an unknown name, a value of another type, or a number beyond reason.
    """
    values = value if kind is tuple and isinstance(value, list) else [value]
    expected = int if kind is tuple else kind
    for one in values:
        is_huge = isinstance(one, int) and abs(one) > _LARGEST_SETTING
        if type(one) is not expected or is_huge:
            raise ValueError(f"{name} cannot be {str(value)[:40]}")
