"""`imrestore anomaly calibrate`: a detector's threshold anew, from other good parts."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imrestore.checks import without_effect
from imrestore.expansion import with_decoding_options, with_options
from imrestore.output import json_of, print_table
from imrestore.train.supervision import Supervision, supervised
from restore.checks import seconds_in

if TYPE_CHECKING:
    from restore.anomaly.calibration import NotableParts
    from restore.anomaly.recalibrate import Operating
    from restore.anomaly.runner import Detector
    from restore.training.session import Settings

__all__ = ["calibrate"]


@with_decoding_options
@with_options
def calibrate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="Weights of the detector; not changed.", show_default=False
        ),
    ],
    *,
    good: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder (tree) of good parts, at least 10, which the detector was not trained on; "
            "with --add-good, those of a new training.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="NAME.safetensors",
            help="Weight file to write.",
            show_default=False,
        ),
    ],
    defective: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder (tree) of parts known to be defective: prints what each threshold misses.",
            show_default=False,
        ),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Verdicts exported from a report's page, columns file and verdict: the confirmed "
            "ones join --defective.",
            show_default=False,
        ),
    ] = None,
    add_good: Annotated[
        Path | None,
        typer.Option(
            "--add-good",
            metavar="DIR|FILE.csv",
            help="Train on for --time, a quarter of the crops from these parts: good ones that "
            "were called defective, or the false alarms of such a table.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Training time of --add-good: 90s, 30m or 2h.",
            show_default="10m",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue a training of --add-good that was stopped; --time may be larger.",
        ),
    ] = False,
    target_fpr: Annotated[
        float | None,
        typer.Option(
            "--target-fpr",
            metavar="0..0.5",
            help="Share of good parts that may be called defective.",
            show_default="that of the training",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Where the network runs.")
    ] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON record instead of text.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")] = False,
) -> None:
    """Calibrate a detector anew, without training, on good parts of today.

    Threshold, and how good parts look, come from --good; the network stays as it is. With parts
    known to be defective, a table shows what each threshold misses, and how many of the good parts
    it calls defective. --add-good trains on.

    Exit codes: 0 written; 2 wrong usage, or too few good parts.

    \b
    Examples:
      imrestore anomaly calibrate part.safetensors --good today/ -o part2.safetensors
      imrestore anomaly calibrate part.safetensors --good new/ --defective bad/ -o new.safetensors
      imrestore anomaly calibrate part.safetensors --good good/ --verdicts verdicts.csv \\
          --add-good verdicts.csv --time 20m -o part2.safetensors
    """  # noqa: D301 (the escape is Typer's mark for lines to be kept)
    from restore.anomaly.recalibrate import operating_points, read_verdicts, recalibrate
    from restore.anomaly.runner import Detector
    from restore.batch.inputs import pictures_in
    from restore.errors import UsageError
    from restore.training.session import Settings
    from restore.weights.store import check_new_file, save_weights

    if resume and not add_good:
        raise UsageError(
            "--resume: continues a training; give the --add-good that it was begun with"
        )
    without_effect(time=time is not None and not add_good and "it is for --add-good")
    check_new_file(
        output, overwrite=overwrite, inputs=[Path(model)] if Path(model).exists() else []
    )
    with supervised(quiet=quiet) as supervision:
        lines: list[str] = []

        def tell(line: str) -> None:
            lines.append(line)
            supervision.tell(line)

        bad = pictures_in(defective, recursive=True, warn=tell) if defective else []
        bad += read_verdicts(verdicts)[0] if verdicts else []
        calibrated: list[NotableParts] = []
        if add_good:
            _train_on(
                model, good, _added(add_good, tell), time or "10m", target_fpr, output,
                Settings(device=device, resume=resume, overwrite=overwrite),
                supervision, tell, calibrated.append,
            )  # fmt: skip
        else:
            detector = Detector(model, threshold=0, unfamiliar_fpr=0, device=device)
            recalibrated = recalibrate(
                detector,
                pictures_in(good, recursive=True, warn=tell),
                target_fpr=target_fpr,
                warn=tell,
                should_stop=supervision.should_stop,
            )
            save_weights(recalibrated.weights, output, overwrite=overwrite)
            calibrated.append(recalibrated.parts)
        detector = Detector(output, device=device)
        points = operating_points(detector, bad, tell) if bad else []
        if as_json:
            print(json_of(_record(output, detector, points, calibrated[-1], lines)))
            return
        tell(_told(output, detector))
        if points:
            _print_points(points)


def _added(source: Path, warn: "Callable[[str], None]") -> "list[Path]":
    from restore.anomaly.recalibrate import read_verdicts
    from restore.batch.inputs import pictures_in
    from restore.errors import UsageError

    if source.is_dir():
        return pictures_in(source, recursive=True, warn=warn)
    alarms = read_verdicts(source)[1]
    if not alarms:
        raise UsageError(f"{source}: names no false alarms to train on with")
    return alarms


def _train_on(
    model: str,
    good: Path,
    added: list[Path],
    time: str,
    target_fpr: float | None,
    output: Path,
    settings: "Settings",
    supervision: Supervision,
    tell: "Callable[[str], None]",
    calibrated: "Callable[[NotableParts], None]",
) -> None:
    from restore.anomaly.addition import Addition, recipe_to_continue
    from restore.anomaly.task import TASK
    from restore.anomaly.train import train_detector
    from restore.anomaly.view import View

    weights = TASK.load(model)
    view = View.from_mapping(weights.provenance.get("inspection", {}))
    recipe = recipe_to_continue(weights, view, seconds_in("time", time), target_fpr)
    train_detector(
        recipe,
        output,
        good=good,
        roi=view.roi,
        addition=Addition(weights=weights, paths=added, scale=recipe.scale),
        settings=settings,
        report=supervision.report,
        warn=tell,
        calibrated=calibrated,
        should_stop=supervision.should_stop,
    )


def _told(output: Path, detector: "Detector") -> str:
    calibration = detector.calibration
    assert calibration is not None  # it was just calibrated
    return (
        f"{output}: threshold {detector.threshold:.4g} for {calibration.target_fpr:g} false alarms "
        f"per good part, from {len(calibration.scores)}"
    )


def _record(
    output: Path,
    detector: "Detector",
    points: "list[Operating]",
    calibrated: "NotableParts",
    lines: list[str],
) -> dict[str, object]:
    """Return the record of --json."""
    calibration = detector.calibration
    assert calibration is not None  # it was just calibrated
    return {
        "output": str(output),
        "threshold": detector.threshold,
        "target_fpr": calibration.target_fpr,
        "parts": len(calibration.scores),
        "shortfall": detector.shortfall or None,
        "reaching": [
            {"file": str(path), "score": score, "stands_out": path in calibrated.outlying}
            for path, score in calibrated.reaching.items()
        ],
        "made_defects": detector.weights.provenance.get("made_defects"),
        "thresholds": [asdict(point) for point in points],
        "remarks": lines,
    }


def _print_points(points: "list[Operating]") -> None:
    """Print a line per threshold; the one without a rate is the highest that misses nothing."""
    rows = [
        [
            f"{point.threshold:.4g}",
            "" if point.fpr is None else f"{point.fpr:g}",
            f"{point.false_alarms} of {point.good}",
            f"{point.missed} of {point.defective}",
        ]
        for point in points
    ]
    print_table([["threshold", "--fpr", "false alarms", "missed"], *rows], ">>>>")
