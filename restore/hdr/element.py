"""Which optical element weights were trained for."""

import hashlib

from torch import Tensor

from restore.arguments import argument
from restore.errors import UsageError, WeightsError
from restore.hdr.optics.psf import resized
from restore.models.optical_element import psf_of
from restore.weights.store import Weights

__all__ = ["checked_psf", "element_name"]

_SAME_PSF = 0.1
_NAME_DIGITS = 16


def element_name(psf: Tensor) -> str:
    """Return a name for the element with a PSF ``(3, P, Q)``, the same for the same element.

    It is taken from the PSF as weights store it: square, as roots in half precision.
    """
    stored = resized(psf, max(psf.shape[1:])).clamp(min=0).sqrt().half()
    return hashlib.sha256(stored.contiguous().numpy().tobytes()).hexdigest()[:_NAME_DIGITS]


def checked_psf(weights: Weights, psf: Tensor | None, *, is_single: bool) -> Tensor | None:
    """Return the PSF of the captures, None for ordinary pictures.

    Args:
        weights: the network's.
        psf: PSF ``(3, P, Q)`` that the user gave, or None.
        is_single: whether the pictures are ordinary ones.

    Raises:
        WeightsError: weights for the other mode.
        UsageError: ``psf`` is not what the weights were trained for.
    """
    own = psf_of(weights.tensors)
    if is_single:
        if own is not None:
            raise WeightsError(
                f"{weights.name}: trained for captures through an optical element; "
                f"use {argument('mode', 'optics')}, or other weights"
            )
        return None
    if own is None and (psf is None or "converted_from" not in weights.provenance):
        raise WeightsError(
            f"{weights.name}: has no optical element; use {argument('mode', 'single')}, or weights "
            f"trained with {argument('optics')} learn or fixed"
        )
    if own is None or psf is None:
        return psf if own is None else own
    size = max(*own.shape[1:], *psf.shape[1:])
    difference = float((resized(own, size) - resized(psf, size)).abs().sum()) / 2 / len(own)
    if difference > _SAME_PSF:
        raise UsageError(
            f"{weights.name} was trained for another PSF: {difference:.0%} of the light falls "
            "elsewhere; train for it with `imrestore train hdr DIR --optics fixed --psf FILE -o "
            "NAME.safetensors --time 2h`"
        )
    return own
