"""A network for anomalies on a device: pixels in, reconstruction and score map out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.edges import NO_EDGES, EdgeProfile
from restore.anomaly.shrink import shrunk
from restore.anomaly.task import TASK
from restore.engine.placement import Placement
from restore.engine.runner import Run, Runner
from restore.weights.store import Weights

__all__ = ["InspectionNetwork", "Scored"]

_TILE = 1024
"""Halos of two networks, one after the other, are wide: small tiles would mostly be halo."""
_WINDOWS = 16
"""Windows of an autoencoder at once, with tiles of that size; fewer where they must be smaller."""
_STRIDE = 4
"""Windows of an autoencoder overlap so that every pixel lies in the middle of one."""
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Scored:
    """What a network makes of a part.

    Attributes:
        reconstruction: ``[C, h, w]`` in [0, 1], at the network's scale.
        scores: ``[h, w]``, never negative, higher where a pixel is less like those of good parts.
    """

    reconstruction: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def score(self) -> float:
        """Of the whole part: the highest in the map."""
        return float(self.scores.max())


class InspectionNetwork:
    """Runs one anomaly network; may be called from several threads.

    Args:
        weights: what to run.
        placement: where and how.
        scale: pictures are made smaller by this whole factor first.
        edges: by which scores near the edges of pictures are divided.

    Raises:
        UsageError: an option that does not exist.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self,
        weights: Weights,
        placement: Placement,
        *,
        scale: int = 1,
        edges: EdgeProfile = NO_EDGES,
    ) -> None:
        self.weights, self.scale, self.edges = weights, scale, edges
        self.runner = Runner(weights, placement, method=TASK.method, auto_tile=_TILE)

    def __call__(self, pixels: NDArray[np.float32]) -> Scored:
        """Score a part.

        Args:
            pixels: ``[C, H, W]`` in [0, 1] with the network's channels; any size.

        Raises:
            DeviceError: not even a small tile fits the device's memory.
        """
        small = _shrunk(pixels, self.scale)
        channels, window = len(small) + 1, self.runner.traits.window
        if window is None:
            result = self.runner.tiled(small, _inspected, channels=channels)
        else:
            result = self.runner.overlapping(
                small, _clean, stride=window // _STRIDE, windows=_WINDOWS, channels=channels
            )
        self.edges.relieve(result[-1])
        return Scored(result[:-1], result[-1])


def _inspected(run: Run, patch: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = run(_clean(patch[None]))[0]
    return result


def _shrunk(pixels: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Return pixels made smaller, cleaned before: a single one must not decide for its square."""
    if scale == 1:
        return pixels
    step = scale * max(1, _ROWS_AT_ONCE // scale)
    bands = (pixels[:, top : top + step] for top in range(0, pixels.shape[1], step))
    return np.concatenate([shrunk(_clean(band), scale) for band in bands], axis=1)


def _clean(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    # In parts: a cleaned copy of a whole large picture would be one too many in memory.
    return np.ascontiguousarray(np.clip(np.nan_to_num(crops, posinf=1), 0, 1))
