"""Pictures of a stream share the memory until they are done: with faked sizes and free memory."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from restore.batch.plan import Item
from restore.batch.stream import Outcome, Status, Stream
from restore.errors import CorruptImage
from restore.image import reservation
from restore.image.decode import named_errors
from restore.image.limits import BYTES_PER_SAMPLE, decoding
from restore.image.reservation import Reservation

MEGAPIXEL = 3 * BYTES_PER_SAMPLE * 10**6
"""Bytes that a megapixel in colour needs."""

LOADED_SHARE = 3
"""Divisor of a picture's need that gives the memory that it takes once it is loaded."""


def items(count: int) -> list[Item]:
    return [Item(source=Path(f"{n}.png"), destination=Path(f"out/{n}.png")) for n in range(count)]


@dataclass
class Machine:
    """A machine with ``total`` bytes, and the bytes that pictures on it have taken."""

    total: int = 0
    taken: list[int] = field(default_factory=list)

    def available(self) -> int:
        return max(0, self.total - sum(self.taken))


class Pixels:
    """Takes memory as long as it lives."""

    def __init__(self, machine: Machine, megapixels: int) -> None:
        self.machine, self.megapixels = machine, megapixels
        self.size = megapixels * MEGAPIXEL // LOADED_SHARE
        machine.taken.append(self.size)

    def __del__(self) -> None:
        self.machine.taken.remove(self.size)


@dataclass
class Stages:
    """Stages that decode nothing, but ask as decoders do, and note what they do and when."""

    machine: Machine
    megapixels_of: Callable[[int], int] = lambda _n: 20
    further: int = 0
    events: list[tuple[str, int]] = field(default_factory=list)
    may_process: threading.Event = field(default_factory=threading.Event)
    fails: dict[int, str] = field(default_factory=dict)

    def file_size(self, item: Item) -> float:
        del item
        return 1.0

    def load(self, item: Item) -> tuple[int, Pixels]:
        n = int(item.source_name.removesuffix(".png"))
        with named_errors(item.source_name), decoding() as check_size:
            self.note("asked", n)
            check_size(1000, 1000 * self.megapixels_of(n), 3)
            self.note("load", n)
            return n, Pixels(self.machine, self.megapixels_of(n))

    def megapixels(self, loaded: tuple[int, Pixels]) -> float:
        del loaded
        return 1.0

    def process(self, loaded: tuple[int, Pixels]) -> tuple[int, Pixels]:
        self.may_process.wait(10)
        if self.further:
            with decoding() as check_size:
                check_size(1000, 1000 * self.further, 3)
        self.note("process", loaded[0])
        return loaded

    def save(self, item: Item, result: tuple[int, Pixels], stopping: Callable[[], bool]) -> Outcome:
        del stopping
        self.note("save", result[0])
        return Outcome(item=item, status=Status.DONE)

    def note(self, stage: str, n: int) -> None:
        self.events.append((stage, n))
        if self.fails.get(n) == stage:
            raise CorruptImage("failed")

    def wait_for(self, *events: tuple[str, int]) -> None:
        deadline = time.perf_counter() + 10
        while not set(events) <= set(self.events):
            assert time.perf_counter() < deadline, self.events
            time.sleep(0.005)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()
    monkeypatch.setattr("restore.image.reservation.available_bytes", machine.available)
    yield machine
    assert reservation._promised == {}
    assert machine.taken == []


def in_background(stream: Stream[object, object]) -> tuple[threading.Thread, list[Outcome]]:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.extend(stream))
    thread.start()
    return thread, outcomes


def test_a_picture_waits_until_the_one_before_it_is_saved(machine: Machine) -> None:
    machine.total = 30 * MEGAPIXEL
    stages = Stages(machine)
    thread, outcomes = in_background(Stream(items(2), stages, jobs=2))
    stages.wait_for(("asked", 0), ("asked", 1))
    time.sleep(0.3)
    loaded = [n for stage, n in stages.events if stage == "load"]
    assert len(loaded) == 1
    stages.may_process.set()
    thread.join(10)
    assert [outcome.status for outcome in outcomes] == [Status.DONE, Status.DONE]
    first, second = loaded[0], 1 - loaded[0]
    assert stages.events.index(("save", first)) < stages.events.index(("load", second))


