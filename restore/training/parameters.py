"""What happens to all parameters of a network: their layout, their average, denormal numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["blend", "channels_last", "flushing_denormals"]


def channels_last(network: nn.Module) -> nn.Module:
    """Return the network, its kernels laid out as processors and GPUs convolve fastest."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@torch.no_grad()
def blend(average: nn.Module, network: nn.Module, *, decay: float) -> None:
    """Move the averaged weights towards the current ones; buffers are taken as they are."""
    torch._foreach_lerp_([*average.parameters()], [*network.parameters()], 1 - decay)
    for buffer, newest in zip(average.buffers(), network.buffers(), strict=True):
        buffer.copy_(newest)


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Flush denormal numbers, below 1e-38, to zero.

    The momentum of a feature that is never active decays to them, and some processors are many
    times slower there.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
