"""A network for anomalies on a device: pixels in, reconstruction and score map out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.edges import NO_EDGES, EdgeProfile
from restore.anomaly.shrink import shrunk
from restore.engine.choice import choose_precision, tile_size
from restore.engine.device import fast_precisions, resolve_devices
from restore.engine.fitting import Place, Placed
from restore.engine.lanes import Lanes
from restore.engine.tiles import run_overlapping, run_tiled
from restore.engine.torch_lane import TorchLane, torch_lanes
from restore.models.autoencoder import Autoencoder
from restore.weights.store import Weights, build

__all__ = ["InspectionBackend", "Scored"]

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


class InspectionBackend(Placed[TorchLane]):
    """Runs one anomaly network on one device, or on all GPUs; may be called from several threads.

    Args:
        weights: what to run.
        scale: pictures are made smaller by this whole factor first.
        edges: by which scores near the edges of pictures are divided.
        device: auto, cpu, cuda, cuda:N, cuda:all or mps.
        precision: auto, fp32, fp16 or bf16.
        tile: side of a tile in pixels, or auto.

    Raises:
        UsageError: an option that does not exist.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        scale: int = 1,
        edges: EdgeProfile = NO_EDGES,
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
    ) -> None:
        self.weights, self.scale, self.edges = weights, scale, edges
        self._wanted_precision, self._wanted_tile = precision, tile
        network: Any = build(weights)
        self._window = int(network.window) if isinstance(network, Autoencoder) else None
        if self._window is None:
            self._halo, self._multiple = int(network.halo), int(network.multiple)
        self._place = Place(
            *self._opened(device, network),
            to_processor=lambda: self._opened("cpu", build(weights)),
        )

    def _opened(self, device: str, network: Any) -> tuple[Lanes[TorchLane], int]:
        devices = resolve_devices(device)
        precision = choose_precision(
            self._wanted_precision, fast_precisions(devices[0]), self.weights.precision_loss_db
        )
        lanes = torch_lanes(network, devices, precision, function=lambda each: each.inspect)
        return Lanes(lanes), tile_size(self._wanted_tile, _TILE)

    def __call__(self, pixels: NDArray[np.float32]) -> Scored:
        """Score a part.

        Args:
            pixels: ``[C, H, W]`` in [0, 1] with the network's channels; any size.

        Raises:
            DeviceError: not even a small tile fits the device's memory.
        """
        small = _shrunk(pixels, self.scale)
        result = self._place.fitting(lambda lanes, tile: self._run(lanes, small, tile))
        self.edges.relieve(result[-1])
        return Scored(result[:-1], result[-1])

    def _run(
        self, lanes: Lanes[TorchLane], pixels: NDArray[np.float32], tile: int
    ) -> NDArray[np.float32]:
        channels = len(pixels) + 1
        if self._window is not None:
            return run_overlapping(
                lambda crops: lanes(_clean(crops)),
                pixels,
                window=self._window,
                stride=self._window // _STRIDE,
                channels=channels,
                batch=max(1, _WINDOWS * tile // _TILE),
                workers=lanes.workers,
            )
        return run_tiled(
            lambda patch: lanes(_clean(patch[None]))[0],
            pixels,
            tile=tile,
            halo=self._halo,
            multiple=self._multiple,
            channels=channels,
            workers=lanes.workers,
        )


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
