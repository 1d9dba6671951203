"""Losses that training minimises."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LOSSES"]

_EIGHT_BIT_STEP = 1 / 255


def _psnr_loss(result: Tensor, clean: Tensor) -> Tensor:
    """Return the mean log of the crops' squared errors in units of one 8-bit step, plus one.

    A relative change of the error counts the same in every crop, whether its noise is weak or
    strong; with plain differences, strong noise dominates the loss. Errors below one step of eight
    bits count less and less, so that crops of blue sky do not outweigh all others.
    """
    squared = (result - clean).square().flatten(1).mean(dim=1)
    return torch.log1p(squared / _EIGHT_BIT_STEP**2).mean()


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "psnr": _psnr_loss,
}
"""Name to loss; each maps result and clean ``(B, C, H, W)``, in [0, 1] units, to a scalar >= 0."""
