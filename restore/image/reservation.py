"""Memory that is promised to pictures in work, so that no two take the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Condition

from restore.image.memory import available_bytes

__all__ = ["NotEnough", "Reservation", "WaitGivenUp", "reserving"]

# A promise covers the whole work on a picture, and counts in full until the picture is done. What
# of it was allocated already is missing from ``available_bytes`` too, and so counts twice: how much
# that is cannot be known, and counting it twice only makes pictures wait that might have fitted.
# Those that may wait are refused only while nothing else is promised, when nothing counts twice.
#
# Nobody waits for ever. Who waits holds no promise; who holds one ends without waiting for memory,
# for after loading an item waits for none, and needs no thread in which another item may wait.

_ALWAYS_THERE = 64 << 20
"""Bytes that are promised without a look at what there is."""

_LONGEST_WAIT_S = 0.2

_changed = Condition()
_promised: "dict[Reservation, int]" = {}
_current: "ContextVar[Reservation | None]" = ContextVar("_current", default=None)


class NotEnough(Exception):
    """There is not enough memory.

    Attributes:
        free: Bytes that are free.
    """

    def __init__(self, free: int) -> None:
        super().__init__(free)
        self.free = free


class WaitGivenUp(BaseException):
    """Raised instead of waiting on; no ``Exception``, so that no decoder takes it for damage."""


class Reservation:
    """Memory that is promised to one piece of work, until ``release``.

    Args:
        gives_up: Whether to wait no longer; asked several times a second.
    """

    def __init__(self, gives_up: Callable[[], bool] = lambda: False) -> None:
        self._gives_up = gives_up
        self._may_wait = True

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Let pictures that this thread decodes share this reservation, and wait for others.

        The memory stays promised after the block.
        """
        with self._as_current():
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Let further pictures that this thread decodes wait for nothing.

        Those that hold promises may wait for this thread. What is decoded here needs memory that is
        free, whatever was promised of it, and has it promised only while it is decoded.
        """
        self._may_wait = False
        with self._as_current():
            yield

    def release(self) -> None:
        """Withdraw the promise."""
        self._set(0)

    @contextmanager
    def adding(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that promises memory beside what is promised already.

        Called again, it replaces what it promised before.
        """
        before = _promised.get(self, 0)
        try:
            yield lambda need: self._add(before, need)
        except BaseException:
            self._set(before)
            raise
        if not self._may_wait:
            self._set(before)

    def _add(self, before: int, need: int) -> None:
        """Promise ``need`` bytes beside ``before``, if need be after other work is done.

        Raises:
            NotEnough: there are fewer, even after all other work.
            WaitGivenUp: ``gives_up`` became true.
        """
        with _changed:
            self._set(0)
            while need > _ALWAYS_THERE:
                others = sum(_promised.values()) if self._may_wait else 0
                free = available_bytes()
                if free is None or need <= free - others:
                    break
                if not others:
                    raise NotEnough(free)
                if self._gives_up():
                    raise WaitGivenUp
                _changed.wait(_LONGEST_WAIT_S)
            self._set(before + need)

    def _set(self, count: int) -> None:
        with _changed:
            if _promised.pop(self, 0) > count:
                _changed.notify_all()
            if count:
                _promised[self] = count

    @contextmanager
    def _as_current(self) -> Iterator[None]:
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


@contextmanager
def reserving() -> Iterator[Callable[[int], None]]:
    """Yield the function that promises memory to a picture that is decoded in this block.

    It raises ``NotEnough`` and ``WaitGivenUp``. In the work on an item of a stream the promise is
    the item's, otherwise it is withdrawn after the block.
    """
    own = _current.get()
    reservation = own or Reservation()
    try:
        with reservation.adding() as add:
            yield add
    finally:
        if own is None:
            reservation.release()
