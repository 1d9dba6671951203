"""Weight files: safetensors that say themselves which network they are for.

The metadata of a file holds ``architecture``, ``config`` (JSON), ``task``, ``format_version``,
``provenance`` (JSON: recipe, data, training time) and ``precision_loss_db`` (JSON: dtype ->
sigma -> loss in dB against float32). Loading executes no code.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from restore.errors import OutputError, OutputExists, UsageError, WeightsError
from restore.files import write_atomically
from restore.models.autoencoder import Autoencoder, AutoencoderConfig
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.draem import Draem, DraemConfig
from restore.models.drunet import DRUNet, DRUNetConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.hdr_unet import HdrUNet, HdrUNetConfig
from restore.models.isp_unet import IspUNet, IspUNetConfig
from restore.models.resunet import ResUNet, ResUNetConfig

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

FORMAT_VERSION = "1"

_LARGEST_SETTING = 10_000
"""No depth, width or number of blocks is larger; a hostile file could ask for days of building."""


class Network(Protocol):
    """What every network of this library offers beside being an ``nn.Module``."""

    config: Any

    @property
    def halo(self) -> int:
        """Radius of the receptive field in pixels."""

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
    def parameters(self) -> int:
        """Number of values in all tensors."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    @property
    def is_for_cameras(self) -> bool:
        """Whether a denoiser was trained on the noise of cameras."""
        recipe = self.provenance.get("recipe")
        return isinstance(recipe, dict) and "camera" in recipe.get("noise", ())

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


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Check that weights may be written to ``path``, before the work that makes them begins.

    Raises:
        UsageError: another suffix than .safetensors, or no such folder.
        OutputError: the folder cannot be written.
        OutputExists: ``path`` is there and may not be replaced.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: weight files end in .safetensors")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path.parent}: this folder cannot be written")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder")
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: exists already; use --overwrite to replace it")


def load(name_or_path: str | Path) -> Weights:
    """Read shipped weights by name, or a file.

    Raises:
        WeightsError: unknown name, not a safetensors file, or metadata that make no sense.
    """
    path = find(name_or_path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a weight file of imrestore ({error}); "
            "convert foreign checkpoints with `imrestore weights convert`"
        ) from error
    dtypes = {tensor.dtype for tensor in stored.values()}
    try:
        return Weights(
            name=path.stem,
            architecture=metadata["architecture"],
            config=_config(metadata),
            task=metadata["task"],
            tensors={key: tensor.float() for key, tensor in stored.items()},
            provenance=_mapping(metadata, "provenance"),
            precision_loss_db=_losses(metadata),
            stored_dtype=dtypes.pop() if len(dtypes) == 1 else torch.float32,
        )
    except KeyError as error:
        raise WeightsError(
            f"{path}: safetensors without the metadata of imrestore ({error}); "
            "convert foreign checkpoints with `imrestore weights convert`"
        ) from error
    except (RecursionError, TypeError, ValueError, WeightsError) as error:
        raise WeightsError(f"{path}: metadata that make no sense: {error}") from error


def _config(metadata: Mapping[str, str]) -> Any:
    if metadata.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"format version {metadata.get('format_version')} is not known")
    if metadata["architecture"] not in ARCHITECTURES:
        raise ValueError(f"architecture {metadata['architecture']} is not known")
    _, config_type = ARCHITECTURES[metadata["architecture"]]
    settings = _mapping(metadata, "config")
    kinds = {setting.name: type(setting.default) for setting in fields(config_type)}
    for name, value in settings.items():
        _check_setting(name, value, kinds.get(name))
    return cast(Any, config_type(**settings))


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


def _mapping(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    value = json.loads(metadata.get(key, "{}"))
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not a JSON object")
    return value


def _losses(metadata: Mapping[str, str]) -> dict[str, dict[str, float]]:
    losses = _mapping(metadata, "precision_loss_db")
    for by_sigma in losses.values():
        values = by_sigma.values() if isinstance(by_sigma, dict) else [by_sigma]
        if not all(isinstance(loss, int | float) and math.isfinite(loss) for loss in values):
            raise ValueError("precision_loss_db holds something that is not a number of dB")
    return losses


def find(name_or_path: str | Path) -> Path:
    """Return the file behind a shipped name or a path.

    Raises:
        WeightsError: there is no such file; the message lists the shipped names.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.name == str(name_or_path) and not path.suffix:
        candidate = weights_folder() / f"{path.name}.safetensors"
        if candidate.is_file():
            return candidate
    raise WeightsError(
        f"{name_or_path}: no such weights; shipped are {', '.join(shipped()) or 'none'}, "
        "or give the path of a .safetensors file"
    )


def shipped() -> list[str]:
    """Return the names of the weights that come with the package, sorted."""
    return sorted(path.stem for path in weights_folder().glob("*.safetensors"))


def weights_folder() -> Path:
    """Return the folder of the shipped weights, in an installed package or a source tree."""
    package = Path(__file__).resolve().parent
    installed = package / "weights"
    return installed if installed.is_dir() else package.parent / "weights"
