"""An inspection that watches a folder: parts are inspected as they come."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from imrestore import batch
from imrestore.anomaly.line import LineOptions, Noted
from imrestore.options import RunOptions
from imrestore.report import Describe, Report
from imrestore.watching import take_as_they_come

if TYPE_CHECKING:
    from restore.anomaly.results import Results
    from restore.anomaly.runner import Detector
    from restore.anomaly.stages import InspectionStages
    from restore.batch.inputs import Found
    from restore.batch.plan import Item
    from restore.batch.stream import Outcome

__all__ = ["inspect_as_they_come"]

_LEAST_PAUSE_S, _PAUSES = 5.0, 4
_QUICK_S = 0.7


def inspect_as_they_come(
    files: RunOptions,
    line: LineOptions,
    stages: "InspectionStages",
    note: Noted,
    describe: Describe,
) -> NoReturn:
    """Inspect what comes into a folder, until a signal comes.

    Args:
        files: how folders are read, and what is printed.
        line: the folder.
        stages: how one part is inspected.
        note: records it.
        describe: the record of a part in a few words, for --verbose.

    Raises:
        UsageError: there is no such folder.
        Stopped: always.
    """
    from restore.batch.watch import FolderWatch
    from restore.image.codecs import PICTURE_SUFFIXES

    assert line.watch is not None
    report = Report(
        None,
        describe,
        as_json=files.json,
        quiet=files.quiet,
        verbose=files.verbose,
        is_endless=True,
    )
    watch = FolderWatch(
        line.watch,
        suffixes=PICTURE_SUFFIXES,
        settle_s=line.settle_s,
        recursive=files.recursive,
        left_out=[stages.report],
        warn=report.say,
    )
    results, detector = note.results, stages.detector
    arrivals = _Arrivals(line.watch, stages.report, recursive=files.recursive, results=results)
    refresh = _Refresh(results, detector, report.say)

    def work(found: "Sequence[Found]") -> None:
        items, refused = arrivals.planned(found)
        for outcome in refused:
            report.add(note(outcome))
        batch.work_through(
            items,
            stages,
            report,
            jobs=files.jobs,
            lanes=detector.network.runner.lanes,
            note=note,
        )

    with report:
        take_as_they_come(watch, report, work, rest=refresh.when_due, end=refresh.at_end)


class _Arrivals:
    """Plans the files of a folder as they come.

    Args:
        folder: The folder.
        report: Folder of the report.
        recursive: Whether its tree is taken.
        results: Records; what has one is not inspected again.
    """

    def __init__(self, folder: Path, report: Path, *, recursive: bool, results: "Results") -> None:
        self._folder, self._report, self._recursive = folder, report, recursive
        self._results = results
        self._owners = results.owners()
        self._folders: set[Path] = set()

    def planned(self, found: "Sequence[Found]") -> "tuple[list[Item], list[Outcome]]":
        """Return what is to be done, its folders made, and what cannot be."""
        from restore.anomaly.files import ResultFiles, prepare_result_folders
        from restore.batch.plan import Item
        from restore.batch.stream import Outcome, Status
        from restore.errors import RestoreError, UsageError

        items, refused = [], []
        for one in found:
            try:
                item = self._plan_of(one)
                files = ResultFiles.of(item, self._report)
                owner = self._owners.setdefault(files.relative.as_posix(), item.source_name)
                if owner != item.source_name:
                    raise UsageError(
                        f"{owner} and {item.source_name} would both be written to "
                        f"{files.path('map')}; give one another name"
                    )
                if item.skip and _is_newer(one.source, files.path("map")):
                    raise UsageError(
                        f"{item.source_name}: is newer than the result of that name, which is "
                        "kept; not inspected: give each part a name of its own"
                    )
                parents = {path.parent for path in files.paths()}
                if not item.skip and not parents <= self._folders:
                    prepare_result_folders([item], self._report)
                    self._folders |= parents
                items.append(item)
            except RestoreError as error:
                nowhere = Item(source=one.source, destination=None)
                refused.append(Outcome(item=nowhere, status=Status.FAILED, error=str(error)))
        return items, refused

    def _plan_of(self, found: "Found") -> "Item":
        from restore.anomaly.files import inspection_plan
        from restore.batch.plan import Existing

        plan = inspection_plan(
            [str(self._folder)],
            self._report,
            recursive=self._recursive,
            existing=Existing.SKIP,
            shard=None,
            done=self._results,
            found=[found],
        )
        return plan.items[0]


def _is_newer(source: Path | None, result: Path) -> bool:
    """Return whether a picture came to its place after a result of that name was written."""
    try:
        return source is not None and source.stat().st_ctime_ns > result.stat().st_mtime_ns
    except OSError:
        return False


class _Refresh:
    """Writes tables and page while the inspection goes on, for at most a fifth of the time.

    Args:
        results: The records.
        detector: The detector.
        say: Told what cannot be written; once, if it stays so.
    """

    def __init__(
        self, results: "Results", detector: "Detector", say: Callable[[str], None]
    ) -> None:
        self._results, self._detector, self._say = results, detector, say
        self._written, self._next, self._took_s, self._failure = -1, 0.0, 0.0, ""

    def when_due(self) -> None:
        """Write if there is something new, and if the last time is long enough ago."""
        if self._results.changes != self._written and time.monotonic() >= self._next:
            self._write()

    def at_end(self) -> None:
        """Write what is new, if that is quick."""
        if self._results.changes == self._written:
            return
        if self._took_s < _QUICK_S:
            self._write()
        else:
            self._say(
                f"{self._results.page}: lacks the last parts until the command is started again"
            )

    def _write(self) -> None:
        from restore.errors import OutputError

        started, changes = time.monotonic(), self._results.changes
        try:
            self._results.finish((), self._detector)
            self._failure = ""
        except OutputError as error:
            if str(error) != self._failure:
                self._failure = str(error)
                self._say(self._failure)
        else:
            self._written = changes
        ended = time.monotonic()
        self._took_s = ended - started
        self._next = ended + max(_LEAST_PAUSE_S, _PAUSES * self._took_s)
