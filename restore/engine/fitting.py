"""Tiles that fit the devices' memory, and the processor where none does."""

import logging
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from restore.engine.lanes import Lane, Lanes
from restore.engine.runner import TileTooLarge
from restore.errors import DeviceError

__all__ = ["Place", "Placed"]

L = TypeVar("L", bound=Lane)
T = TypeVar("T")

log = logging.getLogger("restore")

_LEAST_TILE = 64


class Place(Generic[L]):
    """The lanes that a network runs in, and the size of tile that fits all of them.

    Where a lane runs out of memory, all go on with tiles of half the size. A lane without room for
    a small tile is shut and the others begin again with the first size; once all are shut, the
    processor takes over. Several threads may work here, and run out of memory, at the same time.

    Args:
        lanes: to begin with.
        tile: to begin with, the side in pixels.
        to_processor: returns what goes on with the work where no lane has room.
    """

    def __init__(
        self, lanes: Lanes[L], tile: int, *, to_processor: Callable[[], tuple[Lanes[L], int]]
    ) -> None:
        self.lanes = lanes
        self.tile = self._first_tile = tile
        self._to_processor = to_processor
        self._lock = Lock()

    def fitting(self, run: Callable[[Lanes[L], int], T]) -> T:
        """Return what ``run`` does in these lanes with the largest tile that fits them.

        Args:
            run: does all of the work; called again where memory ran out.

        Raises:
            DeviceError: not even a small tile fits the processor's memory.
        """
        while True:
            with self._lock:
                lanes, tile = self.lanes, self.tile
            try:
                return run(lanes, tile)
            except TileTooLarge as error:
                self._make_room(lanes, tile, error)

    def _make_room(self, lanes: Lanes[L], tile: int, error: TileTooLarge) -> None:
        with self._lock:
            if lanes is not self.lanes or self.tile < tile:
                return  # another thread was here before
            if tile > _LEAST_TILE:
                self.tile = max(_LEAST_TILE, tile // 2)
            elif lanes.first.device == "cpu":
                raise DeviceError("not enough memory for the network") from error
            else:
                self._shut(lanes, error.lane)

    def _shut(self, lanes: Lanes[L], lane: object) -> None:
        device = getattr(lane, "device", lanes.first.device)
        was_open = lanes.shut(lane)
        if len(lanes) == 0:
            log.warning("%s ran out of memory; going on with the processor", device)
            self.lanes, self._first_tile = self._to_processor()
        elif was_open and device not in lanes.devices:
            log.warning("%s ran out of memory; going on without it", device)
        self.tile = self._first_tile


class Placed(Generic[L]):
    """What there is to say about work that has a place; the base of backends."""

    _place: Place[L]

    @property
    def device(self) -> str:
        """Where it runs; several devices with commas between them."""
        return ",".join(self._place.lanes.devices)

    @property
    def precision(self) -> str:
        """The number format it runs in: fp32, fp16 or bf16."""
        return self._place.lanes.first.precision

    @property
    def tile(self) -> int:
        """Side of the tiles in pixels."""
        return self._place.tile

    @property
    def lanes(self) -> int:
        """How many tiles it works on at once."""
        return len(self._place.lanes)
