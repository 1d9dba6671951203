"""Detectors of defects on parts whose defects are known."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from restore.api.evaluations.measurement import names_of
from restore.arguments import argument
from restore.engine.placement import Placement
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.anomaly.evaluate import DetectorFigures
    from restore.anomaly.roi import RegionOfInterest
    from restore.anomaly.runner import Detector
    from restore.anomaly.testset import TestPart, TestSet

__all__ = ["Measured", "detectors", "measured", "rates_of"]


@dataclass(frozen=True)
class Measured:
    """The evaluation of a detector, called ``name`` in what is reported."""

    name: str
    detector: "Detector"
    figures: "DetectorFigures"

    @property
    def run(self) -> dict[str, str]:
        """How it ran."""
        runner = self.detector.network.runner
        return {"model": self.name, "device": runner.device, "precision": runner.precision}

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The figures of each kind of defect, with those of all parts."""
        figures = self.figures
        of_all = {"model": self.name, "threshold": figures.threshold, "good": figures.good}
        of_all["false_alarms"] = figures.false_alarms
        return [of_all | asdict(kind) for kind in figures.kinds]


def detectors(
    models: Sequence[Any],
    place: Placement,
    *,
    threshold: float | None = None,
    fpr: float | Sequence[float] | None = None,
    roi: "RegionOfInterest | str | None" = None,
    align: str | None = None,
    min_area: int | None = None,
) -> "list[Detector]":
    """Return the detectors to measure, at the first of the rates; see ``Detector``.

    Raises:
        UsageError: one threshold for several detectors, or an invalid argument.
        WeightsError: weights that cannot be used.
    """
    from restore.anomaly.runner import Detector

    if len(models) > 1 and threshold is not None:
        raise UsageError(
            f"{argument('threshold')}: scores of several networks do not compare; give "
            f"{argument('fpr')}"
        )
    first = next(iter(rates_of(fpr)), None)
    return [
        Detector(
            model,
            threshold=threshold,
            fpr=first,
            roi=roi,
            align=align,
            min_area=min_area,
            device=place.device,
            precision=place.precision,
            tile=place.tile,
        )
        for model in models
    ]


def rates_of(fpr: float | Sequence[float] | None) -> list[float]:
    """Return the false-alarm rates that are asked for."""
    if fpr is None:
        return []
    return list(fpr) if isinstance(fpr, Sequence) else [fpr]


def measured(
    opened: "Sequence[Detector]",
    models: Sequence[Any],
    tests: "TestSet",
    *,
    fpr: float | Sequence[float] | None = None,
    report: "Callable[[TestPart], None]" = lambda _: None,
) -> Iterator[Measured]:
    """Yield the evaluation of each detector.

    Args:
        opened: as ``detectors`` returns them.
        models: what they were opened from, for their names.
        tests: parts whose defects are known.
        fpr: false-alarm rates; what the first counts for, the others are counted at, too.
        report: called after every part.
    """
    from restore.anomaly.evaluate import evaluate_detector

    names = [detector.weights.name for detector in opened]
    if len(set(names)) < len(names):
        names = names_of(models)
    for name, detector in zip(names, opened, strict=True):
        figures = evaluate_detector(detector, tests.parts, rates=rates_of(fpr)[1:], report=report)
        yield Measured(name, detector, figures)
