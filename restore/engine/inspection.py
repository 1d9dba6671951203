"""A network for anomalies on a device: pixels in, reconstruction and score map out."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from restore.engine.choice import choose_precision, tile_size
from restore.engine.device import PRECISIONS, fast_precisions, resolve_device
from restore.engine.fitting import where_it_fits
from restore.engine.overlap import run_overlapping
from restore.engine.tiles import run_tiled
from restore.engine.torch_runner import exact_float32, memory_errors
from restore.image.shrink import shrunk
from restore.models.autoencoder import Autoencoder
from restore.weights import Weights, build

__all__ = ["InspectionBackend", "Scored"]

_TILE = 1024
"""Halos of two networks, one after the other, are wide: small tiles would mostly be halo."""
_STRIDE = 4
"""Windows of an autoencoder overlap so that every pixel lies in the middle of one."""


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


class InspectionBackend:
    """Runs one anomaly network on one device.

    Args:
        weights: what to run.
        scale: pictures are made smaller by this whole factor first.
        device: auto, cpu, cuda, cuda:N or mps.
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
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
    ) -> None:
        self.weights, self.scale = weights, scale
        self._wanted_precision, self._wanted_tile = precision, tile
        self._move_to(device)

    def _move_to(self, device: str) -> None:
        self.device = resolve_device(device)
        self.precision = choose_precision(
            self._wanted_precision, fast_precisions(self.device), self.weights.precision_loss_db
        )
        self.tile = tile_size(self._wanted_tile, _TILE)
        network: Any = build(self.weights)
        self._network = network.to(
            self.device, PRECISIONS[self.precision], memory_format=torch.channels_last
        )

    def __call__(self, pixels: NDArray[np.float32]) -> Scored:
        """Score a part.

        Args:
            pixels: ``[C, H, W]`` in [0, 1] with the network's channels; any size.

        Raises:
            DeviceError: not even a small tile fits the device's memory.
        """
        small = shrunk(pixels, self.scale)
        way = self._windowed if self._is_windowed else self._tiled
        result, self.tile = where_it_fits(
            lambda tile: way(small, tile),
            self.tile,
            device=str(self.device),
            to_processor=self._to_processor,
        )
        return Scored(result[:-1], result[-1])

    def _to_processor(self) -> int:
        self._move_to("cpu")
        return self.tile

    @property
    def _is_windowed(self) -> bool:
        return isinstance(self._network, Autoencoder)

    def _windowed(self, pixels: NDArray[np.float32], _tile: int) -> NDArray[np.float32]:
        window = int(self._network.window)
        return run_overlapping(
            self._run,
            pixels,
            window=window,
            stride=window // _STRIDE,
            channels=len(pixels) + 1,
        )

    def _tiled(self, pixels: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
        return run_tiled(
            lambda patch: self._run(patch[None])[0],
            pixels,
            tile=tile,
            halo=self._network.halo,
            multiple=self._network.multiple,
            channels=len(pixels) + 1,
        )

    def _run(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        # Tile by tile: a cleaned copy of a whole large picture would be one too many in memory.
        clean = np.clip(np.nan_to_num(crops, posinf=1), 0, 1)
        with memory_errors(), torch.inference_mode(), exact_float32(self.precision == "fp32"):
            inputs = torch.from_numpy(np.ascontiguousarray(clean)).to(self.device)
            result = cast(Any, cast(nn.Module, self._network)).inspect(inputs)
            outputs: NDArray[np.float32] = result.float().cpu().numpy()
        return outputs
