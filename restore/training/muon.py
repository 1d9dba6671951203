"""Muon: momentum whose steps are made orthogonal, for the hidden layers of a network."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["Muon", "hidden_kernels", "orthogonalised"]

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_LEAST_CHANNELS = 16
_ADAM_RMS = 0.2


class Muon(Optimizer):
    """Steps along the orthogonalised momentum of each kernel.

    Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024: the momentum of
    a kernel, as a matrix (outputs, inputs * k * k), is replaced by the nearest matrix with
    orthonormal rows or columns, so that a step moves all directions alike, the rare ones too. Its
    size is matched to Adam's (Liu et al., "Muon is Scalable for LLM Training", 2025).

    Steps of one size make kernels grow without end, and with them the features: what a layer adds,
    a later one takes away again, and half precision loses the difference. Decay holds them.

    Args:
        kernels: convolution kernels ``(O, I, k, k)``.
        lr: learning rate, on Adam's scale.
        momentum: Nesterov's.
        weight_decay: share of a kernel that a step of learning rate 1 would take away.
    """

    def __init__(
        self,
        kernels: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.3,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(list(kernels), settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step."""
        del closure
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is not None:
                    self._move(kernel, group)

    def _move(self, kernel: Tensor, group: dict[str, Any]) -> None:
        gradient, state = kernel.grad, self.state[kernel]
        if gradient is None:
            return
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        momentum: Tensor = state["momentum"]
        momentum.mul_(group["momentum"]).add_(gradient)
        ahead = (gradient + group["momentum"] * momentum).flatten(1)
        update = orthogonalised(ahead) * (_ADAM_RMS * max(ahead.shape) ** 0.5)
        kernel.mul_(1 - group["lr"] * group["weight_decay"])
        kernel.add_(update.view(kernel.shape), alpha=-group["lr"])


def hidden_kernels(network: nn.Module) -> list[Tensor]:
    """Return the kernels of the convolutions between feature maps."""
    convolutions = (module for module in network.modules() if isinstance(module, nn.Conv2d))
    kernels = (convolution.weight for convolution in convolutions)
    return [kernel for kernel in kernels if min(kernel.shape[:2]) >= _LEAST_CHANNELS]


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix ``(M, N)`` of the same directions with singular values near one.

    A quintic Newton-Schulz iteration; values end between 0.7 and 1.2, which is near enough.
    """
    a, b, c = _QUINTIC
    is_wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if is_wide else matrix.T
    x = x / (x.norm() + 1e-7)
    # Every iterate is a polynomial of the first Gram matrix times x: all but the first and the last
    # product are between small square matrices.
    gram = x @ x.T
    factor = torch.eye(len(x), dtype=x.dtype, device=x.device)
    for _ in range(_ITERATIONS):
        step = torch.addmm(b * gram, gram, gram, alpha=c)
        step.diagonal().add_(a)
        factor = step @ factor
        gram = step @ gram @ step
    x = factor @ x
    result: Tensor = x if is_wide else x.T
    return result
