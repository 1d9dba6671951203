"""An inspection whose parts the machines of a Ray cluster inspect; the report is made here."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from imrestore.anomaly.line import LineOptions
from imrestore.anomaly.options import InspectionOptions, VerdictOptions
from imrestore.checks import without_effect
from imrestore.options import NetworkOptions
from imrestore.report import Report
from imrestore.view import ViewOptions

if TYPE_CHECKING:
    from imrestore.clusters import Note
    from restore.batch.cluster_worker import Begun
    from restore.batch.plan import BatchPlan

__all__ = ["check_cluster", "inspecting_on_cluster"]


def check_cluster(files: InspectionOptions, line: LineOptions) -> None:
    """Refuse options that do not go together with a cluster.

    Raises:
        UsageError: one is given.
    """
    if files.cluster is None:
        return
    reason = "with --cluster other machines inspect"
    without_effect(
        watch=line.watch and "a folder is watched by one machine, without --cluster",
        on_defect=line.on_defect is not None and reason,
        webhook=line.webhook is not None and reason,
    )


@contextmanager
def inspecting_on_cluster(
    plan: "BatchPlan",
    inputs: Sequence[str],
    files: InspectionOptions,
    network: NetworkOptions,
    verdict: VerdictOptions,
    view: ViewOptions,
    report: Report,
) -> "Iterator[Callable[[Note], None] | None]":
    """Find the cluster, and yield what has it inspect; None where this machine is to do it.

    Raises:
        UsageError: as ``on_cluster``.
    """
    if files.cluster is None or plan.is_done:
        yield None
        return
    from imrestore.clusters import on_cluster

    begin = partial(_begin, files, network, verdict, view)
    with on_cluster(plan, files.cluster, inputs, begin, report, jobs=files.jobs) as work:
        yield work


def _begin(
    files: InspectionOptions,
    network: NetworkOptions,
    verdict: VerdictOptions,
    view: ViewOptions,
    _plan: "BatchPlan",
) -> "Begun":
    """Open the detector on a worker.

    What another worker had that died is inspected again: its record died with it. So results are
    replaced; the plan has refused those of other runs.
    """
    from restore.anomaly.stages import InspectionStages
    from restore.batch.cluster_worker import Begun

    detector = verdict.detector(network, view)
    stages = InspectionStages(detector=detector, report=files.output, overwrite=True)
    return Begun(stages, detector.network.runner.lanes)
