"""`imrestore evaluate anomaly`: how good a detector of defects is on a labelled test set."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.bar import WithBar
from imrestore.detection import ThresholdOptions
from imrestore.evaluation import Quiet
from imrestore.exits import ExitCode, say, visible
from imrestore.options import NetworkOptions, with_options

if TYPE_CHECKING:
    from restore.tasks.anomaly import Detector
    from restore.tasks.evaluate_anomaly import Evaluation, KindFigures

__all__ = ["anomaly"]

_HEADINGS = ("image AUROC", "pixel AUROC", "pixel AP", "AU-PRO@30%", "detected")


@with_options
def anomaly(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Test set in MVTec's layout: test/good, test/KIND and, for the figures of pixels, "
            "ground_truth/KIND/NAME_mask.png.",
            show_default=False,
        ),
    ],
    network: NetworkOptions,
    *,
    threshold: ThresholdOptions,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON record of everything.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure a detector of defects on parts whose defects are known.

    False alarms and detections are counted at the threshold that the weights come with, which was
    made from good parts alone. F1-max is the best that any threshold could do on this very test.

    Exit codes: 0 all measured; 1 some pictures could not be, the others are; 2 wrong usage.

    \b
    Examples:
      imrestore evaluate anomaly magnetic-tile/ --model anomaly-magnetic-tile
      imrestore evaluate anomaly parts/ --model part.safetensors --fpr 0.01 --json
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.errors import UsageError
    from restore.tasks.evaluate_anomaly import evaluate_detector, trials

    if network.model == "auto":
        raise UsageError("give --model NAME or FILE")
    tests = trials(folder)
    detector = threshold.detector(network)
    with WithBar(len(tests), quiet=quiet) as shown:
        evaluation = evaluate_detector(detector, tests, report=lambda _: shown.bar.update())
    for failure in evaluation.failures:
        say(failure)
    _print(evaluation, detector, as_json=as_json)
    raise typer.Exit(ExitCode.SOME_FAILED if evaluation.failures else ExitCode.DONE)


def _print(evaluation: "Evaluation", detector: "Detector", *, as_json: bool) -> None:
    from restore.tasks.evaluate_anomaly import ANOMALY_PROTOCOL

    run = {
        "model": detector.weights.name,
        "device": str(detector.backend.device),
        "precision": detector.backend.precision,
    }
    if as_json:
        print(json.dumps(asdict(evaluation) | run | {"protocol": ANOMALY_PROTOCOL}))
        return
    width = max(len("defect"), *(len(visible(figures.kind)) for figures in evaluation.kinds))
    print(f"{'defect':<{width}}  parts  " + "  ".join(f"{name:>11}" for name in _HEADINGS))
    for figures in evaluation.kinds:
        print(f"{visible(figures.kind):<{width}}  {figures.parts:5}  {_cells(figures)}")
    print(_alarms(evaluation))
    if evaluation.f1:
        print(
            f"F1-max {evaluation.f1.f1:.3f}, at the threshold {evaluation.f1.threshold:.4g} that "
            "is best on this very test (tuned on the test: no figure for use)"
        )
    for key, value in (run | {"protocol": ANOMALY_PROTOCOL}).items():
        print(f"{key}: {value}")


def _cells(figures: "KindFigures") -> str:
    values = (figures.image_auroc, figures.pixel_auroc, figures.pixel_ap, figures.au_pro)
    shown = ["-" if value is None else f"{value:.3f}" for value in values]
    shown.append(f"{figures.detected} ({100 * figures.detected / figures.parts:.0f} %)")
    return "  ".join(f"{cell:>11}" for cell in shown)


def _alarms(evaluation: "Evaluation") -> str:
    if evaluation.interval is None:
        return "no good part could be scored"
    low, high = (100 * rate for rate in evaluation.interval)
    target = evaluation.target_fpr
    aim = "" if target is None else f", made for {100 * target:g} %"
    return (
        f"false alarms {evaluation.false_alarms} of {evaluation.good} good parts: "
        f"{100 * evaluation.false_alarms / evaluation.good:.1f} % "
        f"(95 % interval {low:.1f} to {high:.1f} %) at the threshold "
        f"{evaluation.threshold:.4g}{aim}"
    )
