"""How weights follow their gradients."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer

from restore.training.muon import Muon, hidden_convolutions

__all__ = ["OPTIMIZERS", "Optimizers"]

_MUON_GAIN = 2.0


class Optimizers:
    """Several optimisers for the parts of one network, used as one.

    Args:
        parts: each for parameters of its own.
    """

    def __init__(self, *parts: Optimizer) -> None:
        self._parts = parts
        self._gains = [[group["lr"] for group in part.param_groups] for part in parts]

    def set_rate(self, rate: float) -> None:
        """Multiply the learning rates that the parts were made with by ``rate``."""
        for part, gains in zip(self._parts, self._gains, strict=True):
            for group, gain in zip(part.param_groups, gains, strict=True):
                group["lr"] = gain * rate

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Take one step with every part."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what ``load_state_dict`` needs."""
        return {str(index): part.state_dict() for index, part in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a ``state_dict``."""
        for index, part in enumerate(self._parts):
            part.load_state_dict(state[str(index)])


def _adam(network: nn.Module) -> Optimizers:
    return Optimizers(Adam(network.parameters(), lr=1.0))


def _muon(network: nn.Module) -> Optimizers:
    hidden = hidden_convolutions(network)
    kernels = {id(convolution.weight) for convolution in hidden}
    others = [parameter for parameter in network.parameters() if id(parameter) not in kernels]
    adam = Adam(others, lr=1.0)
    return Optimizers(adam, Muon(hidden, lr=_MUON_GAIN)) if hidden else Optimizers(adam)


OPTIMIZERS: Mapping[str, Callable[[nn.Module], Optimizers]] = {"adam": _adam, "muon": _muon}
"""Name to optimiser: adam for everything, or muon for the hidden convolutions and adam for the
rest. The learning rate is set before every step."""
