"""Training that starts from existing weights of the same architecture."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from restore.errors import UsageError
from restore.weights.store import Weights
from restore.words import counted

__all__ = ["check_same_architecture", "continued", "origin"]

_N = TypeVar("_N", bound=nn.Module)


def check_same_architecture(network: nn.Module, weights: Weights) -> None:
    """Refuse to start from weights of another architecture.

    Raises:
        UsageError: the architectures differ.
    """
    if weights.network is not type(network):
        raise UsageError(
            f"{weights.name} is a {weights.architecture}, not a {type(network).__name__}"
        )


def continued(network: _N, known: dict[str, Tensor], name: str, warn: Callable[[str], None]) -> _N:
    """Return ``network`` with those tensors of ``known`` that fit; the others start afresh.

    Args:
        network: newly initialised network.
        known: tensors of the existing weights.
        name: name of those weights.
        warn: called with how many tensors start afresh, and how many are left out.
    """
    own = network.state_dict()
    fitting = {
        key: tensor
        for key, tensor in known.items()
        if key in own and own[key].shape == tensor.shape
    }
    if len(fitting) < len(own):
        warn(f"{len(own) - len(fitting)} of {len(own)} tensors start afresh")
    if unused := known.keys() - own.keys():
        warn(f"{counted(len(unused), 'tensor')} of {name} left out, such as {min(unused)}")
    network.load_state_dict(own | fitting)
    return network.requires_grad_(True)


def origin(start_from: str | Path | None) -> dict[str, str]:
    """Return what the provenance says of the weights that a training begins with, if any."""
    return {} if start_from is None else {"started_from": Path(start_from).stem}
