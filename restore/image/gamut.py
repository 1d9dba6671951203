"""Light of any primaries in those of sRGB, for files that cannot say which theirs are."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from restore.image.picture import Picture
from restore.image.primaries import SRGB_PRIMARIES, adaptation_to_d50

__all__ = ["in_srgb_primaries"]


def in_srgb_primaries(light: Picture) -> Picture:
    """Return a linear picture whose colours are those of ``light``.

    What sRGB cannot show becomes negative or brighter than white in some channel. Primaries that
    are no colours are taken for sRGB's.

    Args:
        light: linear; one without ``primaries`` is in sRGB's already.
    """
    if light.primaries in ("", SRGB_PRIMARIES) or light.channels == 1:
        return light
    try:
        with np.errstate(all="ignore"):  # what comes of zeros is no number
            matrix = np.linalg.inv(_to_xyz(SRGB_PRIMARIES)) @ _to_xyz(light.primaries)
    except np.linalg.LinAlgError:
        return light
    if not np.isfinite(matrix).all():
        return light
    pixels = np.tensordot(matrix.astype(np.float32), light.pixels, axes=1)
    return replace(light, pixels=pixels, primaries="")


def _to_xyz(primaries: str) -> NDArray[np.float64]:
    """Return the matrix ``[3, 3]`` from light of these primaries to XYZ under D50."""
    x, y = np.array(primaries.split(), dtype=np.float64).reshape(4, 2).T
    *colours, white = (np.stack([x, y, 1 - x - y]) / y).T
    columns = np.stack(colours, axis=1)
    scaled = columns * np.linalg.solve(columns, white)
    return np.asarray(adaptation_to_d50(white) @ scaled)
