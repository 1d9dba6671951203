"""The frame of every task: plan, prepare the task, run, report, exit code."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer

from imrestore.checks import exclusive
from imrestore.exits import ExitCode, noted_signals
from imrestore.options import FileOptions, RunOptions
from imrestore.planning import existing_of, planned, request_of
from imrestore.report import Describe, Report, print_plan
from imrestore.resuming import begun, resumption, without_failed

if TYPE_CHECKING:
    from pathlib import Path

    from imrestore.watching import WatchOptions
    from restore.batch.cluster_worker import Begun
    from restore.batch.kinds import FileKind, TaskResult
    from restore.batch.out_of_core import OutOfCoreResult
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan, Item
    from restore.batch.stages import PictureStages
    from restore.batch.stream import Outcome, Stages

__all__ = [
    "Work",
    "pictures",
    "report_on",
    "run",
    "stages_of",
    "work_through",
]

_GRACE_S = 1.0


@dataclass(frozen=True)
class Work:
    """What is done to every input.

    Attributes:
        restore: does it; called from several threads where there are several lanes.
        lanes: how much of its work may run side by side.
        notes: what users should know beforehand, a line each.
    """

    restore: "Callable[[Any], TaskResult | OutOfCoreResult]"
    lanes: int = 1
    notes: tuple[str, ...] = ()


def pictures() -> "FileKind[Any, Any]":
    """Return the kind of files that are finished pictures."""
    from restore.batch.kinds import PICTURES

    return PICTURES


def run(
    options: FileOptions,
    prepare: "Callable[[BatchPlan | None], Work]",
    *,
    watching: "WatchOptions | None" = None,
    describe: Describe,
    page: "Callable[[], PageText]",
    kind: "Callable[[], FileKind[Any, Any]]" = pictures,
    beside: Mapping[str, str] = MappingProxyType({}),
    twins: str = "both",
    only: "Collection[Path] | None" = None,
    also_read: "Mapping[Path, Sequence[Path]] | None" = None,
    foretold: "Callable[[Item], Mapping[str, str]]" = lambda _: {},
) -> None:
    """Do a task on every input and leave with the exit code that this comes to.

    Args:
        options: the files.
        prepare: loads the network and returns the task; called once, with the settled plan, or
            with None where a folder is watched, so that what comes is not known.
        watching: the folder that is watched in place of inputs, for tasks that can.
        describe: the task's record in a few words, for --verbose.
        page: returns what the page of --report says.
        kind: returns what kind of files is read and written.
        beside: kinds of files that are written beside each result, as ``PlanRequest`` has them.
        twins: the value of ``Twins`` that says what is taken of RAW files and pictures beside them.
        only: of the files that are found, those that get a result; None for all.
        also_read: files that are read with an input, by that input.
        foretold: returns what --dry-run tells of an item, as ``print_plan`` takes it.

    Raises:
        typer.Exit: always.
        RestoreError: nothing was done, for a reason that concerns all inputs.
    """
    from restore.errors import UsageError

    exclusive(options, ("overwrite", "skip_existing"))
    exclusive(options, ("quiet", "verbose"))
    file_kind = kind()
    if watching:
        from imrestore.watching import check_watch

        check_watch(watching, options, options.inputs)
    if watching and watching.watch:
        from imrestore.hot_folder import of_hot_folder, restore_as_they_come

        options = of_hot_folder(options, watching)
        request = request_of(options, file_kind, beside, twins, only, also_read)
        if not options.dry_run:
            planned(options, replace(request, found=()))  # what is refused is so before files come
            restore_as_they_come(options, watching, request, prepare, describe)
    elif not options.inputs:
        raise UsageError("give pictures or folders, or --watch DIR (--help says more)")
    else:
        request = request_of(options, file_kind, beside, twins, only, also_read)
    has_page = True
    with resumption(options, request.shard) as past:
        plan = planned(options, request, past)
        with report_on(plan, options, describe) as report:
            plan = without_failed(plan, past, report)
            if options.dry_run:
                print_plan(plan, as_json=options.json, beside=foretold)
            else:
                with _worker(plan, options, prepare, kind, report) as work:
                    note_of = begun(plan, past)
                    if options.report:
                        has_page = _work_with_page(plan, options, work, report, page(), note_of)
                    else:
                        work(note_of)
                report.summarize()
    raise typer.Exit(report.exit_code if has_page else max(report.exit_code, ExitCode.SOME_FAILED))


@contextmanager
def _worker(
    plan: "BatchPlan",
    options: FileOptions,
    prepare: "Callable[[BatchPlan | None], Work]",
    kind: "Callable[[], FileKind[Any, Any]]",
    report: Report,
) -> "Iterator[Callable[[Callable[[Outcome], None]], None]]":
    """Get ready, and yield what does the work: it is given what notes each outcome.

    Raises:
        RestoreError: what the work needs is not there.
    """
    if plan.is_done:
        yield partial(_skip_all, plan, report)
    elif options.cluster:
        from imrestore.clusters import on_cluster
        from restore.batch.stages import prepare_folders

        begin = partial(_begin, options, prepare, kind, prepare_folders(plan))
        places = (*options.inputs, options.output)
        with on_cluster(plan, options.cluster, places, begin, report, jobs=options.jobs) as work:
            yield work
    else:
        task = prepare(plan)
        for note in () if options.quiet else task.notes:
            report.say(note)
        yield partial(_work, plan, options, task, kind(), report)


def _begin(
    options: FileOptions,
    prepare: "Callable[[BatchPlan | None], Work]",
    kind: "Callable[[], FileKind[Any, Any]]",
    closed: "Mapping[Path, str]",
    plan: "BatchPlan",
) -> "Begun":
    """Open the network on a worker of a cluster."""
    from restore.batch.cluster_worker import Begun, is_written

    task = prepare(plan)
    stages = stages_of(options, kind(), task, closed=closed)
    return Begun(
        stages,
        task.lanes,
        task.notes,
        is_done=lambda item: not options.overwrite and is_written(item),
    )


def _work_with_page(
    plan: "BatchPlan",
    options: FileOptions,
    work: "Callable[[Callable[[Outcome], None]], None]",
    report: Report,
    text: "PageText",
    note: "Callable[[Outcome], None]",
) -> bool:
    """Work, and write the page of what is done, also on a signal; return whether that worked."""
    from restore.batch.page import RunPage
    from restore.errors import OutputError

    assert options.report is not None
    page = RunPage(options.report, text, existing_of(options), plan.closed)
    is_written = False
    try:

        def note_both(outcome: "Outcome") -> None:
            page.add(outcome)
            note(outcome)

        work(note_both)
    finally:
        try:
            page.finish()
            is_written = True
        except OutputError as error:
            report.say(str(error))
    return is_written


def _skip_all(plan: "BatchPlan", report: Report, note: "Callable[[Outcome], None]") -> None:
    from restore.batch.stream import Outcome, Status
    from restore.files import remove_stale_parts

    for folder in plan.folders:
        remove_stale_parts(folder)
    for item in plan.items:
        outcome = Outcome(item=item, status=Status.SKIPPED)
        note(outcome)
        report.add(outcome)


def _work(
    plan: "BatchPlan",
    options: FileOptions,
    task: Work,
    kind: "FileKind[Any, Any]",
    report: Report,
    note: "Callable[[Outcome], None]",
) -> None:
    from restore.batch.remote import RemoteStages
    from restore.batch.stages import prepare_folders
    from restore.remote.paths import is_remote

    stages = stages_of(options, kind, task, closed=prepare_folders(plan))
    touched = (path for item in plan.texts() for path in (item.source, *item.outputs))
    placed = RemoteStages(stages) if any(map(is_remote, touched)) else stages
    work_through(plan.items, placed, report, jobs=options.jobs, lanes=task.lanes, note=note)


def stages_of(
    options: FileOptions,
    kind: "FileKind[Any, Any]",
    task: Work,
    *,
    closed: "Mapping[Path, str]" = MappingProxyType({}),
) -> "PictureStages[Any, Any]":
    """Return the stages in which files are done.

    Args:
        options: how they are written.
        kind: kind of the files.
        task: what is done to each.
        closed: folders that cannot be written, as ``PictureStages`` has them.
    """
    from restore.batch.out_of_core import OutOfCoreStages
    from restore.batch.stages import PictureStages
    from restore.image.codec import WriteOptions

    return (OutOfCoreStages if kind.is_any_size else PictureStages)(
        kind=kind,
        restore=task.restore,
        existing=existing_of(options),
        options=WriteOptions(
            bit_depth=options.bit_depth,
            quality=options.quality,
            strip_metadata=options.strip_metadata,
        ),
        closed=closed,
        standard_input=sys.stdin.buffer,
        standard_output=sys.stdout.buffer,
        is_shown=options.report is not None,
    )


def report_on(plan: "BatchPlan", options: RunOptions, describe: Describe) -> Report:
    """Return the report of a run, which tells at once about what was not taken."""
    report = Report(
        len(plan.items),
        describe,
        as_json=options.json,
        quiet=options.quiet,
        verbose=options.verbose,
        overwrites=options.overwrite,
    )
    for message in plan.closed:
        report.add_closed_folder(message)
    if plan.left_out and not options.quiet:
        report.say(plan.left_out)
    report.add_empty_inputs(plan.empty)
    may_be_both = hasattr(options, "both") and not getattr(options, "raw_only", False)
    report.add_twins(plan.twins, advice="; --both takes both" if may_be_both else "")
    return report


def work_through(
    items: "Sequence[Item]",
    stages: "Stages[Any, Any]",
    report: Report,
    *,
    jobs: int | None,
    lanes: int = 1,
    note: "Callable[[Outcome], Outcome | None]" = lambda _: None,
) -> None:
    """Take every item through the stages; on a signal, see what is under way to its end.

    Args:
        items: the work.
        stages: how one item is done.
        report: told about every outcome.
        jobs: threads that read, and as many that write.
        lanes: how much of the work between may run side by side.
        note: given every outcome before it is told; may return one to tell in its place.

    Raises:
        Stopped: a signal came; the report has said how to go on.
    """
    from restore.batch.stream import Stream

    def add(outcome: "Outcome") -> None:
        report.add(note(outcome) or outcome)

    # An exception between a result and its report would lose the report.
    with noted_signals(at_once=True) as signalled:
        stream = Stream(
            items,
            stages,
            jobs=jobs or min(4, os.cpu_count() or 1),
            lanes=lanes,
            should_stop=signalled,
        )
        try:
            for outcome in stream:
                add(outcome)
        except BaseException:
            stream.stop(grace_s=_GRACE_S)
            raise
        if signalled():
            for outcome in stream.stop(grace_s=_GRACE_S):
                add(outcome)
            report.stopped()
