"""`imrestore evaluate anomaly`: how good defect detectors are on a labelled test set."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.anomaly.options import Threshold
from imrestore.evaluate.contenders import ContenderOptions
from imrestore.evaluate.scores import Quiet
from imrestore.exits import ExitCode
from imrestore.expansion import with_decoding_options, with_options
from imrestore.output import ProgressBar, json_of, print_table, say, visible
from imrestore.view import ViewOptions

if TYPE_CHECKING:
    from restore.anomaly.evaluate import DetectorFigures, KindFigures, OperatingPoint
    from restore.api.evaluations.anomaly import Measured

__all__ = ["anomaly"]

_HEADINGS = ("image AUROC", "pixel AUROC", "pixel AP", "AU-PRO@30%", "detected")

_MOST_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class RateOptions:
    """Above which scores parts are called defective."""

    threshold: Threshold = None
    fpr: Annotated[
        list[float] | None,
        typer.Option(
            metavar="0..1",
            help="Choose the threshold so that this share of good parts is called defective; give "
            "it several times to compare. All figures of one threshold are those of the first.",
            show_default=False,
        ),
    ] = None


@with_decoding_options
@with_options
def anomaly(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Test set in MVTec's layout: test/good, test/KIND and, for pixel figures, "
            "ground_truth/KIND/NAME_mask.png. Good or defective parts alone give the figures that "
            "need no others.",
            show_default=False,
        ),
    ],
    network: ContenderOptions,
    *,
    rates: RateOptions,
    view: ViewOptions,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON record of everything per network.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure defect detectors on parts whose defects are known.

    False alarms and detections are counted at the threshold in the weights, which was set from
    good parts alone. F1-max is the best F1 that any threshold reaches on this very test set.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate anomaly magnetic-tile/ --model anomaly-magnetic-tile
      imrestore evaluate anomaly parts/ --model part.safetensors --fpr 0.01 --fpr 0.05 --json
      imrestore evaluate anomaly parts/ --model part.safetensors --model vae.safetensors
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.anomaly.testset import find_test_set
    from restore.api.evaluations.anomaly import detectors as opened
    from restore.api.evaluations.anomaly import measured as measured_by
    from restore.engine.placement import Placement
    from restore.errors import UsageError

    if network.model is None:
        raise UsageError("give --model NAME or FILE")
    tests = find_test_set(folder)
    detectors = opened(
        network.models,
        Placement(**network.placement),
        threshold=rates.threshold,
        fpr=rates.fpr,
        roi=view.region(),
        align=view.align,
        min_area=view.min_area,
    )
    if not quiet:
        for remark in tests.remarks:
            say(remark)
        for sentence in dict.fromkeys(each for one in detectors for each in one.departures):
            say(sentence)
    with ProgressBar(len(tests.parts) * len(detectors), quiet=quiet) as shown:
        measured = list(
            measured_by(
                detectors,
                network.models,
                tests,
                fpr=rates.fpr,
                report=lambda _: shown.bar.update(),
            )
        )
    failures = dict.fromkeys(each for one in measured for each in one.figures.failures)
    for failure in failures:
        say(failure)
    if not quiet:
        for remark in dict.fromkeys(each for one in measured for each in one.figures.remarks):
            say(remark)
    if as_json:
        _print_json(measured, tests.remarks)
    else:
        _print(measured)
    raise typer.Exit(ExitCode.SOME_FAILED if failures else ExitCode.DONE)


def _print_json(measured: "Sequence[Measured]", remarks: Sequence[str]) -> None:
    from restore.anomaly.evaluate import ANOMALY_PROTOCOL

    for one in measured:
        figures = asdict(one.figures) | one.run
        figures["remarks"] = [*remarks, *one.figures.remarks]
        print(json_of(figures | {"protocol": ANOMALY_PROTOCOL}))


def _print(measured: "Sequence[Measured]") -> None:
    from restore.anomaly.evaluate import ANOMALY_PROTOCOL

    _print_figures(measured)
    is_alone = len(measured) == 1
    for one in measured:
        for sentence in _sentences(one.figures):
            print(sentence if is_alone else f"{visible(one.name)}: {sentence}")
    for key in measured[0].run:
        values = dict.fromkeys(visible(one.run[key]) for one in measured)
        print(f"{key}: {', '.join(values)}")
    print(f"protocol: {ANOMALY_PROTOCOL}")


def _print_figures(measured: "Sequence[Measured]") -> None:
    """Print a line for each kind of defect and network; of one network the name is left out."""
    first = 1 if len(measured) == 1 else 0
    headings = ("model", "defect", "parts", *(f"{heading:>11}" for heading in _HEADINGS))
    rows = [
        (visible(one.name), visible(kind.kind), str(kind.parts), *_cells(kind))
        for one in measured
        for kind in one.figures.kinds
    ]
    print_table([row[first:] for row in (headings, *rows)], "<<>>>>>>"[first:])


def _sentences(evaluation: "DetectorFigures") -> list[str]:
    said = [
        f"{visible(figures.kind)}: the pixel figures are from the {figures.masked} of "
        f"{figures.parts} parts that have masks"
        for figures in evaluation.kinds
        if 0 < figures.masked < figures.parts
    ]
    for figures in evaluation.kinds:
        if figures.image_auroc_interval:
            low, high = figures.image_auroc_interval
            said.append(
                f"{visible(figures.kind)}: image AUROC {figures.image_auroc:.3f} "
                f"(95 % interval {low:.3f} to {high:.3f})"
            )
    said += [_alarms(evaluation, point) for point in evaluation.points]
    said += _lists(evaluation)
    if evaluation.f1:
        said.append(
            f"F1-max {evaluation.f1.f1:.3f}, at the threshold {evaluation.f1.threshold:.9g} that "
            "is best on this very test set (tuned on the test set: not to be expected in use)"
        )
    return said


def _cells(figures: "KindFigures") -> list[str]:
    values = (figures.image_auroc, figures.pixel_auroc, figures.pixel_ap, figures.au_pro)
    share = 100 * figures.detected / figures.parts
    shown = ["-" if value is None else f"{value:.3f}" for value in values]
    return [*shown, f"{figures.detected} ({share:.0f} %)"]


def _alarms(evaluation: "DetectorFigures", point: "OperatingPoint") -> str:
    at = f"at the threshold {point.threshold:.4g}"
    if point.target_fpr is not None:
        at += f", set for {100 * point.target_fpr:g} %"
    if point.shortfall:
        at += f" ({point.shortfall})"
    found, parts = sum(point.detected.values()), len(evaluation.parts) - evaluation.good
    detected = f"; detected {found} of {parts}" if parts else ""
    if point.interval is None:
        return f"no good part could be scored{detected} {at}"
    low, high = (100 * rate for rate in point.interval)
    return (
        f"false alarms {point.false_alarms} of {evaluation.good} good parts: "
        f"{100 * point.false_alarms / evaluation.good:.1f} % "
        f"(95 % interval {low:.1f} to {high:.1f} %){detected} {at}"
    )


def _lists(evaluation: "DetectorFigures") -> list[str]:
    """Return which parts were missed and which gave false alarms, the clearest first."""
    lists = {"missed": evaluation.missed, "false alarms": evaluation.alarmed}
    lines = []
    for heading, paths in lists.items():
        more = f", and {len(paths) - _MOST_LISTED} more (--json)" * (len(paths) > _MOST_LISTED)
        if paths:
            names = ", ".join(map(visible, paths[:_MOST_LISTED]))
            lines.append(f"{heading} ({len(paths)}): {names}{more}")
    return lines
