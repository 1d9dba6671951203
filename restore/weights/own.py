"""Networks of one's own, run and trained as those of this library are."""

from dataclasses import is_dataclass, replace
from typing import Any, cast

import torch
from torch import nn

from restore.errors import UsageError, one_line
from restore.weights.store import Weights, weights_of
from restore.weights.task import Task

__all__ = ["as_weights", "checked_network"]


def checked_network(network: nn.Module) -> nn.Module:
    """Return a network that has the interface of those in ``restore.models``.

    It has ``config``, a dataclass with ``channels`` (and ``noise_map=True`` if it takes the noise
    level) from which its class makes it again; ``halo``, how far a result depends on its input, in
    pixels; ``multiple``, which the sides of its input must be multiples of.

    Raises:
        UsageError: it lacks one of them.
    """
    kind = type(network).__name__
    config = getattr(network, "config", None)
    if not is_dataclass(config) or not isinstance(getattr(config, "channels", None), int):
        raise UsageError(f"{kind}: give it a config, a dataclass with the number of its channels")
    for name, least in (("halo", 0), ("multiple", 1)):
        number = getattr(network, name, None)
        if not isinstance(number, int) or number < least:
            raise UsageError(f"{kind}: {name} {number!r:.40}: give a whole number from {least} on")
    try:
        with torch.device("meta"):
            again: nn.Module = cast(Any, type(network))(config)
    except Exception as error:  # whatever its constructor raises
        raise UsageError(
            f"{kind}: {kind}(config) must make it again: {one_line(str(error), 120)}"
        ) from error
    shapes = [
        {key: tensor.shape for key, tensor in each.state_dict().items()}
        for each in (network, again)
    ]
    if shapes[0] != shapes[1]:
        raise UsageError(f"{kind}: {kind}(config) makes other tensors than it has")
    return network


def as_weights(model: object, task: Task) -> Weights:
    """Return weights as they are, and those of a network, on the CPU.

    Args:
        model: ``Weights``, or an ``nn.Module`` as ``checked_network`` takes it.
        task: the task that they are for.

    Raises:
        UsageError: it is neither, for another task, or a network without that interface.
    """
    if isinstance(model, Weights):
        if model.task != task.name:
            raise UsageError(
                f"{model.name}: these weights are for {model.task}, not for {task.name}"
            )
        return model
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"{model!r:.80}: give the name or the file of weights, Weights, or a network"
        )
    weights = weights_of(
        checked_network(model), name=type(model).__name__, task=task.name, provenance={}
    )
    tensors = {key: tensor.detach().cpu().clone() for key, tensor in weights.tensors.items()}
    return replace(weights, tensors=tensors)
