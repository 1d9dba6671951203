"""GPTQ: rounding of convolution kernels to bfloat16 at little loss.

A network that was trained in float32, or has converged, may lose more by the rounding of its
kernels than by all other rounding. But the rounding errors of a kernel are not independent: its
inputs are correlated, so that the other numbers can compensate for the error of one.
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
_MOST_POSITIONS = 4096
"""Positions per picture at which a layer's inputs are sampled."""
_DAMPING, _LEAST = 1e-3, 1e-12
_BLOCK = 128
"""Numbers of each filter that are rounded before the remaining ones are updated."""

Layer = nn.Conv2d | nn.ConvTranspose2d


def with_bf16_kernels(weights: Weights, task: Task, paths: Sequence[Path]) -> Weights:
    """Return weights with convolution kernels and biases rounded to bfloat16, at little loss.

    GPTQ (Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers", ICLR 2023), after Optimal Brain Surgeon: a layer's numbers are rounded one by
    one, the bias first. After each, the remaining numbers are updated so that the layer's outputs
    change least, on inputs from the layers rounded before.

    Args:
        weights: weights of a network that can be measured. Transposed convolutions with overlapping
            kernels, grouped convolutions and other parameters stay unchanged.
        task: task of the weights.
        paths: clean pictures, of which at most 24, evenly spread, are used. Each is degraded at one
            level of the measurement, or at several if there are few pictures.

    Returns:
        The rounded weights, without their precision losses, which no longer hold.

    Raises:
        UsageError: no pictures, one that is too small, or weights that cannot be measured.
        InputError: a picture cannot be read.
        WeightsError: the tensors do not fit the architecture.
    """
    measurement = measurement_of(weights, task)
    network = weights.build()
    multiple = multiple_for(weights, task, network)
    side = max(1, _SIDE // multiple) * multiple
    if not paths:
        raise UsageError("no pictures to calibrate the rounding with")
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
        # Without overlap, each output depends on one input position.
        return (
            module.groups == 1
            and module.kernel_size == module.stride
            and set(module.dilation) == {1}
            and not any((*module.padding, *module.output_padding))
        )
    return False


def _columns(layer: Layer, features: Tensor) -> Tensor:
    """Return the inputs of a layer's filters as a matrix ``(positions, inputs)``."""
    if isinstance(layer, nn.ConvTranspose2d):
        return features.movedim(1, -1).flatten(0, 2)
    padding = cast(tuple[int, ...], layer.padding)
    columns = F.unfold(features, layer.kernel_size, layer.dilation, padding, layer.stride)
    return columns.transpose(1, 2).flatten(0, 1)


class _SeenError(Exception):
    """Raised to skip the layers behind the one whose inputs were recorded."""


def _second_moments(
    network: nn.Module, layer: Layer, inputs: Sequence[tuple[Tensor, ...]]
) -> Tensor:
    """Return the second moments of a layer's inputs, with a 1 for the bias in front, as float64."""
    moments = torch.zeros(())

    def note(layer: Layer, given: tuple[Tensor, ...]) -> NoReturn:
        nonlocal moments
        columns = _columns(layer, given[0])
        columns = columns[:: -(-len(columns) // _MOST_POSITIONS)]
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
