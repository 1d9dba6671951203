"""Validation on pictures that a network is not trained on."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.image.metrics import psnr_chw

__all__ = ["HeldOut", "Validation"]

_MOST_ROWS = 4


class HeldOut(Protocol):
    """A batch of one picture."""

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Inputs of the network."""

    @property
    def clean(self) -> Tensor:
        """Expected result, ``(1, C, H, W)`` in [0, 1]."""

    @property
    def shown(self) -> Tensor:
        """The input as a picture, ``(1, C, H, W)`` in [0, 1]."""


class Validation:
    """Mean PSNR in dB over held-out pictures, results clamped to [0, 1].

    Args:
        held_out: batches of one picture each.
        device: device of the network.
    """

    def __init__(self, held_out: Sequence[HeldOut], device: torch.device) -> None:
        self.held_out = list(held_out)
        self.device = device
        self._results: list[Tensor] = []

    def __call__(self, network: nn.Module) -> float:
        """Return the mean PSNR of ``network``, which is left in evaluation mode."""
        network.eval()
        scores = []
        self._results = []
        with torch.inference_mode():
            for batch in self.held_out:
                inputs = (tensor.to(self.device) for tensor in batch.inputs)
                result = network(*inputs).clamp(0, 1).cpu()
                scores.append(psnr_chw(result[0].numpy(), batch.clean[0].numpy()))
                self._results.append(result)
        return sum(scores) / len(scores)

    def sheet(self) -> Tensor | None:
        """Return noisy, restored and clean side by side, ``(3, H, W)``, or None before a call."""
        rows = [
            torch.cat([batch.shown, result, batch.clean], dim=3)[0].expand(3, -1, -1)
            for batch, result in zip(self.held_out[:_MOST_ROWS], self._results, strict=False)
        ]
        widest = max((row.shape[2] for row in rows), default=0)
        return (
            torch.cat([F.pad(row, (0, widest - row.shape[2])) for row in rows], 1) if rows else None
        )
