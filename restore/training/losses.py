"""What training minimises."""

from collections.abc import Callable, Mapping

from torch import Tensor
from torch.nn import functional as F

__all__ = ["LOSSES"]

LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "l2": F.mse_loss}
"""Name to loss; each maps result and clean ``(B, C, H, W)`` to a scalar, in [0, 1] units."""
