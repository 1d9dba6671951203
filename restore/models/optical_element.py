"""The optical element that a network was trained with, carried among its tensors."""

from typing import cast

import torch
from torch import Tensor, nn

from restore.errors import WeightsError
from restore.models.trace_gathering import TraceGathering

__all__ = [
    "carry_element",
    "check_element",
    "height_map_of",
    "psf_of",
    "set_element",
]

_MICROMETRE = 1e-6


def check_element(psf_size: int, cells: int) -> None:
    """Refuse sizes that no element has.

    Raises:
        WeightsError: an even or negative size.
    """
    if psf_size < 0 or cells < 0 or (psf_size and psf_size % 2 == 0) or (cells and not psf_size):
        raise WeightsError(f"no optical element has a PSF of {psf_size} pixels and {cells} cells")


def carry_element(network: nn.Module, psf_size: int, cells: int) -> None:
    """Give ``network`` room for a PSF and, if the element was designed here, for its heights.

    The square roots of a PSF keep its faint parts through half precision.
    """
    if psf_size:
        network.register_buffer("psf_roots", torch.zeros(3, psf_size, psf_size))
    if cells:
        network.register_buffer("height_map_um", torch.zeros(cells, cells))


def set_element(network: nn.Module, psf: Tensor, height_m: Tensor | None = None) -> None:
    """Write ``psf`` ``(3, P, P)`` and heights ``(N, N)`` in metres into a network."""
    cast(Tensor, network.psf_roots).copy_(psf.clamp(min=0).sqrt())
    for module in network.modules():
        if isinstance(module, TraceGathering):
            module.set_psf(psf)
    if height_m is not None:
        cast(Tensor, network.height_map_um).copy_(height_m / _MICROMETRE)


def psf_of(tensors: "dict[str, Tensor]") -> Tensor | None:
    """Return the PSF among a network's tensors, ``(3, P, P)`` with the sums 1, or None."""
    roots = tensors.get("psf_roots")
    if roots is None:
        return None
    psf = roots.float().square()
    return psf / psf.sum(dim=(1, 2), keepdim=True)


def height_map_of(tensors: "dict[str, Tensor]") -> Tensor | None:
    """Return the heights among a network's tensors, ``(N, N)`` in metres, or None."""
    heights = tensors.get("height_map_um")
    return None if heights is None else heights.float() * _MICROMETRE
