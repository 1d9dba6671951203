"""Optimisers: Adam for everything, or Muon for hidden convolutions with Adam for the rest."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.optim import Adam, AdamW, Optimizer

__all__ = ["OPTIMIZERS", "Muon", "Optimizers", "hidden_convolutions", "orthogonalised"]

_MUON_GAIN = 2.0
_MUON_DECAY = 0.3


class Optimizers:
    """Several optimisers for the parts of one network, used as one.

    Args:
        parts: optimisers of disjoint parameters.
    """

    def __init__(self, *parts: Optimizer) -> None:
        self._parts = parts
        self._gains = [[group["lr"] for group in part.param_groups] for part in parts]

    def set_rate(self, rate: float) -> None:
        """Set each learning rate to its initial value times ``rate``."""
        for part, gains in zip(self._parts, self._gains, strict=True):
            for group, gain in zip(part.param_groups, gains, strict=True):
                group["lr"] = gain * rate

    def zero_grad(self) -> None:
        """Reset all gradients to None."""
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
        """Restore what the steps of a ``state_dict`` have gathered; the settings stay.

        Raises:
            KeyError, TypeError, ValueError: it is not the state of such optimisers.
        """
        for index, part in enumerate(self._parts):
            own = part.state_dict()
            part.load_state_dict(own | {"state": state[str(index)]["state"]})
            for parameter, gathered in part.state.items():
                _check_gathered(parameter, gathered, is_adam=isinstance(part, Adam | AdamW))


def _check_gathered(parameter: Tensor, gathered: Mapping[str, Tensor], *, is_adam: bool) -> None:
    shape = parameter.shape
    expected = (
        {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
        if is_adam
        else {"momentum": shape, "input_mean": shape[1:2]}
    )
    if any(tensor.shape != expected[key] for key, tensor in gathered.items()):
        raise ValueError("the state of an optimiser does not fit its parameters")
    if is_adam and gathered and (len(gathered) < len(expected) or gathered["step"] < 1):
        raise ValueError("the state of an optimiser is incomplete")


def _adam(network: nn.Module, weight_decay: float | None = None) -> Optimizers:
    return Optimizers(_adam_of(network.parameters(), weight_decay))


def _adam_of(parameters: Iterable[nn.Parameter], weight_decay: float | None) -> Optimizer:
    if weight_decay is None:
        return Adam(parameters, lr=1.0)
    return AdamW(parameters, lr=1.0, weight_decay=weight_decay)


def _muon(network: nn.Module, weight_decay: float | None = None) -> Optimizers:
    hidden = hidden_convolutions(network)
    kernels = {id(convolution.weight) for convolution in hidden}
    others = [parameter for parameter in network.parameters() if id(parameter) not in kernels]
    adam = _adam_of(others, weight_decay)
    if not hidden:
        return Optimizers(adam)
    # Its learning rate is larger than that of the others by the gain.
    decay = _MUON_DECAY if weight_decay is None else weight_decay / _MUON_GAIN
    return Optimizers(adam, Muon(hidden, lr=_MUON_GAIN, weight_decay=decay))


OPTIMIZERS: Mapping[str, Callable[..., Optimizers]] = {
    "adam": _adam,
    "muon": _muon,
}
"""Name to optimiser: adam for everything, or muon for the hidden convolutions and adam for the
rest. The learning rate is set before every step; the second argument is the weight decay."""


_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_LEAST_CHANNELS = 16
_ADAM_RMS = 0.2
_MEAN_DECAY = 0.99


class Muon(Optimizer):
    """Steps along the orthogonalised momentum of each kernel.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024: the momentum of
    a kernel, as a matrix (outputs, inputs * k * k), is replaced by the nearest matrix with
    orthonormal rows or columns, so that a step moves all directions alike, the rare ones too. Its
    size is matched to Adam's (Liu et al., "Muon is Scalable for LLM Training", 2025).

    Steps of constant size make kernels grow without bound, and with them the features: later layers
    cancel what earlier ones add, and half precision loses the difference. Weight decay bounds them.

    The outputs of ReLUs are positive, so the mean dominates a kernel's inputs. Uncorrected, a
    kernel follows that mean: a few features keep growing, push the others below zero for good, and
    half precision rounds away their small variation. So kernels with a bias learn from their inputs
    minus the running mean of each channel, and the bias compensates: a step changes how a feature
    varies; only the bias's own gradient moves its mean.

    Args:
        convolutions: convolutions whose kernels ``(O, I, k, k)`` are trained; their biases, if any,
            are adjusted to them.
        lr: learning rate, on Adam's scale.
        momentum: Nesterov momentum.
        weight_decay: share of a kernel that a step of learning rate 1 would remove.
    """

    def __init__(
        self,
        convolutions: Iterable[nn.Conv2d],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = _MUON_DECAY,
    ) -> None:
        kernels, self._biases = [], dict[Tensor, Tensor]()
        for convolution in convolutions:
            kernels.append(convolution.weight)
            if convolution.bias is not None and convolution.groups == 1:
                self._biases[convolution.weight] = convolution.bias
                note = partial(self._note_inputs, convolution.weight)
                convolution.register_forward_pre_hook(note)
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(kernels, settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step."""
        del closure
        self._agree_on_means()
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is not None:
                    self._move(kernel, group)

    def _move(self, kernel: Tensor, group: dict[str, Any]) -> None:
        gradient, state = kernel.grad, self.state[kernel]
        if gradient is None:
            return
        bias, mean = self._biases.get(kernel), state.get("input_mean")
        if bias is not None and bias.grad is not None and mean is not None:
            gradient = gradient - bias.grad[:, None, None, None] * mean[:, None, None]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum: Tensor = state["momentum"]
        momentum.mul_(group["momentum"]).add_(gradient)
        ahead = (gradient + group["momentum"] * momentum).flatten(1)
        update = orthogonalised(ahead) * (_ADAM_RMS * max(ahead.shape) ** 0.5)
        kept, update = 1 - group["lr"] * group["weight_decay"], update.view(kernel.shape)
        kernel.mul_(kept).add_(update, alpha=-group["lr"])
        if bias is not None and mean is not None:
            # The bias decays with its kernel, so a feature's mean keeps its ratio to its variation.
            bias.mul_(kept).add_(update.sum(dim=(2, 3)) @ mean, alpha=group["lr"])

    @torch.no_grad()
    def _note_inputs(self, kernel: Tensor, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Update each channel's running mean from the first picture only: cheap, and enough."""
        mean = inputs[0][:1].float().mean(dim=(0, 2, 3))
        state = self.state[kernel]
        if "input_mean" in state:
            state["input_mean"].lerp_(mean, 1 - _MEAN_DECAY)
        else:
            state["input_mean"] = mean

    def _agree_on_means(self) -> None:
        """Average the means over all processes of a run, so that all take the same step."""
        if self._biases and distributed.is_initialized():
            states = [self.state[kernel] for kernel in self._biases]
            means = [state["input_mean"] for state in states if "input_mean" in state]
            agreed = torch.cat(means)
            distributed.all_reduce(agreed)
            agreed /= distributed.get_world_size()
            for mean, part in zip(means, torch.split(agreed, [*map(len, means)]), strict=True):
                mean.copy_(part)


def hidden_convolutions(network: nn.Module) -> list[nn.Conv2d]:
    """Return the convolutions between feature maps."""
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    return [
        convolution
        for convolution in convolutions
        if min(convolution.weight.shape[:2]) >= _LEAST_CHANNELS
    ]


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return ``(M, N)`` with the same singular vectors and with singular values near one.

    A quintic Newton-Schulz iteration; values end between 0.7 and 1.2, which is near enough.
    """
    is_wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if is_wide else matrix.T
    x = x / (x.norm() + 1e-7)
    # Every iterate is a polynomial of the first Gram matrix times x: all but the first and the last
    # product are between small square matrices.
    gram = x @ x.T
    factor = step = _newton_schulz_step(gram)
    for _ in range(_ITERATIONS - 1):
        gram = step @ gram @ step
        step = _newton_schulz_step(gram)
        factor = step @ factor
    x = factor @ x
    result: Tensor = x if is_wide else x.T
    return result


def _newton_schulz_step(gram: Tensor) -> Tensor:
    """Return the factor of one iteration for a matrix with this Gram matrix."""
    a, b, c = _QUINTIC
    step = torch.addmm(b * gram, gram, gram, alpha=c)
    step.diagonal().add_(a)
    return step
