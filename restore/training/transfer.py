"""Beginning with what another network of the same kind has learned."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from restore.errors import UsageError
from restore.models.dncnn import DnCNN
from restore.models.isp_unet import IspUNet
from restore.models.resunet import ResUNet
from restore.weights.store import Weights, build

__all__ = ["started_from"]

_N = TypeVar("_N", bound=nn.Module)


def started_from(network: _N, weights: Weights, warn: Callable[[str], None]) -> _N:
    """Return ``network`` with the tensors of ``weights``, as far as they fit.

    A shallower DnCNN grows. Between gray and colour the first and last layers of a denoiser are
    adapted so that gray pictures give the results they gave; the input for the noise level is left
    out or starts at zero. An IspUNet gets biases where ``weights`` has them. Everything else of
    another shape starts afresh.

    Args:
        network: freshly made.
        weights: of the same architecture.
        warn: told how many tensors start afresh, and how many are left out.

    Raises:
        UsageError: the architectures differ, or one predicts the noise and the other the picture.
        WeightsError: a DnCNN that is deeper than ``network``.
    """
    if weights.architecture != type(network).__name__:
        raise UsageError(
            f"{weights.name} is a {weights.architecture}, not a {type(network).__name__}"
        )
    old = build(weights)
    if isinstance(old, DnCNN) and isinstance(network, DnCNN):
        old = old.deepened(network.config.depth)
    if isinstance(old, IspUNet) and isinstance(network, IspUNet):
        network = cast(_N, _biased_as(old, network))
    own, known = network.state_dict(), old.state_dict()
    if isinstance(network, DnCNN | ResUNet):
        if weights.config.residual is not network.config.residual:
            raise UsageError(f"{weights.name} predicts the picture; trained here is what noise is")
        _adapt_ends(known, network, weights.channels)
    fitting = {
        key: tensor for key, tensor in known.items()
        if key in own and own[key].shape == tensor.shape
    }  # fmt: skip
    if len(fitting) < len(own):
        warn(f"{len(own) - len(fitting)} of {len(own)} tensors start afresh")
    if homeless := known.keys() - own.keys():
        warn(f"{len(homeless)} tensors of {weights.name} are left out, such as {min(homeless)}")
    network.load_state_dict(own | fitting)
    return network.requires_grad_(True)


def _biased_as(old: IspUNet, network: IspUNet) -> IspUNet:
    """Return ``network``, or one like it with room for the biases of ``old``."""
    if old.config.up_bias is network.config.up_bias:
        return network
    return IspUNet(replace(network.config, up_bias=old.config.up_bias))


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
