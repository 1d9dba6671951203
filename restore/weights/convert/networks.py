"""From a stack of convolutions to a network of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.models.ffdnet import FFDNet, FFDNetConfig
from restore.weights.convert.stack import Layer, folded, stack_shape

__all__ = ["ROW_MAJOR", "Recognised", "dncnn", "fdncnn", "ffdnet", "kind"]

ROW_MAJOR = (0, 1, 2, 3)
"""The order of the four sub-pixels in ``torch.nn.functional.pixel_unshuffle``."""


@dataclass(frozen=True, kw_only=True)
class Recognised:
    """A network of ours that computes what a foreign one does.

    Attributes:
        network: its class.
        config: what it looks like.
        tensors: its state dict.
        layout: a few words on what was recognised.
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
        layers: the whole stack.
        source: whose layout it was.
        without_norm: what to say of a stack without batch normalisation.

    Raises:
        WeightsError: the channels are no picture's, or the layers do not fit.
    """
    inputs, width, outputs = stack_shape(layers)
    if inputs != outputs:
        raise WeightsError(f"a stack from {inputs} to {outputs} channels is no DnCNN")
    has_norm = any(layer.norm for layer in layers)
    return Recognised(
        network=DnCNN,
        config=DnCNNConfig(channels=outputs, depth=len(layers), width=width),
        tensors=folded(layers),
        layout=f"{source} DnCNN, {len(layers)} layers, {kind(outputs)}, "
        f"{'batch norm folded' if has_norm else without_norm}",
    )


def fdncnn(layers: Sequence[Layer], source: str) -> Recognised:
    """Return an FDnCNN: told sigma by its last input channel, predicting the picture.

    Raises:
        WeightsError: the channels are no picture's, or the layers do not fit.
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
        layers: the stack between the pixel shuffles.
        source: whose layout it was.
        order: for each sub-pixel in row-major order, its place among the stack's four.

    Raises:
        WeightsError: the channels are no picture's, or the layers do not fit.
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
