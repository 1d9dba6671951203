"""What is handed to the workers of a cluster, and what becomes of it when one of them dies."""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from restore.batch.cluster_worker import Job, Sent, sent
from restore.batch.plan import BatchPlan
from restore.batch.stream import Outcome, Status
from restore.errors import RestoreError, UsageError

__all__ = ["CALLS_AHEAD", "WAIT_S", "ClusterRun", "reason_of"]

CALLS_AHEAD = 2
"""Calls that a worker is given at once: what it does, and what it goes on with."""

WAIT_S = 0.2
_MOST_AT_ONCE, _SECONDS_A_CALL = 64, 2.0
_MOST_DEATHS = 3
_GRACE_S = 1.0
_UNTOLD_S = 15.0


@dataclass
class _Call:
    """Items that were handed to a worker together.

    Attributes:
        results: what the worker yields.
        items: those that it has told nothing of.
    """

    results: Any
    items: dict[int, Sent]


@dataclass(eq=False)
class _Actor:
    """A worker as this process sees it."""

    handle: Any
    begun: Any = None
    calls: deque[_Call] = field(default_factory=deque)
    done: int = 0
    since: float = 0.0

    @property
    def next_count(self) -> int:
        """How many items keep it busy for a moment, as far as it has shown."""
        if not self.done:
            return 1
        per_second = self.done / max(1e-3, time.monotonic() - self.since)
        return max(1, min(_MOST_AT_ONCE, round(_SECONDS_A_CALL * per_second)))


