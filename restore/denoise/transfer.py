"""Initialising a denoiser with the weights of another."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from restore.errors import UsageError
from restore.models.dncnn import DnCNN
from restore.models.resunet import ResUNet
from restore.training.transfer import check_same_architecture, continued
from restore.weights.store import Weights

__all__ = ["started_from"]

N = TypeVar("N", bound=nn.Module)


def started_from(network: N, weights: Weights, warn: Callable[[str], None]) -> N:
    """Return ``network`` with the tensors of ``weights``, as far as they fit.

    A shallower DnCNN is deepened. In DnCNNs and ResUNets the first and last layers are converted
    between gray and colour so that gray pictures give the same results; the input for the noise
    level is dropped, or added with zero weights. Any other tensor of another shape starts afresh.

    Args:
        network: network with its initial weights.
        weights: weights of the same architecture.
        warn: called with the numbers of tensors that start afresh and that are left out.

    Raises:
        UsageError: the architectures differ, or one predicts the noise and the other the picture.
        WeightsError: a DnCNN that is deeper than ``network``.
    """
    check_same_architecture(network, weights)
    old = weights.build()
    if isinstance(old, DnCNN) and isinstance(network, DnCNN):
        old = old.deepened(network.config.depth)
    known = old.state_dict()
    if isinstance(network, DnCNN | ResUNet):
        if weights.config.residual is not network.config.residual:
            raise UsageError(f"{weights.name} predicts the picture; this recipe predicts the noise")
        _adapt_ends(known, network, weights.channels)
    return continued(network, known, weights.name, warn)


def _adapt_ends(known: dict[str, Tensor], network: DnCNN | ResUNet, had: int) -> None:
    """Adapt the first and the last layer in ``known`` to the channels of ``network``."""
    first, last = _ends(network)
    channels = network.config.channels
    known[f"{first}.weight"] = _for_inputs(
        known[f"{first}.weight"], had, channels, keeps_map=network.config.noise_map
    )
    for part in ("weight", "bias"):
        if (key := f"{last}.{part}") in known:
            known[key] = _for_outputs(known[key], channels)


def _ends(network: DnCNN | ResUNet) -> tuple[str, str]:
    """Return the names of the first and the last layer."""
    if isinstance(network, DnCNN):
        return "convs.0", f"convs.{network.config.depth - 1}"
    return "head", "tail"


def _for_inputs(weight: Tensor, had: int, channels: int, *, keeps_map: bool) -> Tensor:
    """Adapt ``(O, had [+ 1], k, k)`` to ``channels`` picture channels [and the noise map]."""
    picture, noise_map = weight[:, :had], weight[:, had:]
    if had != channels:
        picture = picture.sum(dim=1, keepdim=True).expand(-1, channels, -1, -1) / channels
    if not keeps_map:
        return picture
    if not noise_map.shape[1]:
        noise_map = torch.zeros_like(weight[:, :1])
    return torch.cat([picture, noise_map], dim=1)


def _for_outputs(values: Tensor, channels: int) -> Tensor:
    """Adapt what begins with a dimension of output channels."""
    if len(values) == channels:
        return values
    return values.mean(dim=0, keepdim=True).expand(channels, *values.shape[1:])
