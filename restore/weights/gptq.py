"""Kernels of bfloat16 numbers that do what the ones they are rounded from did.

A network that learned in float32, or has stopped changing, may lose more by the rounding of its
kernels than by all other rounding. The errors of a kernel's numbers are not independent, though:
what one loses the others can make up for, since they see nearly the same.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import UsageError
from restore.weights.measurement import crops_for, measurement_of, multiple_for
from restore.weights.store import Weights
from restore.weights.task import Task

__all__ = ["with_bf16_kernels"]

_MOST_PICTURES, _SIDE = 24, 128
_MOST_PLACES = 4096
"""Of each picture, that a layer sees and that are looked at."""
_DAMPING, _LEAST = 1e-3, 1e-12
_BLOCK = 128
"""Numbers of each filter that are rounded before those behind them are moved."""

Layer = nn.Conv2d | nn.ConvTranspose2d


def with_bf16_kernels(weights: Weights, task: Task, paths: Sequence[Path]) -> Weights:
    """Return weights whose convolutions have kernels and biases of bfloat16, at little loss.

    GPTQ (Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers", ICLR 2023), after Optimal Brain Surgeon: a layer's numbers are rounded one after
    the other, and after each the rest is moved to where the layer's outputs change least, over what
    it sees of pictures when all layers before it are rounded already. The bias is the first.

    Args:
        weights: of a network that can be measured. Transposed convolutions whose kernels overlap,
            and what is no layer of its own, stay as they are.
        task: that they are for.
        paths: clean pictures; at most 24 of them, evenly spread, are used, each at one of the
            levels that networks are measured at, and where there are few of them at several.

    Returns:
        The weights with no losses of precision, since those are others now.

    Raises:
        UsageError: no pictures, one that is too small, or no way to make examples for the weights.
        InputError: a picture cannot be read.
        WeightsError: the tensors do not fit the architecture.
    """
    measurement = measurement_of(weights, task)
    network = weights.build()
    multiple = multiple_for(weights, task, network)
    side = max(1, _SIDE // multiple) * multiple
    if not paths:
        raise UsageError("no pictures to round by")
    if len(paths) > _MOST_PICTURES:
        paths = [paths[index * len(paths) // _MOST_PICTURES] for index in range(_MOST_PICTURES)]
    pictures = crops_for(weights, task, network, paths)
    levels = measurement.levels
    inputs = [
        measurement.example(
            weights,
            pictures[index % len(pictures)][:, :side, :side],
            levels[index % len(levels)],
            index,
        ).inputs
        for index in range(max(len(pictures), len(levels)))
    ]
    with torch.inference_mode():
        for layer in _in_order(network, inputs[0]):
            _round(layer, _second_moments(network, layer, inputs))
    tensors = {key: tensor.float() for key, tensor in network.state_dict().items()}
    provenance = weights.provenance | {"rounded": "bfloat16"}
    return replace(weights, tensors=tensors, provenance=provenance, precision_loss_db={})


def _in_order(network: nn.Module, inputs: tuple[Tensor, ...]) -> list[Layer]:
    """Return the layers that can be written as matrices, in the order in which they are run."""
    found: list[Layer] = []

    def note(layer: Layer, _inputs: tuple[Tensor, ...]) -> None:
        if layer not in found:
            found.append(layer)

    layers = [module for module in network.modules() if _is_matrix(module)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    network(*inputs)
    for handle in handles:
        handle.remove()
    return found


def _is_matrix(module: nn.Module) -> bool:
    if isinstance(module, nn.Conv2d):
        return (
            module.groups == 1
            and module.padding_mode == "zeros"
            and not isinstance(module.padding, str)
        )
    if isinstance(module, nn.ConvTranspose2d):
        # Copies of the kernel that do not overlap: each output sees one place.
        return (
            module.groups == 1
            and module.kernel_size == module.stride
            and set(module.dilation) == {1}
            and not any((*module.padding, *module.output_padding))
        )
    return False


def _columns(layer: Layer, features: Tensor) -> Tensor:
    """Return all that a layer's filters are multiplied with, ``(places, inputs)``."""
    if isinstance(layer, nn.ConvTranspose2d):
        return features.movedim(1, -1).flatten(0, 2)
    padding = cast(tuple[int, ...], layer.padding)
    columns = F.unfold(features, layer.kernel_size, layer.dilation, padding, layer.stride)
    return columns.transpose(1, 2).flatten(0, 1)


class _SeenError(Exception):
    """What lies behind a layer need not be computed."""


def _second_moments(
    network: nn.Module, layer: Layer, inputs: Sequence[tuple[Tensor, ...]]
) -> Tensor:
    """Return the mean products of what a layer sees, first of all a one, as float64."""
    moments = torch.zeros(())

    def note(layer: Layer, given: tuple[Tensor, ...]) -> NoReturn:
        nonlocal moments
        columns = _columns(layer, given[0])
        columns = columns[:: -(-len(columns) // _MOST_PLACES)]
        columns = torch.cat([torch.ones(len(columns), 1), columns], dim=1).double()
        moments = moments + columns.T @ columns / len(columns)
        raise _SeenError

    handle = layer.register_forward_pre_hook(note)
    for each in inputs:
        with suppress(_SeenError):
            network(*each)
    handle.remove()
    return moments / len(inputs)


def _round(layer: Layer, moments: Tensor) -> None:
    """Round a layer in place."""
    is_transposed = isinstance(layer, nn.ConvTranspose2d)
    rows = layer.weight.permute(1, 2, 3, 0) if is_transposed else layer.weight
    matrix = rows.flatten(0, 2) if is_transposed else rows.flatten(1)
    copies = len(matrix) // layer.out_channels
    bias = torch.zeros(len(matrix)) if layer.bias is None else layer.bias.repeat_interleave(copies)
    numbers = torch.cat([bias[:, None], matrix], dim=1).double()

    damped = moments.clone()
    damped.diagonal()[1:].add_(_DAMPING * moments.diagonal()[1:].mean() + _LEAST)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    shares = torch.linalg.cholesky(inverse, upper=True)
    for start in range(0, len(shares), _BLOCK):
        block, near = numbers[:, start : start + _BLOCK], shares[start : start + _BLOCK]
        errors = torch.zeros_like(block)
        for index in range(block.shape[1]):
            own = near[index, start : start + _BLOCK]
            nearest = block[:, index].bfloat16().double()
            errors[:, index] = (block[:, index] - nearest) / own[index]
            block[:, index:] -= errors[:, index : index + 1] * own[index:]
            block[:, index] = nearest
        numbers[:, start + _BLOCK :] -= errors @ near[:, start + _BLOCK :]

    result = numbers[:, 1:].float().view(rows.shape)
    layer.weight.copy_(result.permute(3, 0, 1, 2) if is_transposed else result)
    if layer.bias is not None:
        layer.bias.copy_(numbers[::copies, 0].float())
