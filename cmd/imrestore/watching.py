"""The frame of commands that watch a folder: take what is complete, until a signal comes."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from imrestore.batch import work_through
from imrestore.checks import without_effect
from imrestore.exits import Stopped
from imrestore.options import RunOptions
from imrestore.report import Report

if TYPE_CHECKING:
    from restore.batch.plan import Item
    from restore.batch.search import Found
    from restore.batch.stream import Outcome, Stages
    from restore.batch.watch import FolderWatch

__all__ = ["Arrivals", "Line", "WatchOptions", "check_watch", "take_as_they_come"]

_SETTLE_S = 2.0
_MOST_AT_ONCE = 256
_LONGEST_WAIT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Which folder is watched, in place of inputs."""

    watch: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead of INPUT, take the files of a folder as they come, until Ctrl-C or "
            "SIGTERM; with -r those of its tree. Results that exist are kept: started again, the "
            "command goes on.",
            show_default=False,
        ),
    ] = None
    settle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=3600,
            help="With --watch, how long a file must not have changed before it is taken; one that "
            "is moved into the folder is taken at once.",
            show_default=f"{_SETTLE_S:g}",
        ),
    ] = None

    @property
    def settle_s(self) -> float:
        """How long a file must not have changed, in seconds."""
        return _SETTLE_S if self.settle is None else self.settle


def check_watch(watching: WatchOptions, files: RunOptions, inputs: Sequence[str] | None) -> None:
    """Refuse options that contradict each other.

    Raises:
        UsageError: they do.
    """
    from restore.errors import UsageError

    if watching.watch is None:
        without_effect(settle=watching.settle is not None and "there is no --watch")
        return
    if inputs:
        raise UsageError(f"{inputs[0]} and --watch contradict each other; give one of them")
    if not watching.watch.is_dir():
        raise UsageError(f"{watching.watch}: not a folder to watch")
    reason = "a folder that is watched keeps what exists, and is watched by one process"
    without_effect(overwrite=files.overwrite and reason, shard=files.shard and reason)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What is done to every file that comes.

    Attributes:
        stages: how one file is done.
        lanes: as for ``work_through``.
        jobs: as for ``work_through``.
        note: as for ``work_through``.
    """

    stages: "Stages[Any, Any]"
    lanes: int
    jobs: int | None
    note: "Callable[[Outcome], Outcome | None]" = lambda _: None


def take_as_they_come(
    watch: "FolderWatch",
    arrivals: "Arrivals",
    line: Line,
    report: Report,
    *,
    chosen: "Callable[[Sequence[Found]], Sequence[Found]]" = lambda found: found,
    rest: Callable[[], None] = lambda: None,
    end: Callable[[], None] = lambda: None,
) -> NoReturn:
    """Work on the files of a folder that is watched, until a signal comes.

    Args:
        watch: the folder; takes those that failed again when they have changed.
        arrivals: plans its files.
        line: what is done to them.
        report: told about every file, and about the end.
        chosen: returns which of the files that are complete get a result.
        rest: called whenever there are none.
        end: called after the signal; it has a second.

    Raises:
        Stopped: always.
    """
    from restore.batch.plan import Item
    from restore.batch.stream import Outcome, Status

    def refuse_changed() -> None:
        for path in watch.changed():
            error = f"{path}: changed after it was taken; give what is new a new name"
            item = Item(source=path, destination=None)
            outcome = Outcome(item=item, status=Status.FAILED, error=error)
            report.add(line.note(outcome) or outcome)

    def noted(outcome: "Outcome") -> "Outcome":
        if outcome.status is Status.FAILED and outcome.item.source:
            watch.failed(outcome.item.source)
        return line.note(outcome) or outcome

    try:
        with watch:
            how = "read again and again" if watch.is_polled else "watched"
            report.announce(f"{watch.folder}: {how}; Ctrl-C ends")
            while True:
                found = watch.ready(_MOST_AT_ONCE)
                refuse_changed()
                if not found:
                    rest()
                    watch.wait(_LONGEST_WAIT_S)
                    continue
                items, refused = arrivals.planned(chosen(found))
                for outcome in refused:
                    report.add(noted(outcome))
                work_through(
                    items, line.stages, report, jobs=line.jobs, lanes=line.lanes, note=noted
                )
    except Stopped:
        report.stopped()
        end()
        raise


class Arrivals:
    """Plans the files of a folder as they come.

    Args:
        plan: returns what is done to a file.
        outputs: returns the files that it may write, the decisive one first.
        prepare: makes the folders of an item, if they are not there.
        owners: names of sources by the paths of results that are known.
    """

    def __init__(
        self,
        plan: "Callable[[Found], Item]",
        outputs: "Callable[[Item], Sequence[Path]]",
        prepare: "Callable[[Item], None]",
        owners: dict[Path, str],
    ) -> None:
        self._plan, self._outputs, self._prepare = plan, outputs, prepare
        self._owners = owners
        self._folders: set[Path] = set()

    def planned(self, found: "Sequence[Found]") -> "tuple[list[Item], list[Outcome]]":
        """Return what is to be done, its folders made, and what cannot be."""
        from restore.batch.plan import Item
        from restore.batch.stream import Outcome, Status
        from restore.errors import RestoreError

        items, refused = [], []
        for one in found:
            try:
                items.append(self._item_of(one))
            except RestoreError as error:
                nowhere = Item(source=one.source, destination=None)
                refused.append(Outcome(item=nowhere, status=Status.FAILED, error=str(error)))
        return items, refused

    def _item_of(self, found: "Found") -> "Item":
        from restore.errors import UsageError

        item = self._plan(found)
        outputs = self._outputs(item)
        result = outputs[0]
        owner = self._owners.setdefault(result, item.source_name)
        if owner != item.source_name:
            raise UsageError(
                f"{owner} and {item.source_name} would both be written to {result}; give one "
                "another name"
            )
        if item.skip and _is_newer(item.source, result):
            raise UsageError(
                f"{item.source_name}: is newer than {result}, the result of that name, which is "
                "kept; give what is new a name of its own"
            )
        folders = {path.parent for path in outputs}
        if not item.skip and not (folders <= self._folders and all(map(os.path.isdir, folders))):
            self._prepare(item)
            self._folders |= folders
        return item


def _is_newer(source: Path | None, result: Path) -> bool:
    """Return whether a picture came to its place after a result of that name was written."""
    try:
        return source is not None and source.stat().st_ctime_ns > result.stat().st_mtime_ns
    except OSError:
        return False