def test_pictures_that_fit_together_are_worked_on_together(machine: Machine) -> None:
    machine.total = 41 * MEGAPIXEL + 20 * MEGAPIXEL // LOADED_SHARE
    stages = Stages(machine)
    thread, outcomes = in_background(Stream(items(2), stages, jobs=2))
    stages.wait_for(("load", 0), ("load", 1))
    stages.may_process.set()
    thread.join(10)
    assert [outcome.status for outcome in outcomes] == [Status.DONE, Status.DONE]


def test_only_what_does_not_fit_alone_is_refused(machine: Machine) -> None:
    machine.total = 30 * MEGAPIXEL
    stages = Stages(machine, megapixels_of=lambda n: 31 if n == 2 else 29)
    stages.may_process.set()
    outcomes = list(Stream(items(6), stages, jobs=4))
    assert [outcome.status for outcome in outcomes] == [
        Status.FAILED if n == 2 else Status.DONE for n in range(6)
    ]
    assert "has 1000x31000 pixels and needs 1.2 GB of memory, 1.2 GB are free" in outcomes[2].error


def test_many_pictures_of_all_sizes_are_done_with_lanes(machine: Machine) -> None:
    machine.total = 30 * MEGAPIXEL
    stages = Stages(machine, megapixels_of=lambda n: (1, 29, 12)[n % 3])
    stages.may_process.set()
    outcomes = list(Stream(items(60), stages, jobs=4, lanes=3))
    assert {outcome.status for outcome in outcomes} == {Status.DONE}


def test_a_stop_ends_the_waiting_and_fails_nothing(machine: Machine) -> None:
    machine.total = 30 * MEGAPIXEL
    stages = Stages(machine)
    stop = threading.Event()
    stream = Stream(items(4), stages, jobs=4, should_stop=stop.is_set)
    thread, outcomes = in_background(stream)
    stages.wait_for(*(("asked", n) for n in range(4)))
    started = time.perf_counter()
    stop.set()
    thread.join(10)
    waiting = [each for each in threading.enumerate() if each.name.startswith("load")]
    for each in waiting:
        each.join(1)
    assert time.perf_counter() - started < 1.5
    assert not any(each.is_alive() for each in waiting)
    assert [*outcomes, *stream.stop(grace_s=0.5)] == []
    stages.may_process.set()
    stream._processors.shutdown(wait=True)


def test_what_is_promised_to_cancelled_items_is_withdrawn(machine: Machine) -> None:
    machine.total = 100 * MEGAPIXEL
    stages = Stages(machine)
    stream = Stream(items(3), stages, jobs=3)
    thread, _ = in_background(stream)
    stages.wait_for(*(("load", n) for n in range(3)))
    time.sleep(0.1)
    stream.stop(grace_s=0.1)
    assert len(reservation._promised) == 1  # of the item in the network
    stages.may_process.set()
    thread.join(10)
    stream._processors.shutdown(wait=True)


@pytest.mark.parametrize("stage", ["asked", "load", "process", "save"])
def test_a_failure_withdraws_what_was_promised(machine: Machine, stage: str) -> None:
    machine.total = 30 * MEGAPIXEL
    stages = Stages(machine, fails={0: stage, 2: stage})
    stages.may_process.set()
    outcomes = list(Stream(items(4), stages, jobs=4))
    assert [outcome.status for outcome in outcomes] == [Status.FAILED, Status.DONE] * 2


@pytest.mark.parametrize("stage", ["process", "save", "none"])
def test_memory_is_free_before_its_promise_is_withdrawn(
    machine: Machine, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.total = 30 * MEGAPIXEL
    still_taken: list[int] = []
    release = Reservation.release

    def noting(self: Reservation) -> None:
        still_taken.extend(machine.taken)
        release(self)

    monkeypatch.setattr(Reservation, "release", noting)
    stages = Stages(machine, fails={0: stage})
    stages.may_process.set()
    assert len(list(Stream(items(1), stages, jobs=1))) == 1
    assert still_taken == []


def test_a_file_that_the_work_reads_waits_for_nobody(machine: Machine) -> None:
    """The others may wait for its lane."""
    machine.total = 60 * MEGAPIXEL
    stages = Stages(machine, further=30)
    thread, outcomes = in_background(Stream(items(2), stages, jobs=2))
    stages.wait_for(("load", 0), ("asked", 1))
    stages.may_process.set()
    thread.join(10)
    assert [outcome.status for outcome in outcomes] == [Status.DONE, Status.DONE]
