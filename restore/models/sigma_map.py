"""The noise level as an input channel."""

import torch
from torch import Tensor

__all__ = ["with_sigma_map"]


def with_sigma_map(noisy: Tensor, sigma: Tensor | None) -> Tensor:
    """Return ``noisy`` ``(B, C, H, W)`` with ``sigma`` ``(B,)`` as one more, constant channel.

    Raises:
        ValueError: ``sigma`` is None or does not hold one value per picture.
    """
    if sigma is None or sigma.shape != noisy.shape[:1]:
        raise ValueError(f"this network needs sigma of shape {list(noisy.shape[:1])}, got {sigma}")
    plane = sigma.to(noisy.dtype)[:, None, None, None].expand(-1, 1, *noisy.shape[2:])
    return torch.cat((noisy, plane), dim=1)
