"""The finest texture of what a denoiser took away."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.image.primaries import REC601_LUMA

__all__ = ["finest_luminance"]

_RADIUS_PX = 1.0


def finest_luminance(removed: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the luminance of ``removed`` without what a Gaussian of one pixel leaves of it.

    Grain at the scale of single pixels passes for texture; coarser noise shows as blotches, and
    coloured noise as specks, whatever their strength.

    Args:
        removed: picture minus result, ``(C, H, W)`` with one or three channels.

    Returns:
        ``(1, H, W)``, to be added to every channel of the result.
    """
    luminance = removed[0] if len(removed) == 1 else np.tensordot(REC601_LUMA, removed, axes=1)
    coarse = ndimage.gaussian_filter(luminance, _RADIUS_PX, mode="nearest")
    finest: NDArray[np.float32] = (luminance - coarse)[None]
    return finest
