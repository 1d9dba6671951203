"""Pictures that are restored as they come into a folder that is watched."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from imrestore.batch import Work, stages_of
from imrestore.checks import without_effect
from imrestore.options import FileOptions
from imrestore.report import Describe, Report
from imrestore.watching import Arrivals, Line, WatchOptions, take_as_they_come

if TYPE_CHECKING:
    from restore.batch.plan import BatchPlan, Item, PlanRequest
    from restore.batch.search import Found

__all__ = ["of_hot_folder", "restore_as_they_come"]

_BOTH = "; so with all that come; --both takes both"
_RAW_ALONE = "; so with all that come"


def of_hot_folder(options: FileOptions, watching: WatchOptions) -> FileOptions:
    """Return the options as those of a run on what lies in the folder now.

    Raises:
        UsageError: there is no folder for results, or it is the one that is watched.
    """
    from restore.batch.inputs import STANDARD_STREAM
    from restore.errors import UsageError

    assert watching.watch is not None
    if options.output in ("", STANDARD_STREAM):
        raise UsageError("results of a folder that is watched need a folder: give -o DIR")
    if os.path.lexists(options.output) and not os.path.isdir(options.output):
        raise UsageError(f"{options.output}: is a file; these inputs need an output folder")
    if os.path.realpath(options.output) == os.path.realpath(watching.watch):
        raise UsageError(f"{options.output}: is the folder that is watched; choose another output")
    page = options.report and "it is written at the end of a run, and watching has none"
    rows = options.manifest and "what has a result is left alone"
    here = options.cluster and "a folder is watched by one machine"
    without_effect(report=page, manifest=rows, cluster=here)
    return replace(
        options,
        inputs=[str(watching.watch)],
        output=os.path.join(options.output, ""),
        skip_existing=True,
    )


def restore_as_they_come(
    options: FileOptions,
    watching: WatchOptions,
    request: "PlanRequest",
    prepare: "Callable[[BatchPlan | None], Work]",
    describe: Describe,
) -> NoReturn:
    """Restore what comes into a folder, until a signal comes.

    Args:
        options: as ``of_hot_folder`` returns them.
        watching: the folder.
        request: what is planned for what lies in it now.
        prepare: loads the network and returns the task.
        describe: the record of a picture in a few words, for --verbose.

    Raises:
        UsageError: options contradict each other.
        Stopped: else always.
    """
    from restore.batch.plan import BatchPlan
    from restore.batch.stages import prepare_folders
    from restore.batch.twins import TWIN_SUFFIXES, Twins
    from restore.batch.watch import FolderWatch
    from restore.errors import OutputError
    from restore.image.raw import RAW_SUFFIXES

    assert watching.watch is not None
    task = prepare(None)
    report = Report(
        None,
        describe,
        as_json=options.json,
        quiet=options.quiet,
        verbose=options.verbose,
        is_endless=True,
    )
    for note in task.notes if not options.quiet else ():
        report.say(note)
    suffixes = frozenset(request.kind.suffixes)
    watch = FolderWatch(
        watching.watch,
        suffixes=suffixes & RAW_SUFFIXES if request.twins is Twins.RAW_ONLY else suffixes,
        settle_s=watching.settle_s,
        recursive=options.recursive,
        left_out=[Path(options.output)],
        # Its RAW file may follow, in whose place it is not taken.
        patient=TWIN_SUFFIXES if request.twins is Twins.RAW else (),
        warn=report.say,
    )

    def prepare_folder(item: "Item") -> None:
        if closed := prepare_folders(BatchPlan(items=(item,))):
            raise OutputError(next(iter(closed.values())))

    arrivals = Arrivals(
        _planner(watch.folder, request), lambda item: item.outputs, prepare_folder, owners={}
    )
    chosen = _Chosen(request.twins, report, _BOTH if hasattr(options, "both") else _RAW_ALONE)
    line = Line(stages=stages_of(options, request.kind, task), lanes=task.lanes, jobs=options.jobs)
    with report:
        take_as_they_come(watch, arrivals, line, report, chosen=chosen)


def _planner(folder: Path, request: "PlanRequest") -> "Callable[[Found], Item]":
    """Return the plan of one file, whose results never come among the inputs."""
    from restore.batch.plan import make_plan
    from restore.errors import UsageError

    watched, output = (Path(os.path.realpath(each)) for each in (folder, request.output))

    def plan(found: "Found") -> "Item":
        (item,) = make_plan(replace(request, found=[found])).items
        assert item.destination is not None
        into = Path(os.path.realpath(item.destination.parent))
        if (
            request.recursive
            and watched in (into, *into.parents)
            and output
            not in (
                into,
                *into.parents,
            )
        ):
            raise UsageError(
                f"{item.source_name}: its result {item.destination} would lie in the folder that "
                "is watched; choose another output"
            )
        return item

    return plan


class _Chosen:
    """Chooses among RAW files and pictures of the same names; tells about the first pair."""

    def __init__(self, twins: str, report: Report, advice: str) -> None:
        self._twins, self._report, self._advice = twins, report, advice
        self._is_told = False

    def __call__(self, found: "Sequence[Found]") -> "Sequence[Found]":
        from restore.batch.twins import Twins, twins_beside

        if self._twins != Twins.RAW:
            return found
        twins = twins_beside(found)
        if twins:
            self._report.add_twins(twins, advice=self._advice, is_told=self._is_told)
            self._is_told = True
        return [one for one in found if str(one.source) not in twins]
