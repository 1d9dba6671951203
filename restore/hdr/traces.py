"""Where an encoding element casts light: which lost pixels left traces, and which bear them."""

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from torch import Tensor

from restore.hdr.radiance import Known, guessed_where

__all__ = ["cast_light", "known_through", "traced_share"]

_CORE_PX = 3
_LEAST_EVIDENCE = 0.005
_GHOST_SHARE, _LEAST_GHOST = 0.1, 2 / 255
_BAND_PX = 512


def known_through(
    restored: NDArray[np.float32], saturated: NDArray[np.bool_], psf: Tensor | None
) -> NDArray[np.uint8]:
    """Return ``Known`` codes ``[H, W]`` of what was restored from a capture through an element.

    Saturated pixels are decoded where the element cast some of their light on unsaturated ones,
    and guessed elsewhere. Unsaturated pixels are decoded, not measured, where a tenth of what the
    sensor saw of them was cast there.

    Args:
        restored: radiance ``[3, H, W]``.
        saturated: ``[H, W]``.
        psf: ``(3, P, Q)``, or None if the element is not known.
    """
    known = guessed_where(saturated)
    if not saturated.any() or psf is None:
        return known
    known[saturated & (traced_share(saturated, psf) > _LEAST_EVIDENCE)] = Known.DECODED
    ghosts = cast_light(restored, saturated, psf)
    seen = restored.mean(axis=0) + ghosts
    known[~saturated & (ghosts > np.maximum(_GHOST_SHARE * seen, _LEAST_GHOST))] = Known.DECODED
    return known


def traced_share(saturated: NDArray[np.bool_], psf: Tensor) -> NDArray[np.float32]:
    """Return the share of each pixel's light that falls on unsaturated pixels, ``[H, W]``.

    The core of the PSF is left out: it falls on the pixel itself.

    Args:
        saturated: ``[H, W]``.
        psf: ``(3, P, Q)``.
    """
    # A correlation: light of a pixel lands where the PSF, centred on it, says.
    return _convolved(~saturated, _beside(psf)[::-1, ::-1], needed=saturated)


def cast_light(
    light: NDArray[np.float32], saturated: NDArray[np.bool_], psf: Tensor
) -> NDArray[np.float32]:
    """Return the light that saturated pixels cast on each pixel outside their core, ``[H, W]``.

    Args:
        light: radiance as restored, ``[3, H, W]``.
        saturated: ``[H, W]``.
        psf: ``(3, P, Q)``.
    """
    lost = light.mean(axis=0) * saturated
    return _convolved(lost, _beside(psf), needed=~saturated)


def _beside(psf: Tensor) -> NDArray[np.float32]:
    """Return the mean PSF of all colours without its core."""
    spread = psf.mean(dim=0)
    rows, columns = (size // 2 for size in spread.shape)
    far = spread.clone()
    top, left = max(0, rows - _CORE_PX), max(0, columns - _CORE_PX)
    far[top : rows + _CORE_PX + 1, left : columns + _CORE_PX + 1] = 0
    beside: NDArray[np.float32] = far.numpy()
    return beside


def _convolved(
    plane: NDArray[np.generic], kernel: NDArray[np.float32], *, needed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Convolve ``[H, W]`` with a kernel of odd sides, in bands that hold what is needed.

    The transforms of a whole picture would take many times its memory.
    """
    height, width = plane.shape
    rows, columns = (size // 2 for size in kernel.shape)
    result = np.zeros((height, width), dtype=np.float32)
    for top in range(0, height, _BAND_PX):
        bottom = min(top + _BAND_PX, height)
        first = max(0, top - rows)
        band = plane[first : bottom + rows]
        if not needed[top:bottom].any() or not band.any():
            continue
        full = signal.oaconvolve(band.astype(np.float32), kernel, mode="full")
        start = top - first + rows
        result[top:bottom] = full[start : start + bottom - top, columns : columns + width]
    return result
