"""The work of the service: who may wait, and threads that do it."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from imrestore.serve.refused import Refused

__all__ = ["Answer", "Job", "Workplace"]

_AHEAD = 2
"""Pictures that are read or written while the network works on others."""
_LONGEST_S = 120


@dataclass(frozen=True)
class Answer:
    """What a request is answered with.

    Attributes:
        content: The body.
        media_type: Its type.
        suffix: Suffix of a file with this content.
        record: How it was made.
        megapixels: Size of the picture.
    """

    content: bytes
    media_type: str
    suffix: str
    record: dict[str, object]
    megapixels: float


class Job(Protocol):
    """The work on one picture; its methods are called one after the other, each in a thread."""

    def load(self) -> None:
        """Read and decode."""

    def process(self) -> None:
        """Run the network."""

    def save(self) -> Answer:
        """Encode."""

    def release(self) -> None:
        """Free the memory, whatever happened."""


class Workplace:
    """Runs jobs in threads, and bounds how many wait.

    Args:
        lanes: How many networks run side by side, each in its thread.
        waiting: How many jobs may wait for them.
        told: Called with the number of jobs that wait or run, whenever it changes.
    """

    def __init__(self, lanes: int, waiting: int, told: Callable[[int], None]) -> None:
        at_once = lanes + _AHEAD
        self._lanes, self._most = lanes, at_once + waiting
        self._told = told
        self._slots = asyncio.Semaphore(at_once)
        self._loaders = ThreadPoolExecutor(_AHEAD, "load")
        self._processors = ThreadPoolExecutor(lanes, "process")
        self._savers = ThreadPoolExecutor(_AHEAD, "save")
        self._count, self._seconds = 0, 1.0

    @property
    def count(self) -> int:
        """Number of jobs that wait or run."""
        return self._count

    async def run(self, job: Job, is_wanted: Callable[[], Awaitable[bool]]) -> Answer:
        """Do a job.

        Args:
            job: The job.
            is_wanted: Asked before it begins, as the client may be gone meanwhile.

        Raises:
            Refused: Too many wait already.
        """
        try:
            self._refuse_if_full()
            self._add(1)
            try:
                async with self._slots:
                    if not await is_wanted():
                        raise Refused(400, "the client is gone")
                    return await self._done(job)
            finally:
                self._add(-1)
        finally:
            job.release()

    def retry_after(self) -> int:
        """Return in how many seconds it is worth to try again."""
        return min(_LONGEST_S, max(1, math.ceil(self._seconds * self._count / self._lanes)))

    def _refuse_if_full(self) -> None:
        if self._count < self._most:
            return
        raise Refused(
            429,
            f"{self._count} pictures wait or are worked on already (imrestore serve --queue); try "
            "again later",
            {"Retry-After": str(self.retry_after())},
        )

    async def _done(self, job: Job) -> Answer:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._loaders, job.load)
        started = loop.time()
        await loop.run_in_executor(self._processors, job.process)
        self._seconds += 0.2 * (loop.time() - started - self._seconds)
        return await loop.run_in_executor(self._savers, job.save)

    def _add(self, change: int) -> None:
        self._count += change
        self._told(self._count)
