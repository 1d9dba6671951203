"""A network that takes pictures of any size: by OpenVINO where it is faster, else PyTorch."""

import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from threading import Condition
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from restore.engine.lane import Lane, Model, TileTooLarge
from restore.engine.openvino_lanes import serving_lanes
from restore.engine.placement import Placement
from restore.engine.tiles import Area, each_tile, run_overlapping
from restore.errors import DeviceError, UsageError

__all__ = ["ENGINE_VARIABLE", "PerTile", "Run", "Runner"]

Pixels = NDArray[np.float32]
Run = Callable[..., Pixels]
"""Runs the network on one tile, as ``Lane`` does."""
PerTile = Callable[[Run, Pixels], Pixels]
"""What a task does with a tile ``[C, h, w]``: makes it ready, runs it, and finishes the result."""

ENGINE_VARIABLE = "IMRESTORE_ENGINE"
"""Environment variable that chooses what runs networks: auto, pytorch or openvino."""

_LEAST_TILE = 64

log = logging.getLogger("restore")


def as_it_is(run: Run, patch: Pixels) -> Pixels:
    """Return what the network makes of a tile, ``[C, h, w]`` to ``[C', scale * h, scale * w]``."""
    result: Pixels = run(patch[None])[0]
    return result


class Runner:
    """Runs one network on one device, or on all GPUs; may be called from several threads.

    Lanes run the same network side by side; whoever has a tile gets the one that is free first.
    Where a lane runs out of memory, all go on with tiles of half the size. A lane without room for
    a small tile is shut and the others begin again with the first size; once all are shut, the
    processor takes over.

    Args:
        model: what to run; where it is read from a file, PyTorch is imported only if it is needed.
        placement: where and how.
        method: of the network, that is called; only ``forward`` is run by OpenVINO.
        is_residual: the network computes what is subtracted from its input, so that all of it may
            be rounded to bfloat16.
        auto_tile: side of the tiles in pixels where the placement leaves it open; None for the
            side that suits the device.

    Raises:
        UsageError: an option that does not exist.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self,
        model: Model,
        placement: Placement,
        *,
        method: str = "forward",
        is_residual: bool = False,
        auto_tile: int | None = None,
    ) -> None:
        self.name = model.name
        self._lanes_on = partial(
            _lanes_of, model, placement, method=method, is_residual=is_residual
        )
        self._tile_size, self._auto_tile = placement.tile_size, auto_tile
        self._changed = Condition()
        self._generation = 0
        self._open(placement.device)
        self.traits = self._first.traits

    @property
    def engine(self) -> str:
        """What runs the network: pytorch or openvino."""
        return self._first.engine

    @property
    def device(self) -> str:
        """Where it runs; several devices with commas between them."""
        return ",".join(dict.fromkeys(lane.device for lane in list(self._lanes)))

    @property
    def precision(self) -> str:
        """The number format it runs in: fp32, fp16 or bf16."""
        return self._first.precision

    @property
    def lanes(self) -> int:
        """How many tiles it works on at once."""
        return len(self._lanes)

    def record(self) -> dict[str, str | int]:
        """Return what ran, and where, for the record of a result."""
        return {
            "model": self.name,
            "device": self.device,
            "engine": self.engine,
            "precision": self.precision,
            "tile": self.tile,
        }

    def tiled(
        self, pixels: Pixels, per_tile: PerTile = as_it_is, *, channels: int | None = None
    ) -> Pixels:
        """Apply the network to a picture tile by tile; equals applying it to the whole.

        Args:
            pixels: ``[C, H, W]``, any size from 1x1.
            per_tile: what is done with each tile.
            channels: of the result; None for those of ``pixels``.

        Returns:
            ``[channels, scale * H, scale * W]``.

        Raises:
            DeviceError: the machine has not enough memory for a small tile.
        """
        inputs, height, width = pixels.shape
        scale = self.traits.scale
        while True:
            with _Attempt(self) as attempt:
                shape = (channels or inputs, scale * height, scale * width)
                result = np.empty(shape, dtype=pixels.dtype)
                for part, _, restored in attempt.tiles(
                    per_tile, lambda part: pixels[:, *part], height, width
                ):
                    result[:, *part] = restored
                return result

    def by_tiles(
        self,
        read: Callable[[Area], Pixels],
        begin: Callable[[], Callable[[Area, Pixels, Pixels], None]],
        per_tile: PerTile = as_it_is,
        *,
        height: int,
        width: int,
    ) -> None:
        """Apply the network to a picture that is not in memory, as ``tiled`` does to one that is.

        Args:
            read: returns a part of the picture, ``[C, h, w]``; asked for tiles row by row.
            begin: returns what takes each part of the result: where it belongs, the pixels that it
                was made of, and those that were made. It is called again where a device ran out of
                memory; then all parts come once more.
            per_tile: what is done with each tile.
            height: rows of the picture.
            width: columns of the picture.

        Raises:
            DeviceError: the machine has not enough memory for a small tile.
        """
        while True:
            with _Attempt(self) as attempt:
                take = begin()
                for part, original, restored in attempt.tiles(per_tile, read, height, width):
                    take(part, original, restored)
                return

    def overlapping(
        self,
        pixels: Pixels,
        ready: Callable[[Pixels], Pixels],
        *,
        stride: int,
        windows: int,
        channels: int,
    ) -> Pixels:
        """Apply a network of one input size to overlapping windows; return their weighted mean.

        Args:
            pixels: ``[C, H, W]``, any size.
            ready: makes windows ``[B, C, window, window]`` ready for the network.
            stride: from one window to the next in pixels.
            windows: that the network takes at once with tiles of ``auto_tile``; in proportion fewer
                where tiles are smaller.
            channels: of the result.

        Returns:
            ``[channels, H, W]``.

        Raises:
            DeviceError: the machine has not enough memory for one window.
        """
        assert self.traits.window is not None
        auto_tile = self._auto_tile or self._first_tile
        while True:
            with _Attempt(self) as attempt:
                return run_overlapping(
                    lambda crops: attempt.run(ready(crops)),
                    pixels,
                    window=self.traits.window,
                    stride=stride,
                    channels=channels,
                    batch=max(1, windows * attempt.tile // auto_tile),
                    workers=attempt.workers,
                )

    def _open(self, device: str) -> None:
        self._lanes = list(self._lanes_on(device))
        self._free = deque(self._lanes)
        self._first = self._lanes[0]
        auto = self._auto_tile or self._first.traits.scale * self._first.auto_tile
        self.tile = self._first_tile = self._tile_size(auto)
        self._generation += 1

    def in_lane(self, generation: int, *inputs: Pixels) -> Pixels:
        """Return what the network makes of one tile, in the lane that is free first.

        Raises:
            TileTooLarge: its device ran out of memory (``lane`` says which), or the lanes are not
                those of ``generation`` any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._free or generation != self._generation)
            if generation != self._generation:
                raise TileTooLarge("the lanes were shut")
            lane = self._free.popleft()
        try:
            return lane(*inputs)
        except TileTooLarge as error:
            error.lane = lane
            raise
        finally:
            with self._changed:
                if lane in self._lanes:
                    self._free.append(lane)
                    self._changed.notify()

    def make_room(self, attempt: "_Attempt", error: TileTooLarge) -> None:
        """Take smaller tiles, or fewer lanes, after an attempt ran out of memory.

        Raises:
            DeviceError: not even a small tile fits the processor's memory.
        """
        with self._changed:
            if attempt.generation != self._generation or self.tile < attempt.tile:
                return  # another thread was here before
            if attempt.tile > _LEAST_TILE:
                self.tile = max(_LEAST_TILE, attempt.tile // 2)
            elif self._first.device == "cpu" or error.lane is None:
                raise DeviceError("not enough memory for the network") from error
            else:
                self._shut(error.lane)
                self.tile = self._first_tile
            self._changed.notify_all()

    def _shut(self, lane: Lane) -> None:
        """Give ``lane`` no more work; without any other, go on with the processor."""
        was_open = lane in self._lanes
        self._lanes = [each for each in self._lanes if each is not lane]
        self._free = deque(each for each in self._free if each is not lane)
        if not self._lanes:
            log.warning("%s ran out of memory; going on with the processor", lane.device)
            self._open("cpu")
        elif was_open and all(lane.device != other.device for other in self._lanes):
            log.warning("%s ran out of memory; going on without it", lane.device)


class _Attempt:
    """One try to do all of the work, with tiles of one size; ended by ``TileTooLarge`` in silence.

    Args:
        runner: whose lanes are used.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __enter__(self) -> "_Attempt":
        runner = self._runner
        with runner._changed:
            self.generation, self.tile = runner._generation, runner.tile
            lanes = runner.lanes
        self.run: Run = partial(runner.in_lane, self.generation)
        # What one lane runs, another worker makes ready or puts away.
        self.workers = 2 * lanes if lanes > 1 else 1
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, TileTooLarge):
            return False
        self._runner.make_room(self, error)
        return True

    def tiles(
        self, per_tile: PerTile, read: Callable[[Area], Pixels], height: int, width: int
    ) -> "map[tuple[Area, Pixels, Pixels]]":
        traits = self._runner.traits
        return each_tile(
            partial(per_tile, self.run),
            read,
            height,
            width,
            tile=max(1, self.tile // traits.scale),
            halo=traits.halo,
            multiple=traits.multiple,
            scale=traits.scale,
            workers=self.workers,
        )


def _lanes_of(
    model: Model, placement: Placement, device: str, *, method: str, is_residual: bool
) -> Sequence[Lane]:
    engine = os.environ.get(ENGINE_VARIABLE) or "auto"
    if engine not in ("auto", "pytorch", "openvino"):
        raise UsageError(f"{ENGINE_VARIABLE}={engine}: set it to auto, pytorch or openvino")
    placement = replace(placement, device=device)
    if engine != "pytorch" and method == "forward":
        lanes = serving_lanes(model, placement, is_residual=is_residual)
        if lanes:
            return lanes
    if engine == "openvino" and method == "forward":
        raise DeviceError(
            f"{ENGINE_VARIABLE}=openvino: is not installed, or cannot run {model.name} "
            f"on {device} in {placement.precision}"
        )
    from restore.engine.torch_lanes import open_lanes

    return open_lanes(model, placement, method=method)
