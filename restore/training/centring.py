"""A penalty that keeps features near zero, where half precision is fine."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["OffCentre"]

_LEAST_VARIANCE = 1e-12


class OffCentre:
    """How far the features between the convolutions of a network lie from zero, for their spread.

    A number of floating point is rounded in proportion to its size, while what features tell is
    in their variation: where their mean is three times their spread, rounding costs ten times the
    error that it would cost around zero. A rectifier that is never negative anywhere, as those of
    a network that starts at the identity, leaves the mean free to be anything.

    Args:
        network: every forward pass with gradients is watched.
    """

    def __init__(self, network: nn.Module) -> None:
        self._ratios: list[Tensor] = []
        convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
        for conv in convs[1:]:
            conv.register_forward_pre_hook(self._watch)

    def __call__(self) -> Tensor:
        """Return squared mean over variance of the features since the last call, layers' mean."""
        ratios, self._ratios = self._ratios, []
        return torch.stack(ratios).mean()

    def _watch(self, _conv: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled():
            variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3))
            self._ratios.append(mean.square().sum() / variance.sum().clamp_min(_LEAST_VARIANCE))
