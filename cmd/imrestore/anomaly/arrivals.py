"""An inspection that watches a folder: parts are inspected as they come."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from imrestore.anomaly.line import LineOptions, Noted
from imrestore.options import RunOptions
from imrestore.report import Describe, Report
from imrestore.watching import Arrivals, Line, take_as_they_come

if TYPE_CHECKING:
    from restore.anomaly.results import Results
    from restore.anomaly.runner import Detector
    from restore.anomaly.stages import InspectionStages
    from restore.batch.plan import Item
    from restore.batch.search import Found

__all__ = ["inspect_as_they_come"]

_LEAST_PAUSE_S, _PAUSES = 5.0, 4
_QUICK_S = 0.7
_RECENT = 500
"""Parts that are tested for drift: what a line makes now, not what it made in all."""


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
    from restore.anomaly.files import ResultFiles, inspection_plan, prepare_result_folders
    from restore.batch.plan import Existing
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
    folder, results, detector = line.watch, note.results, stages.detector
    watch = FolderWatch(
        folder,
        suffixes=PICTURE_SUFFIXES,
        settle_s=line.settle_s,
        recursive=files.recursive,
        left_out=[stages.report],
        warn=report.say,
    )

    def plan(found: "Found") -> "Item":
        planned = inspection_plan(
            [str(folder)],
            stages.report,
            recursive=files.recursive,
            existing=Existing.SKIP,
            shard=None,
            done=results,
            found=[found],
        )
        return planned.items[0]

    arrivals = Arrivals(
        plan,
        lambda item: ResultFiles.of(item, stages.report).paths(),
        lambda item: prepare_result_folders([item], stages.report),
        {stages.report / "maps" / name: source for name, source in results.owners().items()},
    )
    refresh = _Refresh(results, detector, report.say)
    inspecting = Line(
        stages=stages, lanes=detector.network.runner.lanes, jobs=files.jobs, note=note
    )
    with report:
        take_as_they_come(
            watch, arrivals, inspecting, report, rest=refresh.when_due, end=refresh.at_end
        )


class _Refresh:
    """Writes tables and page while the inspection goes on, for at most a fifth of the time.

    Args:
        results: The records.
        detector: The detector.
        say: Told what cannot be written, and what the parts as a whole say; once, if it stays so.
    """

    def __init__(
        self, results: "Results", detector: "Detector", say: Callable[[str], None]
    ) -> None:
        self._results, self._detector, self._say = results, detector, say
        self._written, self._next, self._took_s, self._failure = -1, 0.0, 0.0, ""
        self._warned: set[str] = set()

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
            self._results.finish((), self._detector, recent=_RECENT)
            self._failure = ""
        except OutputError as error:
            if str(error) != self._failure:
                self._failure = str(error)
                self._say(self._failure)
        else:
            self._written = changes
            self._warn()
        ended = time.monotonic()
        self._took_s = ended - started
        self._next = ended + max(_LEAST_PAUSE_S, _PAUSES * self._took_s)

    def _warn(self) -> None:
        """Say each warning when it first holds, and again when it had ceased to."""
        for kind, sentence in self._results.warnings.items():
            if kind not in self._warned:
                self._say(sentence)
        self._warned = set(self._results.warnings)
