"""Runs a network on pictures of any size, with OpenVINO where it is faster, else PyTorch."""

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

from restore.engine.heap import release_free_memory
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
"""Preprocesses a tile ``[C, h, w]``, runs the network on it, and postprocesses the output."""

ENGINE_VARIABLE = "IMRESTORE_ENGINE"
"""Environment variable that selects the engine: auto, pytorch or openvino."""

_LEAST_TILE = 64
_LARGE_PX = 4_000_000
"""Size of a picture in input pixels after which the memory of its tiles is given back."""

log = logging.getLogger("restore")


def as_it_is(run: Run, patch: Pixels) -> Pixels:
    """Run the network on an unchanged tile, ``[C, h, w]`` to ``[C', scale * h, scale * w]``."""
    result: Pixels = run(patch[None])[0]
    return result


class Runner:
    """Runs one network on one device, or on all GPUs; may be called from several threads.

    Lanes run the same network in parallel; each tile goes to the first free lane. When a lane runs
    out of memory, all continue with tiles of half the size. A lane that cannot hold even the
    smallest tile is closed, and the others start again at the initial size; once all are closed,
    the CPU takes over.

    Args:
        model: network to run; if it comes from a file, PyTorch is imported only when needed.
        placement: device, precision and tile size.
        method: name of the network's method to call.
        auto_tile: side of the tiles in pixels if the placement says auto; None for the device's
            default.

    Raises:
        UsageError: invalid device, precision, tile size or engine.
        DeviceError: device or engine not available, or no memory for the network.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self,
        model: Model,
        placement: Placement,
        *,
        method: str = "forward",
        auto_tile: int | None = None,
    ) -> None:
        self.name = model.name
        self._lanes_on = partial(_lanes_of, model, placement, method=method)
        self._tile_size, self._auto_tile = placement.tile_size, auto_tile
        self._changed = Condition()
        self._generation = 0
        self._open(placement.device)
        self.traits = self._first.traits

    @property
    def engine(self) -> str:
        """Name of the engine: pytorch or openvino."""
        return self._first.engine

    @property
    def device(self) -> str:
        """Name of the device; several are separated by commas."""
        return ",".join(dict.fromkeys(lane.device for lane in list(self._lanes)))

    @property
    def precision(self) -> str:
        """Number format: fp32, fp16 or bf16."""
        return self._first.precision

    @property
    def lanes(self) -> int:
        """Number of tiles that run in parallel."""
        return len(self._lanes)

    def record(self) -> dict[str, str | int]:
        """Return model, device, engine, precision and tile size, for the record of a result."""
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
            per_tile: processes one tile; see ``PerTile``.
            channels: number of output channels; None for that of ``pixels``.

        Returns:
            ``[channels, scale * H, scale * W]``.

        Raises:
            DeviceError: the machine lacks memory even for the smallest tile.
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
            read: returns an area of the picture, ``[C, h, w]``; called for tiles row by row.
            begin: returns the function that receives each part of the result: its area, its input
                pixels and its output pixels. When a device runs out of memory, it is called again,
                and all parts are delivered anew.
            per_tile: processes one tile; see ``PerTile``.
            height: height of the picture in pixels.
            width: width of the picture in pixels.

        Raises:
            DeviceError: the machine lacks memory even for the smallest tile.
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
        """Apply a network of fixed input size to overlapping windows; return the weighted mean.

        Args:
            pixels: ``[C, H, W]``, any size.
            ready: preprocesses windows ``[B, C, window, window]`` for the network.
            stride: distance between windows in pixels.
            windows: number of windows per call with tiles of ``auto_tile``; proportionally fewer
                with smaller tiles.
            channels: number of output channels.

        Returns:
            ``[channels, H, W]``.

        Raises:
            DeviceError: the machine lacks memory even for the smallest batch of windows.
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
        lanes = list(self._lanes_on(device))
        self._lanes, self._free = lanes, deque(lanes)
        self._first = lanes[0]
        auto = self._auto_tile or self._first.traits.scale * self._first.auto_tile
        self.tile = self._first_tile = self._tile_size(auto)
        self._generation += 1

    def in_lane(self, generation: int, *inputs: Pixels) -> Pixels:
        """Return the network's output for one tile, from the first free lane.

        Raises:
            TileTooLarge: the lane, stored in the error, ran out of memory, or the lanes of
                ``generation`` have been replaced.
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
        """Halve the tile size, or close a lane, after an attempt ran out of memory.

        Raises:
            DeviceError: not even the smallest tile fits into main memory.
        """
        with self._changed:
            if attempt.generation != self._generation or self.tile < attempt.tile:
                return  # another thread has made room already
            if attempt.tile > _LEAST_TILE:
                self.tile = max(_LEAST_TILE, attempt.tile // 2)
            elif self._first.device == "cpu" or error.lane is None:
                raise DeviceError("not enough memory for the network") from error
            else:
                self._shut(error.lane)
                self.tile = self._first_tile
            self._changed.notify_all()

    def _shut(self, lane: Lane) -> None:
        """Close ``lane``; if it was the last one, continue on the CPU."""
        others = [each for each in self._lanes if each is not lane]
        if not others:
            log.warning("%s ran out of memory; going on with the processor", lane.device)
            self._open("cpu")  # if that fails, the lane stays open: nobody may wait for none
            return
        was_open = len(others) < len(self._lanes)
        self._lanes = others
        self._free = deque(each for each in self._free if each is not lane)
        if was_open and all(lane.device != other.device for other in others):
            log.warning("%s ran out of memory; going on without it", lane.device)


class _Attempt:
    """One try at a picture with one tile size; leaving it by ``TileTooLarge`` allows a retry.

    Args:
        runner: runner whose lanes are used.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def __enter__(self) -> "_Attempt":
        runner = self._runner
        with runner._changed:
            self.generation, self.tile = runner._generation, runner.tile
            lanes = runner.lanes
        self.run: Run = partial(runner.in_lane, self.generation)
        # While one worker waits for its lane, another prepares or stores a tile.
        self.workers = 2 * lanes if lanes > 1 else 1
        self._pixels = 0
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, TileTooLarge):
            if self._pixels >= _LARGE_PX:
                release_free_memory()
            return False
        self._runner.make_room(self, error)
        return True

    def tiles(
        self, per_tile: PerTile, read: Callable[[Area], Pixels], height: int, width: int
    ) -> "map[tuple[Area, Pixels, Pixels]]":
        traits = self._runner.traits
        self._pixels = height * width
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


def _lanes_of(model: Model, placement: Placement, device: str, *, method: str) -> Sequence[Lane]:
    engine = os.environ.get(ENGINE_VARIABLE) or "auto"
    if engine not in ("auto", "pytorch", "openvino"):
        raise UsageError(f"{ENGINE_VARIABLE}={engine}: set it to auto, pytorch or openvino")
    placement = replace(placement, device=device)
    if engine != "pytorch":
        lanes = serving_lanes(model, placement, method=method)
        if lanes:
            return lanes
    if engine == "openvino":
        raise DeviceError(
            f"{ENGINE_VARIABLE}=openvino: is not installed, or cannot run {model.name} "
            f"on {device} in {placement.precision}"
        )
    from restore.engine.torch_lanes import open_lanes

    return open_lanes(model, placement, method=method)
