"""What a worker of a cluster does: it holds a network, and takes items as it is told."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from restore.arguments import Naming, naming_with
from restore.batch.items import Item, ItemTexts
from restore.batch.plan import BatchPlan
from restore.batch.remote import RemoteStages
from restore.batch.stream import Outcome, Stages, Status, Stream
from restore.errors import UsageError
from restore.image.damage import keeping_damaged
from restore.image.limits import limited
from restore.remote.paths import exists, is_remote, look_again, mount_of, shown
from restore.remote.store import Entry
from restore.remote.url_paths import UrlPaths, url_paths
from restore.remote.urls import as_url

__all__ = ["Begun", "Job", "Sent", "Told", "Worker", "go_to", "is_written", "sent"]

_GRACE_S = 0.7
_FROM_THE_DEAD = "written by a worker that died before it could tell how"


@dataclass(frozen=True)
class Begun:
    """A task whose network is open.

    Attributes:
        stages: what is done to an item.
        lanes: how much of the work may run side by side.
        notes: what users should know beforehand, a line each.
        is_done: asked about an item that a worker had which died: whether to leave its result as
            it is.
    """

    stages: Stages[Any, Any]
    lanes: int
    notes: tuple[str, ...] = ()
    is_done: Callable[[Item], bool] = lambda _: False


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker is told before it is given items.

    Attributes:
        begin: opens the network, for items such as those of the plan.
        plan: an item of each kind that will come.
        folder: the folder that relative paths start from.
        version: the version of this program that gives the items.
        jobs: threads that read, and as many that write.
        max_pixels: as for ``limited``.
        keeps_damaged: as for ``keeping_damaged``.
        naming: as for ``naming_with``.
    """

    begin: Callable[[BatchPlan], Begun]
    plan: BatchPlan
    folder: str
    version: str
    jobs: int
    max_pixels: int | None
    keeps_damaged: bool
    naming: Naming


@dataclass(frozen=True)
class Known:
    """What the command knows of a URL.

    Attributes:
        entry: what is there; None for nothing.
        query: what follows the URL whenever it is asked for, such as a signature: a secret.
    """

    entry: Entry | None
    query: str = field(default="", repr=False)


class Sent(NamedTuple):
    """An item as it travels to a worker.

    Attributes:
        number: its place in the plan.
        texts: its files, by their URLs, without queries, where they have some.
        urls: what is known of each URL.
        is_tried: whether a worker died that had it.
    """

    number: int
    texts: ItemTexts
    urls: Mapping[str, Known]
    is_tried: bool


class Told(NamedTuple):
    """What a worker tells of an item.

    Attributes:
        number: its place in the plan.
        outcome: what became of it, with the item as the worker has it.
    """

    number: int
    outcome: Outcome


def sent(number: int, item: ItemTexts, is_tried: bool) -> Sent:
    """Return an item as it travels.

    Raises:
        UsageError: it lies in an archive.
    """
    urls: dict[str, Known] = {}

    def named(text: str) -> str:
        mount = mount_of(text)
        if mount is None:
            return text
        if not mount.name.endswith("://"):
            raise UsageError(
                f"{shown(text)}: a cluster reads no archives; unpack it into a folder or a bucket"
            )
        urls[shown(text)] = Known(mount.entry(text), mount.query(text))
        return shown(text)

    return Sent(number, _with_names(item, named), urls, is_tried)


def _with_names(item: ItemTexts, named: Callable[[str], str]) -> ItemTexts:
    return item._replace(
        source=item.source and named(item.source),
        destination=item.destination and named(item.destination),
        compare=item.compare and named(item.compare),
        beside=tuple((kind, named(path)) for kind, path in item.beside),
        also=tuple(map(named, item.also)),
    )


class Worker:
    """Does items one call after the other; ``stop`` may be called from another thread."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._context = ExitStack()
        self._urls: UrlPaths | None = None
        self._begun: Begun | None = None
        self._is_stopping, self._lock = False, Lock()

    def begin(self) -> tuple[str, ...]:
        """Open the network, and return what users should know, a line each.

        Raises:
            UsageError: this machine has another version of the program, or not the folder.
            RestoreError: as the task's.
        """
        job = self._job
        go_to(job.folder, job.version)
        self._context.enter_context(limited(job.max_pixels))
        self._context.enter_context(keeping_damaged(job.keeps_damaged))
        self._context.enter_context(naming_with(job.naming))
        self._begun = job.begin(job.plan)
        return self._begun.notes

    def work(self, items: Sequence[Sent]) -> Iterator[Told]:
        """Do items, and yield what became of each as soon as it is known."""
        with self._lock:
            yield from self._work(items)

    def stop(self) -> None:
        """Finish or drop what is under way."""
        self._is_stopping = True

    def _work(self, items: Sequence[Sent]) -> Iterator[Told]:
        begun = self._begun
        assert begun is not None  # it is asked to begin first
        remaining: list[Item] = []
        places: dict[Item, int] = {}
        for each in items:
            item = self._placed(each).item()
            if each.is_tried and begun.is_done(item):
                record = {"remarks": [f"{item.destination_name}: {_FROM_THE_DEAD}"]}
                yield Told(each.number, Outcome(item=item, status=Status.DONE, record=record))
                continue
            remaining.append(item)
            places[item] = each.number
        touched = (path for item in remaining for path in (item.source, *item.outputs))
        stages: Any = begun.stages
        if any(map(is_remote, touched)):
            stages = RemoteStages(stages)
        stream = Stream(
            remaining,
            stages,
            jobs=self._job.jobs,
            lanes=begun.lanes,
            should_stop=lambda: self._is_stopping,
        )
        for outcome in stream:
            yield Told(places[outcome.item], _named(outcome))
        if self._is_stopping:
            for outcome in stream.stop(grace_s=_GRACE_S):
                yield Told(places[outcome.item], _named(outcome))

    def _placed(self, given: Sent) -> ItemTexts:
        """Return an item with paths in place of URLs."""
        if not given.urls:
            return given.texts
        if self._urls is None:
            self._urls = self._context.enter_context(url_paths())
        urls = self._urls

        def placed(text: str) -> str:
            url, known = as_url(text), given.urls.get(text)
            if url is None or known is None:
                return text
            return str(urls.known_path(replace(url, query=known.query), known.entry))

        item = _with_names(given.texts, placed)
        for path in filter(is_remote, item.outputs):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return item


def go_to(folder: str, known: str) -> None:
    """Make the folder that a command was started in that of this process.

    Args:
        folder: the folder.
        known: the version of the program that the command has.

    Raises:
        UsageError: this machine has another version, or not the folder.
    """
    here = version("imrestore")
    if here != known:
        raise UsageError(
            f"the cluster has imrestore {here}, and this is {known}; "
            "install the same on all machines"
        )
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: workers of the cluster do not see this folder; use one that all "
            "machines mount, or URLs"
        ) from error


def is_written(item: Item) -> bool:
    """Return whether a worker that died had written the result, which comes last."""
    if item.destination is None:
        return False
    look_again(item.destination)
    return exists(item.destination)


def _named(outcome: Outcome) -> Outcome:
    """Return an outcome that travels: what it says of paths holds on this machine only."""
    if isinstance(outcome.record.get("damaged"), str):
        record = {**outcome.record, "damaged": shown(str(outcome.record["damaged"]))}
        return replace(outcome, record=record)
    return outcome
