"""Conversion of stacks of convolutions, from any file, to networks of this library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig

__all__ = [
    "ROW_MAJOR",
    "Layer",
    "Norm",
    "Recognised",
    "dncnn",
    "fdncnn",
    "ffdnet",
    "folded",
    "kind",
    "stack_shape",
]


@dataclass(frozen=True, kw_only=True)
class Norm:
    """Batch norm at inference: ``(x - mean) / deviation * scale + shift``, each ``(C,)``."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A 3x3 convolution ``(out, in, 3, 3)`` and its batch normalisation, if any."""

    weight: Tensor
    bias: Tensor | None = None
    norm: Norm | None = None
    dilation: int = 1


def stack_shape(layers: Sequence[Layer]) -> tuple[int, int, int]:
    """Return the numbers of input, hidden and output channels.

    Raises:
        WeightsError: fewer than two layers, kernels that are not 3x3, or channels that do not
            match.
    """
    if len(layers) < 2:
        raise WeightsError(f"{len(layers)} convolutions are no denoiser")
    width = layers[0].weight.shape[0]
    previous = layers[0].weight.shape[1]
    for number, layer in enumerate(layers, start=1):
        outputs, inputs, *kernel = layer.weight.shape
        if kernel != [3, 3]:
            raise WeightsError(f"convolution {number} is {list(layer.weight.shape)}, not 3x3")
        if inputs != previous or (outputs != width and number < len(layers)):
            raise WeightsError(
                f"convolution {number} of shape {list(layer.weight.shape)} does not fit a stack "
                f"that is {width} features wide"
            )
        previous = outputs
    return layers[0].weight.shape[1], width, previous


def folded(layers: Sequence[Layer]) -> dict[str, Tensor]:
    """Return the tensors of a DnCNN or FFDNet that computes the same as ``layers``.

    Raises:
        WeightsError: a bias or a normalisation does not fit its convolution.
    """
    tensors: dict[str, Tensor] = {}
    for number, layer in enumerate(layers):
        weight, bias = _folded(layer, number + 1)
        tensors[f"convs.{number}.weight"] = weight.float().contiguous()
        tensors[f"convs.{number}.bias"] = bias.float().contiguous()
    return tensors


def _folded(layer: Layer, number: int) -> tuple[Tensor, Tensor]:
    """Return weight and bias with the normalisation folded in, as float64."""
    weight = layer.weight.double()
    outputs = weight.shape[0]
    bias = torch.zeros(outputs) if layer.bias is None else layer.bias
    norm = layer.norm
    vectors = [bias] if norm is None else [bias, norm.scale, norm.shift, norm.mean, norm.deviation]
    if any(vector.shape != (outputs,) for vector in vectors):
        raise WeightsError(
            f"convolution {number} has {outputs} outputs, but its bias or normalisation is "
            f"{' and '.join(str(list(vector.shape)) for vector in vectors)}"
        )
    if norm is None:
        return weight, bias.double()
    gain = norm.scale.double() / norm.deviation.double()
    return weight * gain[:, None, None, None], norm.shift + (bias.double() - norm.mean) * gain


ROW_MAJOR = (0, 1, 2, 3)
"""The order of the four sub-pixels in ``torch.nn.functional.pixel_unshuffle``."""


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """The network of this library that computes the same as a foreign one.

    Attributes:
        network: class of the network.
        config: configuration of the network.
        tensors: state dict of the network.
        layout: short description of the recognised layout.
        task: the subcommand that the network is for.
    """

    network: type[nn.Module]
    config: Any
    tensors: dict[str, Tensor]
    layout: str
    task: str = "denoise"


def dncnn(
    layers: Sequence[Layer], source: str, *, without_norm: str = "batch norm merged"
) -> Recognised:
    """Return a DnCNN whose stack predicts the noise.

    Args:
        layers: convolutions of the whole stack.
        source: name of the project whose layout it was.
        without_norm: wording for a stack without batch normalisation.

    Raises:
        WeightsError: wrong numbers of channels, or layers that do not fit.
    """
    inputs, width, outputs = stack_shape(layers)
    if inputs != outputs:
        raise WeightsError(f"a stack from {inputs} to {outputs} channels is no DnCNN")
    has_norm = any(layer.norm for layer in layers)
    dilations = tuple(layer.dilation for layer in layers)
    is_dilated = max(dilations) > 1
    return Recognised(
        network=DnCNN,
        config=DnCNNConfig(
            channels=outputs,
            depth=len(layers),
            width=width,
            dilations=dilations if is_dilated else (),
        ),
        tensors=folded(layers),
        layout=f"{source} {'IRCNN' if is_dilated else 'DnCNN'}, {len(layers)} layers, "
        f"{kind(outputs)}, "
        f"{'batch norm folded' if has_norm else without_norm}",
    )


def fdncnn(layers: Sequence[Layer], source: str) -> Recognised:
    """Return an FDnCNN: its last input channel is sigma, its output the clean picture.

    Raises:
        WeightsError: wrong numbers of channels, or layers that do not fit.
    """
    inputs, width, outputs = stack_shape(layers)
    if inputs != outputs + 1:
        raise WeightsError(f"a stack from {inputs} to {outputs} channels is no FDnCNN")
    config = DnCNNConfig(
        channels=outputs, depth=len(layers), width=width, noise_map=True, residual=False
    )
    return Recognised(
        network=DnCNN,
        config=config,
        tensors=folded(layers),
        layout=f"{source} FDnCNN, {len(layers)} layers, {kind(outputs)}, noise-level map",
    )


def ffdnet(
    layers: Sequence[Layer], source: str, *, order: tuple[int, ...] = ROW_MAJOR
) -> Recognised:
    """Return an FFDNet.

    Args:
        layers: convolutions between the pixel shuffles.
        source: name of the project whose layout it was.
        order: for each sub-pixel in row-major order, its index among the stack's four.

    Raises:
        WeightsError: wrong numbers of channels, or layers that do not fit.
    """
    inputs, width, outputs = stack_shape(layers)
    channels, rest = divmod(outputs, 4)
    if rest or inputs != outputs + 1:
        raise WeightsError(f"a stack from {inputs} to {outputs} channels is no FFDNet")
    config = FFDNetConfig(channels=channels, depth=len(layers), width=width)
    tensors = folded(layers)
    if order != ROW_MAJOR:
        places = [4 * channel + place for channel in range(channels) for place in order]
        first, last = "convs.0.weight", f"convs.{len(layers) - 1}"
        tensors[first] = tensors[first][:, [*places, outputs]]
        for name in (f"{last}.weight", f"{last}.bias"):
            tensors[name] = tensors[name][places]
    return Recognised(
        network=FFDNet,
        config=config,
        tensors=tensors,
        layout=f"{source} FFDNet, {len(layers)} layers, {kind(channels)}, noise-level map",
    )


def kind(channels: int) -> str:
    """Return gray or color."""
    return "gray" if channels == 1 else "color"
