"""Counts of photons, on every device."""

import torch
from torch import Tensor

__all__ = ["poisson"]

_SEEDS = 2**31


def poisson(rate: Tensor, generator: torch.Generator) -> Tensor:
    """Return Poisson counts with these means.

    Args:
        rate: not negative.
        generator: on the device of ``rate``. Where PyTorch cannot draw counts there, as on MPS,
            they are drawn on the host, from a seed that it draws.
    """
    try:
        return torch.poisson(rate, generator=generator)
    except NotImplementedError:
        seed = torch.randint(_SEEDS, (), generator=generator, device=rate.device)
        host = torch.Generator().manual_seed(int(seed))
        return torch.poisson(rate.cpu(), generator=host).to(rate.device)