class ClusterRun:
    """What is to be done, who does it, and what became of workers."""

    def __init__(
        self, ray: Any, actor: Any, plan: BatchPlan, job: Job, say: Callable[[str], None]
    ) -> None:
        self._ray, self._actor, self._plan, self._say = ray, actor, plan, say
        self._job = ray.put(job)
        self._fresh = enumerate(plan.texts())
        self._again: deque[tuple[int, bool]] = deque()
        self._deaths: Counter[int] = Counter()
        self._is_exhausted = False
        self._workers: list[_Actor] = []
        self._asked: _Actor | None = None
        self._started = time.monotonic()
        self._is_told = False
        self._items = plan.items
        self._finished: list[Outcome] = []
        self._failed_to_begin = 0

    def has_work(self) -> bool:
        """Return whether anything is left to be done or told."""
        busy = any(worker.calls for worker in self._workers)
        return bool(busy or self._again or self._finished or not self._is_exhausted)

    def step(self) -> Iterator[Outcome]:
        """Hand out what workers can take, wait a moment, and yield what has become known."""
        self._hand_out()
        yield from self._take_finished()
        waits = [worker.calls[0].results for worker in self._workers if worker.calls]
        waits += [self._asked.begun] if self._asked else []
        if not waits:
            return
        ready, _ = self._ray.wait(waits, num_returns=1, timeout=WAIT_S, fetch_local=False)
        if self._asked and self._asked.begun in ready:
            self._welcome(self._asked)
        for worker in list(self._workers):
            if worker.calls and worker.calls[0].results in ready:
                yield from self._told(worker)
        yield from self._take_finished()
        if not (self._workers or self._is_told) and time.monotonic() - self._started > _UNTOLD_S:
            self._is_told = True
            self._say("no worker of the cluster has begun yet; waiting for free cores")

    def stop(self) -> Iterator[Outcome]:
        """Have workers finish or drop what they are at, and yield what they have finished."""
        for worker in self._workers:
            worker.handle.stop.remote()
        until = time.monotonic() + _GRACE_S
        self._is_exhausted = True
        self._again.clear()
        while time.monotonic() < until and any(worker.calls for worker in self._workers):
            waits = [worker.calls[0].results for worker in self._workers if worker.calls]
            ready, _ = self._ray.wait(waits, num_returns=1, timeout=0.1, fetch_local=False)
            for worker in self._workers:
                if worker.calls and worker.calls[0].results in ready:
                    yield from self._told(worker)

    def end(self) -> None:
        """Let go of the workers."""
        for worker in (*self._workers, *filter(None, [self._asked])):
            with contextlib.suppress(Exception):
                self._ray.kill(worker.handle, no_restart=True)

    def _hand_out(self) -> None:
        if self._asked is None and self._refill():
            handle = self._actor.remote(self._job)
            self._asked = _Actor(handle, handle.begin.remote())
        # Those with the least to do first, so that none waits while another has two calls ahead.
        for worker in sorted(self._workers, key=lambda each: len(each.calls)):
            while len(worker.calls) < CALLS_AHEAD and self._refill():
                items = self._next_items(worker.next_count)
                method = worker.handle.work.options(num_returns="streaming")
                worker.since = worker.since or time.monotonic()
                worker.calls.append(_Call(method.remote(list(items.values())), items))

    def _refill(self) -> bool:
        """Return whether an item waits for a worker; those that need none are finished here."""
        while not self._again and not self._is_exhausted:
            index, item = next(self._fresh, (-1, None))
            if item is None:
                self._is_exhausted = True
            elif item.skip:
                self._finished.append(Outcome(item=item.item(), status=Status.SKIPPED))
                if len(self._finished) >= _MOST_AT_ONCE:
                    return False  # of a million they are told as they come
            else:
                self._again.append((index, False))
        return bool(self._again)

    def _next_items(self, count: int) -> dict[int, Sent]:
        items: dict[int, Sent] = {}
        while len(items) < count and self._refill():
            index, is_alone = self._again[0]
            if is_alone and items:
                break
            self._again.popleft()
            item = self._plan.texts_of(index)
            items[index] = sent(index, item, is_tried=self._deaths[index] > 0)
            if is_alone:
                break
        return items

    def _welcome(self, worker: _Actor) -> None:
        """Take a worker on that has begun."""
        self._asked = None
        try:
            notes = self._ray.get(worker.begun)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            raise (
                cause if isinstance(cause, RestoreError) else UsageError(reason_of(error))
            ) from None
        except self._ray.exceptions.RayError as error:
            self._failed_to_begin += 1
            if self._failed_to_begin >= _MOST_DEATHS and not self._workers:
                raise UsageError(
                    f"no worker of the cluster can begin: {reason_of(error)}"
                ) from error
            return
        for note in notes if not self._is_told else ():
            self._say(note)
        self._is_told = True
        self._workers.append(worker)

    def _told(self, worker: _Actor) -> Iterator[Outcome]:
        """Yield what a worker tells; see to what it had if it is dead."""
        call = worker.calls[0]
        try:
            index, outcome = self._ray.get(next(call.results))
        except StopIteration:
            worker.calls.popleft()
            return
        except self._ray.exceptions.RayTaskError as error:
            worker.calls.popleft()
            for index in call.items:
                yield self._failure(index, f"a worker failed: {reason_of(error)}", is_bug=True)
            return
        except self._ray.exceptions.RayError as error:
            yield from self._bury(worker, reason_of(error))
            return
        worker.done += 1
        if call.items.pop(index, None) is not None:
            yield replace(outcome, item=self._items[index])

    def _bury(self, worker: _Actor, reason: str) -> Iterator[Outcome]:
        self._workers.remove(worker)
        with contextlib.suppress(Exception):
            self._ray.kill(worker.handle, no_restart=True)
        under_way, ahead = (
            worker.calls.popleft(),
            [each for call in worker.calls for each in call.items],
        )
        self._say(f"a worker died; others do its {len(under_way.items) + len(ahead)} pictures")
        self._again.extend((index, False) for index in ahead)
        for index in under_way.items:
            self._deaths[index] += 1
            if self._deaths[index] >= _MOST_DEATHS:
                yield self._failure(index, f"{_MOST_DEATHS} workers died of it: {reason}")
            else:
                self._again.append((index, True))  # alone: one of them may be what it died of

    def _failure(self, index: int, reason: str, *, is_bug: bool = False) -> Outcome:
        item = self._items[index]
        text = f"{item.source_name}: {reason}"
        return Outcome(item=item, status=Status.FAILED, error=text, is_bug=is_bug)

    def _take_finished(self) -> Iterator[Outcome]:
        finished, self._finished = self._finished, []
        yield from finished


def reason_of(error: BaseException) -> str:
    """Return what the library says of an error, in one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])[:280] if lines else type(error).__name__
