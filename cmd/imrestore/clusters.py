"""Runs whose work the machines of a Ray cluster do."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from imrestore.exits import noted_signals
from imrestore.report import Report
from imrestore.resuming import given

if TYPE_CHECKING:
    from restore.batch.cluster import Cluster
    from restore.batch.cluster_worker import Begun, Job
    from restore.batch.plan import BatchPlan
    from restore.batch.stream import Outcome

__all__ = ["Note", "on_cluster"]

Note = Callable[["Outcome"], "Outcome | None"]
"""Notes an outcome before it is told; may return one to tell in its place."""


@contextmanager
def on_cluster(
    plan: "BatchPlan",
    address: str,
    places: Sequence[str],
    begin: "Callable[[BatchPlan], Begun]",
    report: Report,
    *,
    jobs: int | None,
) -> Iterator[Callable[[Note], None]]:
    """Find the cluster, and yield what does the work: it is given what notes each outcome.

    Args:
        plan: the work.
        address: as ``Cluster`` has it.
        places: inputs and output, as they were given.
        begin: opens the network on a worker; see ``Job``.
        report: told about every outcome.
        jobs: processor cores of each worker.

    Raises:
        UsageError: there is no such cluster, or it cannot read what is to be done.
    """
    from importlib.metadata import version

    from restore.arguments import naming_of_process
    from restore.batch.cluster import Cluster
    from restore.batch.cluster_worker import Job, sent
    from restore.batch.inputs import STANDARD_STREAM
    from restore.errors import UsageError
    from restore.image.damage import keeps_damaged
    from restore.image.limits import limit_of_process

    if STANDARD_STREAM in places:
        raise UsageError("--cluster: workers read and write files; give those in place of -")
    kinds = plan.of_each_kind()
    for index in range(len(kinds.items)):
        sent(index, kinds.texts_of(index), is_tried=False)
    cluster = Cluster(address)
    try:
        cores = jobs or 1
        job = Job(
            begin=begin,
            plan=kinds,
            folder=os.getcwd(),
            version=version("imrestore"),
            jobs=cores,
            max_pixels=limit_of_process(),
            keeps_damaged=keeps_damaged(),
            naming=naming_of_process(),
        )
        yield partial(_work, cluster, plan, job, cores, report)
    finally:
        cluster.close()


def _work(
    cluster: "Cluster", plan: "BatchPlan", job: "Job", cores: int, report: Report, note: Note
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
            report.add(note(outcome) or outcome)
        if signalled():
            report.stopped()
