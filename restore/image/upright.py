"""EXIF orientation, applied to pixels where a container cannot carry it."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.image.picture import Picture

__all__ = ["upright", "upright_plane"]


def upright_plane(plane: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn the last two axes ``[..., H, W]`` as EXIF orientation 1..8 asks for."""
    if orientation in (5, 6, 7, 8):
        plane = plane.swapaxes(-1, -2)
    if orientation in (2, 3, 6, 7):
        plane = plane[..., ::-1]
    if orientation in (3, 4, 7, 8):
        plane = plane[..., ::-1, :]
    return np.ascontiguousarray(plane)


def upright(picture: Picture) -> Picture:
    """Return the picture as it is to be looked at, with orientation 1.

    EXIF and XMP are dropped: both may still tell viewers to turn it.
    """
    alpha = picture.alpha
    return replace(
        picture,
        pixels=upright_plane(picture.pixels, picture.orientation),
        alpha=None if alpha is None else upright_plane(alpha, picture.orientation),
        orientation=1,
        exif=None,
        xmp=None,
    )
