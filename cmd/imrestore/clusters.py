"""Runs whose work the machines of a Ray cluster do."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from imrestore.batch import Work, stages_of
from imrestore.exits import noted_signals
from imrestore.options import FileOptions
from imrestore.report import Report
from imrestore.resuming import given

if TYPE_CHECKING:
    from pathlib import Path

    from restore.batch.cluster import Cluster
    from restore.batch.cluster_worker import Begun, Job
    from restore.batch.kinds import FileKind
    from restore.batch.plan import BatchPlan
    from restore.batch.stream import Outcome

__all__ = ["on_cluster"]


@contextmanager
def on_cluster(
    plan: "BatchPlan",
    options: FileOptions,
    prepare: "Callable[[BatchPlan | None], Work]",
    kind: "Callable[[], FileKind[Any, Any]]",
    report: Report,
) -> "Iterator[Callable[[Callable[[Outcome], None]], None]]":
    """Find the cluster, and yield what does the work; see ``batch.run``.

    Raises:
        UsageError: there is no such cluster, or it cannot read what is to be done.
    """
    from importlib.metadata import version

    from restore.batch.cluster import Cluster
    from restore.batch.cluster_worker import Job, sent
    from restore.batch.inputs import STANDARD_STREAM
    from restore.batch.stages import prepare_folders
    from restore.errors import UsageError
    from restore.image.damage import keeps_damaged
    from restore.image.limits import limit_of_process

    if STANDARD_STREAM in (*options.inputs, options.output):
        raise UsageError("--cluster: workers read and write files; give those in place of -")
    kinds = plan.of_each_kind()
    for index in range(len(kinds.items)):
        sent(index, kinds.texts_of(index), is_tried=False)
    cluster = Cluster(str(options.cluster))
    try:
        cores = options.jobs or 1
        job = Job(
            begin=partial(_begin, options, prepare, kind, prepare_folders(plan)),
            plan=kinds,
            folder=os.getcwd(),
            version=version("imrestore"),
            jobs=cores,
            max_pixels=limit_of_process(),
            keeps_damaged=keeps_damaged(),
        )
        yield partial(_work, cluster, plan, job, cores, report)
    finally:
        cluster.close()


def _begin(
    options: FileOptions,
    prepare: "Callable[[BatchPlan | None], Work]",
    kind: "Callable[[], FileKind[Any, Any]]",
    closed: "Mapping[Path, str]",
    plan: "BatchPlan",
) -> "Begun":
    """Open the network on a worker."""
    from restore.batch.cluster_worker import Begun

    task = prepare(plan)
    stages: Any = stages_of(options, kind(), task, closed=closed)
    return Begun(stages, task.lanes, task.notes)


def _work(
    cluster: "Cluster",
    plan: "BatchPlan",
    job: "Job",
    cores: int,
    report: Report,
    note: "Callable[[Outcome], None]",
) -> None:
    """Report what the workers tell; on a signal, have them come to an end."""
    with noted_signals(at_once=True) as signalled:
        for outcome in cluster.outcomes(
            plan,
            job,
            cores=cores,
            takes_gpus=given("device") != "cpu",
            should_stop=signalled,
            say=report.announce,
        ):
            note(outcome)
            report.add(outcome)
        if signalled():
            report.stopped()
