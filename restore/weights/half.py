"""Emulated half precision: float32 arithmetic with rounded operands and results.

Matrix units multiply half-precision numbers and add in float32, so rounding every parameter, input
and output of a layer reproduces their results, at float32 speed and on every processor.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

__all__ = ["Rounded", "call_rounded", "in_dtype_of_weights"]


def call_rounded(network: nn.Module, dtype: torch.dtype, *inputs: Tensor) -> Tensor:
    """Return ``network(*inputs)`` with every layer emulated in ``dtype``.

    Gradients pass the rounding unchanged (straight-through), so that a network can be trained with
    it. The network's own output is not rounded: our denoisers subtract in float32.

    Args:
        network: any module; its parameters stay as they are.
        dtype: float16 or bfloat16.
        inputs: float32 tensors for the network's ``forward``.
    """
    rounded = {name: _round(value, dtype) for name, value in network.named_parameters()}
    with _rounding_layers(network, dtype):
        return cast(Tensor, functional_call(network, rounded, inputs))


class Rounded(nn.Module):
    """Wraps ``network`` with every layer emulated in ``dtype``; see ``call_rounded``."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype

    def forward(self, *inputs: Tensor) -> Tensor:
        """Call the network with rounded parameters, layers and inputs."""
        return call_rounded(self.network, self.dtype, *inputs)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, value: Tensor, dtype: torch.dtype) -> Tensor:
        return value.to(dtype).to(value.dtype)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def _round(value: Tensor, dtype: torch.dtype) -> Tensor:
    return cast(Tensor, _StraightThrough.apply(value, dtype))  # type: ignore[no-untyped-call]


@contextmanager
def _rounding_layers(network: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    def before(_module: nn.Module, inputs: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return tuple(None if value is None else _round(value, dtype) for value in inputs)

    def after(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return _round(output, dtype)

    handles = []
    for module in network.modules():
        if module is network or isinstance(module, nn.ModuleList | nn.Sequential | nn.Identity):
            continue
        handles += [
            module.register_forward_pre_hook(before),
            module.register_forward_hook(after),
        ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def in_dtype_of_weights(network: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the inputs of a network in the dtype of its weights; a forward pre-hook.

    Networks of this library convert theirs themselves; those of one's own need not know of it.
    """
    dtype = next((each.dtype for each in network.parameters()), torch.float32)
    return tuple(each.to(dtype) if torch.is_floating_point(each) else each for each in inputs)
