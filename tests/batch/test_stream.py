"""The stream: order, failures, bounded memory and stopping, with stages made for it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from restore.batch.plan import Item
from restore.batch.stream import Outcome, Status, Stopping, Stream
from restore.errors import CorruptImage, OutputError
from restore.files import open_atomically, write_atomically


def items(count: int) -> list[Item]:
    return [Item(source=Path(f"{n}.png"), destination=Path(f"out/{n}.png")) for n in range(count)]


@dataclass
class Picture:
    """Counts itself as long as it lives."""

    megapixels: float
    alive: list[float]

    def __post_init__(self) -> None:
        self.alive.append(self.megapixels)

    def __del__(self) -> None:
        self.alive.remove(self.megapixels)


@dataclass
class FakeStages:
    """Stages without files; the file size is as many bytes as the picture has megapixels."""

    megapixels_of: Callable[[int], float] = lambda _n: 1.0
    errors: dict[int, tuple[str, BaseException]] = field(default_factory=dict)
    slow: dict[int, float] = field(default_factory=dict)
    alive: list[float] = field(default_factory=list)
    most_alive: float = 0.0
    most_count: int = 0
    processed: list[int] = field(default_factory=list)

    def file_size(self, item: Item) -> float:
        return self.megapixels_of(number(item))

    def load(self, item: Item) -> tuple[int, Picture]:
        self._maybe_fail("load", number(item))
        loaded = number(item), Picture(self.megapixels_of(number(item)), self.alive)
        self.most_alive = max(self.most_alive, sum(self.alive))
        self.most_count = max(self.most_count, len(self.alive))
        return loaded

    def megapixels(self, loaded: tuple[int, Picture]) -> float:
        return loaded[1].megapixels

    def process(self, loaded: tuple[int, Picture]) -> tuple[int, Picture]:
        self._maybe_fail("process", loaded[0])
        self.processed.append(loaded[0])
        return loaded

    def save(
        self, item: Item, result: tuple[int, Picture], stopping: Callable[[], bool]
    ) -> Outcome:
        del result
        time.sleep(self.slow.get(number(item), 0))
        if stopping():
            raise Stopping
        self._maybe_fail("save", number(item))
        return Outcome(item=item, status=Status.DONE, record={"n": number(item)})

    def _maybe_fail(self, stage: str, n: int) -> None:
        where, error = self.errors.get(n, ("", None))
        if error is not None and where == stage:
            raise error


def number(item: Item) -> int:
    return int(str(item.source).removesuffix(".png"))


def statuses(outcomes: Sequence[Outcome]) -> list[Status]:
    return [outcome.status for outcome in outcomes]


@pytest.mark.parametrize("jobs", [1, 3])
def test_outcomes_come_in_the_order_of_the_items(jobs: int) -> None:
    stages = FakeStages(slow={0: 0.05, 4: 0.02})
    outcomes = list(Stream(items(20), stages, jobs=jobs))
    assert [outcome.record["n"] for outcome in outcomes] == list(range(20))
    assert set(statuses(outcomes)) == {Status.DONE}


def test_nothing_to_do_is_no_trouble() -> None:
    assert list(Stream([], FakeStages(), jobs=2)) == []


def test_one_failure_fails_one_item() -> None:
    errors: dict[int, tuple[str, BaseException]] = {
        1: ("load", CorruptImage("1.png: cut short")),
        3: ("process", MemoryError()),
        4: ("process", RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")),
        5: ("save", OutputError("out/5.png: cannot be written: No space left on device")),
    }
    outcomes = list(Stream(items(7), FakeStages(errors=errors), jobs=2))
    failed = {number(o.item): o for o in outcomes if o.status is Status.FAILED}
    assert sorted(failed) == [1, 3, 4, 5]
    assert failed[1].error == "1.png: cut short"
    assert "not enough memory" in failed[3].error
    assert "not enough memory" in failed[4].error
    assert not any(outcome.is_bug for outcome in outcomes)


@pytest.mark.parametrize("stage", ["load", "process", "save"])
def test_an_unexpected_exception_is_a_bug_of_that_item_only(stage: str) -> None:
    outcomes = list(Stream(items(3), FakeStages(errors={1: (stage, KeyError("halo"))}), jobs=2))
    assert statuses(outcomes) == [Status.DONE, Status.FAILED, Status.DONE]
    assert outcomes[1].is_bug
    assert outcomes[1].error == "1.png: KeyError: 'halo'"
    assert "Traceback" in outcomes[1].traceback


def test_skipped_items_are_not_loaded() -> None:
    skipped = Item(source=Path("0.png"), destination=Path("out/0.png"), skip=True)
    stages = FakeStages()
    outcomes = list(Stream([skipped, *items(2)[1:]], stages, jobs=1))
    assert statuses(outcomes) == [Status.SKIPPED, Status.DONE]
    assert stages.processed == [1]


def test_memory_does_not_grow_with_the_number_of_items() -> None:
    stages = FakeStages(megapixels_of=lambda _n: 0.01, slow={5: 0.1})
    list(Stream(items(200), stages, jobs=3))
    assert stages.most_count <= 2 * 3 + 2
    assert stages.alive == []


def test_of_big_pictures_few_are_in_memory() -> None:
    stages = FakeStages(megapixels_of=lambda _n: 24.0, slow=dict.fromkeys(range(8), 0.01))
    list(Stream(items(8), stages, jobs=4))
    assert stages.most_alive <= 50


def test_a_picture_over_the_budget_is_alone_even_after_small_ones() -> None:
    sizes = [0.1] * 6 + [300.0, 300.0] + [0.1] * 6
    stages = FakeStages(
        megapixels_of=lambda n: sizes[n], slow=dict.fromkeys(range(len(sizes)), 0.005)
    )
    outcomes = list(Stream(items(len(sizes)), stages, jobs=4))
    assert set(statuses(outcomes)) == {Status.DONE}
    assert stages.most_alive < 301


def test_stop_returns_at_once_and_nothing_is_saved_afterwards() -> None:
    release = threading.Event()

    class Endless(FakeStages):
        def process(self, loaded: tuple[int, Picture]) -> tuple[int, Picture]:
            if loaded[0] == 2:
                release.wait(10)
            return super().process(loaded)

    stages = Endless()
    stream = Stream(items(6), stages, jobs=1)
    outcomes = iter(stream)
    assert [next(outcomes).record["n"] for _ in range(2)] == [0, 1]
    started = time.perf_counter()
    assert stream.stop(grace_s=1.0) == []
    assert time.perf_counter() - started < 0.9
    release.set()
    time.sleep(0.05)
    assert stages.processed in ([0, 1], [0, 1, 2])


def test_stop_hands_out_what_was_ready_but_not_yet_yielded() -> None:
    stages = FakeStages(slow={0: 0.3})
    stream = Stream(items(3), stages, jobs=3)
    reader = threading.Thread(target=lambda: next(iter(stream), None), daemon=True)
    reader.start()
    deadline = time.perf_counter() + 5
    while len(stages.processed) < 3 and time.perf_counter() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    late = stream.stop(grace_s=1.0)
    reader.join(5)
    assert {outcome.record["n"] for outcome in late} == {1, 2}


@pytest.mark.parametrize(
    ("jobs", "lanes", "at_once"), [(4, 1, 1), (1, 2, 2), (3, 2, 3), (2, 16, 16)]
)
def test_pictures_are_processed_side_by_side_where_there_are_lanes(
    jobs: int, lanes: int, at_once: int
) -> None:
    together = threading.Barrier(at_once)

    class Meeting(FakeStages):
        most = 0
        now = 0

        def process(self, loaded: tuple[int, Picture]) -> tuple[int, Picture]:
            with lock:
                self.now += 1
                self.most = max(self.most, self.now)
            if loaded[0] < at_once:
                together.wait(5)
            with lock:
                self.now -= 1
            return super().process(loaded)

    lock = threading.Lock()
    stages = Meeting()
    outcomes = list(Stream(items(24), stages, jobs=jobs, lanes=lanes))
    assert [outcome.record["n"] for outcome in outcomes] == list(range(24))
    assert stages.most == at_once


def test_lanes_take_no_more_memory_than_jobs() -> None:
    stages = FakeStages(megapixels_of=lambda _n: 24.0)
    list(Stream(items(8), stages, jobs=4, lanes=8))
    assert stages.most_alive <= 50


def test_a_closed_pipe_ends_the_stream() -> None:
    stages = FakeStages(errors={1: ("save", BrokenPipeError())})
    with pytest.raises(BrokenPipeError):
        list(Stream(items(3), stages, jobs=1))


def test_a_file_that_was_written_is_never_missing_from_the_outcomes(tmp_path: Path) -> None:
    """Even if its thread is slow to say so after the grace is over."""
    named, may_end = threading.Event(), threading.Event()

    class Slow(FakeStages):
        def save(self, item: Item, result: object, stopping: Callable[[], bool]) -> Outcome:
            del result, stopping
            n = number(item)
            if n == 0:
                write_atomically(tmp_path / "0", b"")
                named.set()
                may_end.wait(5)
                time.sleep(0.05)
            else:
                with open_atomically(tmp_path / str(n)):
                    named.wait(5)
                    may_end.wait(5)
            return Outcome(item=item, status=Status.DONE, record={"n": n})

    stop = threading.Event()
    stream = Stream(items(2), Slow(), jobs=2, should_stop=stop.is_set)
    reader = threading.Thread(target=lambda: list(stream), daemon=True)
    reader.start()
    named.wait(5)
    while len(list(tmp_path.iterdir())) < 2:
        time.sleep(0.01)
    stop.set()
    reader.join(5)
    threading.Timer(0.15, may_end.set).start()
    outcomes = stream.stop(grace_s=0.1)
    assert [outcome.record["n"] for outcome in outcomes] == [0]
    time.sleep(0.2)
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


def test_a_stream_that_should_stop_yields_no_more_and_hands_out_the_rest() -> None:
    stop = threading.Event()
    stream = Stream(items(6), FakeStages(), jobs=3, should_stop=stop.is_set)
    yielded = []
    for outcome in stream:
        yielded.append(outcome.record["n"])
        time.sleep(0.05)
        stop.set()
    rest = [outcome.record["n"] for outcome in stream.stop(grace_s=1.0)]
    assert yielded == [0]
    assert rest == sorted(rest)
    assert rest
