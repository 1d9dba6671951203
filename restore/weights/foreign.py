"""Denoisers of other architectures, run by spandrel (the extra ``[spandrel]``).

The tensors are read here, without running any code of the file; spandrel only gets a state dict.
"""

import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restore.arguments import argument
from restore.engine.lane import is_out_of_memory
from restore.errors import UsageError, WeightsError, one_line
from restore.weights.convert.checkpoint import read_checkpoint
from restore.weights.convert.layouts import recognise
from restore.weights.convert.state_dicts import StateDict, state_dicts

__all__ = ["ForeignModel", "ForeignNetwork", "foreign_model", "known_to_spandrel"]

_HALO = 48
"""Context of a tile in pixels; what these networks see is not limited by it."""
_TILE = 512
_CHANNELS = (1, 3)
_LARGEST_FILE = 1 << 30
_LARGEST_MULTIPLE = 256
_LEAST_SIDE = 16
_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True)
class _Config:
    channels: int


class ForeignNetwork(nn.Module):
    """A network that spandrel describes, behind the interface of ours.

    Args:
        descriptor: an ``ImageModelDescriptor`` of spandrel with scale 1.
    """

    halo = _HALO

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.config = _Config(channels=descriptor.input_channels)
        self.network = descriptor.model
        self.multiple = _multiple(int(descriptor.size_requirements.multiple_of), self.network)
        # Holds the same network: it pads to the least size, and calls it as its code expects.
        self._descriptor = descriptor

    def forward(self, noisy: Tensor, _sigma: Tensor | None = None) -> Tensor:
        """Return the clean picture.

        Args:
            noisy: ``(B, C, H, W)`` in [0, 1].

        Returns:
            The same shape and dtype, in [0, 1].

        Raises:
            WeightsError: the authors' code fails, as on a size or weights that it is not for.
        """
        dtype = next(self.network.parameters()).dtype
        try:
            result: Tensor = self._descriptor(noisy.to(dtype))
        except Exception as error:  # it raises what it likes
            if is_out_of_memory(error):
                raise
            kind, reason = self._descriptor.architecture.name, one_line(str(error), 120)
            raise WeightsError(f"the code of this {kind} fails: {reason}") from error
        return result.to(noisy.dtype)


def _multiple(stated: int, network: nn.Module) -> int:
    """Return what tiles begin at multiples of: windows of attention then lie as in the whole."""
    windows = {
        side
        for module in network.modules()
        for side in _sides(getattr(module, "window_size", None))
    }
    multiple = math.lcm(max(1, stated), *windows)
    return multiple if multiple <= _LARGEST_MULTIPLE else stated


def _sides(window: object) -> list[int]:
    sides = window if isinstance(window, list | tuple) else [window]
    return [side for side in sides if type(side) is int and side > 0]


@dataclass(frozen=True)
class ForeignModel:
    """A network in a checkpoint of another project; a ``restore.engine.lane.Model``.

    Attributes:
        name: the file's stem.
        descriptor: what spandrel made of its state dict.
        provenance: file, its SHA-256 and the architecture.
    """

    name: str
    descriptor: Any
    provenance: Mapping[str, Any]
    precision_loss_db: Mapping[str, Mapping[str, float]]
    is_residual: bool = False
    only_pytorch: bool = True
    auto_tile: int = _TILE

    def build(self) -> nn.Module:
        """Return the network in evaluation mode, on the CPU."""
        return ForeignNetwork(self.descriptor).eval().requires_grad_(False)

    def fingerprint(self, _version: str) -> None:
        """Return None: no engine converts it."""

    def check_precision(self, precision: str) -> None:
        """Refuse a precision that the architecture does not stand.

        Raises:
            UsageError: fp16 or bf16, and spandrel says that it does not, or a trial fails.
        """
        stands = {
            "fp16": self.descriptor.supports_half,
            "bf16": self.descriptor.supports_bfloat16,
        }
        if not stands.get(precision, True) or not self._runs_in(precision):
            kind = self.descriptor.architecture.name
            raise UsageError(f"{argument('precision')} {precision}: not for a {kind}; use fp32")

    def _runs_in(self, precision: str) -> bool:
        """Return whether the network runs on a small picture, which spandrel has not tried."""
        if precision not in _DTYPES:
            return True
        network = ForeignNetwork(deepcopy(self.descriptor)).eval().to(_DTYPES[precision])
        unit = network.multiple * math.ceil(_LEAST_SIDE / network.multiple)
        noisy = torch.rand(1, network.config.channels, 2 * unit, 3 * unit)
        try:
            with torch.inference_mode():
                network(noisy)
        except WeightsError:
            return False
        return True


