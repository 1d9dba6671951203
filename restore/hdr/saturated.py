"""Saturated light: where it is, what restores it tile by tile, and how bright it may become."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.engine.runner import Run
from restore.hdr.optics.sensor import LARGEST_RADIANCE

__all__ = ["LostTile", "cap", "saturated_where", "share_of_white"]


def share_of_white(light: NDArray[np.float32], white: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the highest share of its white that a channel has, ``[H, W]``."""
    share: NDArray[np.float32] = light[0] / white[0]
    for channel, level in zip(light[1:], white[1:], strict=True):
        np.maximum(share, channel / level, out=share)
    return share


def saturated_where(light: NDArray[np.float32], white: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the pixels of which a channel is saturated, ``[H, W]``."""
    saturated: NDArray[np.bool_] = share_of_white(light, white) >= 1
    return saturated


def cap(restored: NDArray[np.float32], white: NDArray[np.float32], max_stops: float | None) -> None:
    """Clip light to what networks are trained for, and to so many stops above white."""
    for channel, level in zip(restored, white, strict=True):
        most = LARGEST_RADIANCE
        if max_stops is not None and np.isfinite(level):
            most = min(most, float(level) * 2**max_stops)
        np.clip(channel, 0, most, out=channel)


@dataclass(frozen=True)
class LostTile:
    """Reconstructs the light ``[3, h, w]`` of a tile, in the unit of the light; see ``PerTile``.

    Attributes:
        white: light ``[3]`` at which each channel saturates.
        light_of: function from samples to linear light ``[3, h, w]``.
        needed_above: share of white; tiles that stay below it come back unchanged.
    """

    white: NDArray[np.float32]
    light_of: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda samples: samples
    needed_above: float = 0.0

    def __call__(self, run: Run, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        light = self.light_of(patch)
        scale = self.white[:, None, None]
        exposed = np.clip(light / scale, 0, 1)
        if exposed.max() < self.needed_above:
            return light
        reconstructed: NDArray[np.float32] = run(exposed[None])[0] * scale
        return reconstructed
