"""Lanes: runners of one network side by side, each with one tile at a time."""

from collections import deque
from collections.abc import Sequence
from threading import Condition
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from restore.engine.runner import TileTooLarge

__all__ = ["Lane", "Lanes"]


class Lane(Protocol):
    """A network on a device."""

    @property
    def device(self) -> str:
        """Where it runs, as PyTorch writes it."""

    @property
    def precision(self) -> str:
        """fp32, fp16 or bf16."""

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of its inputs.

        Raises:
            TileTooLarge: the device ran out of memory.
        """


L = TypeVar("L", bound=Lane)


class Lanes(Generic[L]):
    """Hands whoever has a tile a lane that is free, and makes others wait for one.

    All lanes run the same network in the same precision, so that it does not matter which of them
    a tile gets. May be called from any number of threads.

    Args:
        lanes: at least one.
    """

    def __init__(self, lanes: Sequence[L]) -> None:
        self.first = lanes[0]
        self._open = list(lanes)
        self._free = deque(lanes)
        self._changed = Condition()

    def __len__(self) -> int:
        """Return how many lanes are open."""
        return len(self._open)

    @property
    def devices(self) -> tuple[str, ...]:
        """Where the open lanes run, each device once."""
        return tuple(dict.fromkeys(lane.device for lane in list(self._open)))

    @property
    def workers(self) -> int:
        """Threads that keep all lanes busy: what one runs, another makes ready or puts away."""
        count = len(self)
        return 2 * count if count > 1 else 1

    def __call__(self, *inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network makes of its inputs, in the lane that is free first.

        Raises:
            TileTooLarge: its device ran out of memory (``lane`` says which), or no lane is open.
        """
        lane = self._taken()
        try:
            return lane(*inputs)
        except TileTooLarge as error:
            error.lane = lane
            raise
        finally:
            self._give_back(lane)

    def shut(self, lane: object) -> bool:
        """Give ``lane`` no more work; return whether it was open."""
        with self._changed:
            was_open = lane in self._open
            self._open = [each for each in self._open if each is not lane]
            self._free = deque(each for each in self._free if each is not lane)
            self._changed.notify_all()
        return was_open

    def _taken(self) -> L:
        with self._changed:
            self._changed.wait_for(lambda: self._free or not self._open)
            if not self._open:
                raise TileTooLarge("no lane is open")
            return self._free.popleft()

    def _give_back(self, lane: L) -> None:
        with self._changed:
            if lane in self._open:
                self._free.append(lane)
                self._changed.notify()
