"""Work that runs in several threads and comes back in the order that it was given."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

A = TypeVar("A")
B = TypeVar("B")

_AHEAD = 2
"""Calls for each worker that may be under way or done before the first of them is taken."""


def in_order(
    function: Callable[[A], B], arguments: Iterable[A], *, workers: int = 1
) -> Iterator[B]:
    """Yield what ``function`` makes of each argument.

    Arguments are drawn in the thread that asks for results, and only a few calls ahead of it, so
    that memory does not grow with their number. Once this ends, in whatever way, no call is under
    way any more.

    Args:
        function: called from several threads where there are several workers.
        arguments: drawn one by one.
        workers: threads; with one, each call is made in the thread that asks, when it asks.

    Raises:
        Exception: whatever the first call that fails raises.
    """
    if workers == 1:
        yield from map(function, arguments)
        return
    pool = ThreadPoolExecutor(workers, "tile")
    ahead: deque[Future[B]] = deque()
    try:
        for argument in arguments:
            ahead.append(pool.submit(function, argument))
            if len(ahead) == _AHEAD * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
