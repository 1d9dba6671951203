"""A stack of convolutions, whichever file it came from."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from restore.errors import WeightsError

__all__ = ["Layer", "Norm", "folded", "stack_shape"]


@dataclass(frozen=True, kw_only=True)
class Norm:
    """Batch normalisation in use: ``(x - mean) / deviation * scale + shift``, each ``(C,)``."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A 3x3 convolution ``(out, in, 3, 3)`` and what follows it before the activation."""

    weight: Tensor
    bias: Tensor | None = None
    norm: Norm | None = None


def stack_shape(layers: Sequence[Layer]) -> tuple[int, int, int]:
    """Return the channels that go in, those of the hidden layers and those that come out.

    Raises:
        WeightsError: the layers do not fit onto each other, or hidden widths differ.
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
    """Return the tensors of a DnCNN or FFDNet that computes what ``layers`` do.

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
    """Return weight and bias with the normalisation in them, float64."""
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