def known_to_spandrel(path: Path) -> str | None:
    """Return the architecture of a denoiser that spandrel runs; None for anything else."""
    try:
        model = foreign_model(path)
    except (UsageError, WeightsError):
        return None
    return None if model is None else str(model.descriptor.architecture.name)


def foreign_model(path: Path) -> ForeignModel | None:
    """Return the denoiser in a checkpoint that spandrel knows.

    None for what is no checkpoint, and for what ``imrestore weights convert`` takes.

    Raises:
        UsageError: spandrel is not installed or cannot be imported.
        WeightsError: an unknown architecture, or one that does not restore at the same size.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return None
        candidates = state_dicts(read_checkpoint(path))
    except (OSError, UsageError, WeightsError):
        return None
    if any(_is_ours(candidate) for candidate in candidates):
        return None
    descriptor = _described(path, candidates)
    _check(path, descriptor)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ForeignModel(
        name=path.stem,
        descriptor=descriptor,
        provenance={
            "foreign": {
                "file": path.name,
                "sha256": digest,
                "architecture": str(descriptor.architecture.name),
            }
        },
        precision_loss_db={},
    )


def _is_ours(candidate: StateDict) -> bool:
    try:
        recognise(candidate.tensors())
    except WeightsError:
        return False
    return True


def _described(path: Path, candidates: list[StateDict]) -> Any:
    """Return spandrel's description of the first state dict that it knows."""
    loader = _loader()
    reason = ""
    for candidate in candidates:
        try:
            with _without_warnings():
                return loader.load_from_state_dict(candidate.entries())
        except WeightsError as error:
            reason = reason or str(error)
        except Exception as error:  # spandrel raises what its architectures raise
            reason = reason or f"{type(error).__name__}: {error}"
    raise WeightsError(
        f"{path}: a checkpoint that neither `imrestore weights convert` nor spandrel knows "
        f"({one_line(reason, 120)})"
    )


def _loader() -> Any:
    """Return spandrel's loader.

    Raises:
        UsageError: spandrel is missing, or a package that it needs cannot be imported.
    """
    try:
        with _without_warnings():
            from spandrel import ModelLoader

            _add_others()
    except ModuleNotFoundError as error:
        if error.name != "spandrel":
            raise _unusable(error) from error
        raise UsageError(
            "networks of this architecture are run by the package spandrel: "
            "pip install 'imrestore[spandrel]'"
        ) from error
    except Exception as error:  # torchvision raises what a torch of another build makes it raise
        raise _unusable(error) from error
    return ModelLoader(device="cpu")


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep to itself what PyTorch says of code that is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _add_others() -> None:
    """Let spandrel know the architectures of its other package, where that is installed.

    Their licences are not free, so that they are in a package of their own.
    """
    if find_spec("spandrel_extra_arches") is not None:
        import spandrel_extra_arches

        spandrel_extra_arches.install(ignore_duplicates=True)


def _unusable(error: Exception) -> UsageError:
    return UsageError(
        "spandrel cannot be imported: its torchvision must be of the same release and build as "
        f"torch ({one_line(str(error), 120)})"
    )


def _check(path: Path, descriptor: Any) -> None:
    """Refuse what does not turn a picture into one of the same size.

    Raises:
        WeightsError: the channels, the scale or the kind of model.
    """
    kind = descriptor.architecture.name
    inputs, outputs, scale = (
        getattr(descriptor, name, None) for name in ("input_channels", "output_channels", "scale")
    )
    if scale != 1:
        raise WeightsError(f"{path}: a {kind} that enlarges {scale} times is no denoiser")
    if inputs != outputs or inputs not in _CHANNELS:
        raise WeightsError(f"{path}: a {kind} from {inputs} to {outputs} channels is no denoiser")
