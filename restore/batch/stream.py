"""Runs the items of a plan through load, process and save, in parallel and bounded memory."""

import math
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Condition
from typing import Any, Generic, Protocol, TypeVar

from restore.batch.plan import Item
from restore.batch.views import Views
from restore.engine.lane import is_out_of_memory
from restore.errors import RestoreError
from restore.files import remove_own_parts
from restore.image.reservation import Reservation, WaitGivenUp
from restore.remote.paths import shown

__all__ = ["Outcome", "Stages", "Status", "Stopping", "Stream"]

Loaded = TypeVar("Loaded")
Result = TypeVar("Result")

_LONGEST_WAIT_S = 0.2
_LAST_WAIT_S = 0.2


class Status(StrEnum):
    """How an item ended."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class Stopping(Exception):
    """Raised by a stage that gave up because the stream is stopping."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one item.

    Attributes:
        item: the item.
        status: done, skipped or failed.
        record: the task's record of the work (model, sigma, seconds, ...).
        error: one sentence if the status is failed, else empty.
        is_bug: whether the failure is a bug in this program, not a fault of the input or the
            machine.
        traceback: the failure as Python prints it.
        views: what a page shows of it, if the run has one.
    """

    item: Item
    status: Status
    record: Mapping[str, object] = field(default_factory=dict)
    error: str = ""
    is_bug: bool = False
    traceback: str = ""
    views: Views | None = None


class Stages(Protocol[Loaded, Result]):
    """The stages of an item, called from several threads."""

    def file_size(self, item: Item) -> float:
        """Return the bytes that will be read; infinity if unknown."""

    def load(self, item: Item) -> Loaded:
        """Read and decode."""

    def megapixels(self, loaded: Loaded) -> float:
        """Return how large the loaded picture is."""

    def process(self, loaded: Loaded) -> Result:
        """Run the task; called for one picture at a time if the task has one lane."""

    def save(self, item: Item, result: Result, stopping: Callable[[], bool]) -> Outcome:
        """Encode and write; raise ``Stopping`` soon after ``stopping()`` has become true."""


@dataclass(eq=False)
class _Ticket:
    """An item in progress: ``megapixels`` count against the budget until it is finished.

    ``memory`` is what its picture was promised, and ``between`` what one stage leaves to the next:
    nothing else refers to that, so that the memory is free once the promise is withdrawn.
    """

    item: Item
    memory: Reservation
    between: Any = None
    megapixels: float = 0.0
    is_saving: bool = False
    finished: bool = False
    outcome: Outcome | None = None

    def taken(self) -> Any:
        """Return what the stage before left, and keep nothing of it."""
        taken, self.between = self.between, None
        return taken


class Stream(Generic[Loaded, Result]):
    """Runs items through ``stages`` and yields their outcomes in the order of the items.

    The caller's thread only waits, and asks ``should_stop`` several times a second, even while a
    network is in the middle of a big picture.

    Args:
        items: items to process.
        stages: stages that process them.
        jobs: number of threads that load, and of threads that save. Pictures in memory total at
            most 12.5 megapixels per job, but at least 50, or are one larger picture alone.
        lanes: number of lanes of the task. With one, pictures are processed one by one; with
            several, ``max(lanes, jobs)`` at once.
        should_stop: whether to yield no more outcomes; ``stop`` then returns what is left.
    """

    def __init__(
        self,
        items: Sequence[Item],
        stages: Stages[Loaded, Result],
        *,
        jobs: int = 4,
        lanes: int = 1,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        at_once = max(lanes, jobs) if lanes > 1 else 1
        self._items = items
        self._next_items: Iterator[Item] = iter(())
        self._next_item: Item | None = None
        self._stages = stages
        self._budget = 12.5 * max(4, jobs)
        self._most_under_way = 2 * (jobs + at_once)
        self._changed = Condition()
        self._under_way: deque[_Ticket] = deque()
        self._should_stop = should_stop
        self._stopping = self._dropping = False
        self._broken_pipe: BrokenPipeError | None = None
        self._largest_file, self._most_megapixels = -1.0, 0.0
        self._loaders = ThreadPoolExecutor(jobs, "load")
        self._processors = ThreadPoolExecutor(at_once, "process")
        self._savers = ThreadPoolExecutor(jobs, "save")

    def __iter__(self) -> Iterator[Outcome]:
        """Yield an outcome for every item.

        Raises:
            BrokenPipeError: the reader of standard output is gone.
        """
        self._next_items = iter(self._items)
        self._next_item = next(self._next_items, None)
        try:
            while self._has_work() and not (self._stopping or self._should_stop()):
                outcome = self._next()
                if outcome:
                    yield outcome
        finally:
            self._shut_down()

    def stop(self, *, grace_s: float) -> list[Outcome]:
        """Stop; wait up to ``grace_s`` seconds until files being written are finished or dropped.

        Returns:
            The outcomes that were ready but not yet yielded: every file that was written is among
            them or was yielded. Threads may still be in the middle of a picture; they end by
            themselves and write nothing.
        """
        self._shut_down()
        with self._changed:
            self._changed.wait_for(self._is_nothing_saved, grace_s)
            self._dropping = True
        remove_own_parts(of_run=False)  # what has not got its name by now gets none
        with self._changed:
            self._changed.wait_for(self._is_nothing_saved, _LAST_WAIT_S)
            return [ticket.outcome for ticket in self._under_way if ticket.outcome]

    def _is_nothing_saved(self) -> bool:
        return not any(each.is_saving and not each.finished for each in self._under_way)

    def _shut_down(self) -> None:
        with self._changed:
            self._stopping = True
        for pool in (self._loaders, self._processors, self._savers):
            pool.shutdown(wait=False, cancel_futures=True)

    def _has_work(self) -> bool:
        return self._next_item is not None or bool(self._under_way)

    def _next(self) -> Outcome | None:
        """Start what fits; wait for the oldest item to finish or for room to start another."""
        with self._changed:
            while self._next_item is not None and self._fits(self._next_item):
                self._start(self._next_item)
                self._next_item = next(self._next_items, None)
            if not self._under_way[0].finished:
                self._changed.wait(_LONGEST_WAIT_S)
            if self._broken_pipe:
                raise self._broken_pipe
            if self._stopping:
                return None
            return self._under_way.popleft().outcome if self._under_way[0].finished else None

    def _fits(self, item: Item) -> bool:
        if len(self._under_way) >= self._most_under_way:
            return False
        alive = [ticket.megapixels for ticket in self._under_way if not ticket.finished]
        return not alive or sum(alive) + self._expected_megapixels(item) <= self._budget

    def _expected_megapixels(self, item: Item) -> float:
        """Guess from earlier files; a file far larger than any so far is processed alone."""
        if item.skip:
            return 0.0
        known = self._stages.file_size(item) <= 2 * self._largest_file
        return self._most_megapixels if known else math.inf

    def _start(self, item: Item) -> None:
        ticket = _Ticket(item, Reservation(lambda: self._stopping))
        self._under_way.append(ticket)
        if item.skip:
            ticket.outcome = Outcome(item=item, status=Status.SKIPPED)
            ticket.finished = True
        else:
            ticket.megapixels = min(self._budget, self._expected_megapixels(item))
            self._submit(self._loaders, ticket, self._load)

    def _submit(
        self,
        pool: ThreadPoolExecutor,
        ticket: _Ticket,
        stage: Callable[[_Ticket], Outcome | None],
    ) -> None:
        def release_if_cancelled(future: Future[None]) -> None:
            if future.cancelled():
                ticket.taken()
                ticket.memory.release()

        pool.submit(self._attempt, ticket, stage).add_done_callback(release_if_cancelled)

    def _attempt(self, ticket: _Ticket, stage: Callable[[_Ticket], Outcome | None]) -> None:
        """Run one stage in a pool's thread; whatever happens ends this item and no other."""
        outcome, is_over = None, True
        try:
            if self._stopping:
                raise Stopping
            outcome = stage(ticket)
            is_over = outcome is not None
        except (Stopping, WaitGivenUp):
            pass
        except BrokenPipeError as error:
            self._broken_pipe = error
        except Exception as error:
            if not self._dropping:
                outcome = _failure(ticket.item, error)
        # Not sooner: an error refers to the pictures of the functions that it came through.
        if is_over:
            self._finish(ticket, outcome)

    def _load(self, ticket: _Ticket) -> None:
        with ticket.memory.loading():
            ticket.between = self._stages.load(ticket.item)
        megapixels = self._stages.megapixels(ticket.between)
        file_size = self._stages.file_size(ticket.item)
        with self._changed:
            ticket.megapixels = megapixels
            self._most_megapixels = max(self._most_megapixels, megapixels)
            if math.isfinite(file_size):
                self._largest_file = max(self._largest_file, file_size)
            self._changed.notify_all()
        self._hand_on(self._processors, ticket, self._process)

    def _process(self, ticket: _Ticket) -> None:
        with ticket.memory.working():
            ticket.between = self._stages.process(ticket.taken())
        self._hand_on(self._savers, ticket, self._save)

    def _save(self, ticket: _Ticket) -> Outcome:
        ticket.is_saving = True
        with ticket.memory.working():
            return self._stages.save(ticket.item, ticket.taken(), lambda: self._stopping)

    def _hand_on(
        self,
        pool: ThreadPoolExecutor,
        ticket: _Ticket,
        stage: Callable[[_Ticket], Outcome | None],
    ) -> None:
        if self._stopping:
            raise Stopping
        try:
            self._submit(pool, ticket, stage)
        except RuntimeError as error:  # shut down since the line above
            raise Stopping from error

    def _finish(self, ticket: _Ticket, outcome: Outcome | None) -> None:
        ticket.taken()
        ticket.memory.release()
        with self._changed:
            ticket.outcome, ticket.finished = outcome, True
            self._changed.notify_all()


def _failure(item: Item, error: Exception) -> Outcome:
    is_bug = False
    if isinstance(error, RestoreError):
        text = str(error)
    elif is_out_of_memory(error):
        text = f"{item.source_name}: not enough memory for this picture"
    else:
        text, is_bug = f"{item.source_name}: {type(error).__name__}: {error}", True
    return Outcome(
        item=item,
        status=Status.FAILED,
        error=shown(text),
        is_bug=is_bug,
        traceback="".join(traceback.format_exception(error)),
    )
