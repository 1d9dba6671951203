"""A detector's threshold, and how good parts look, anew from other good parts."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from restore.anomaly.addition import as_seen
from restore.anomaly.appearance import Appearance, Onlooker
from restore.anomaly.calibration import Calibration, NotableParts
from restore.anomaly.copies import Fingerprint, besides, copies_among, told_copies
from restore.anomaly.data import LEAST_PARTS
from restore.anomaly.familiarity import MOST_LOOKS, UNFAMILIAR_FPR, Familiarity
from restore.anomaly.made_defects import MadeDefects, try_made_defects
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.part import Part, check_range, read_part
from restore.anomaly.recipe import TARGET_FPRS
from restore.anomaly.runner import Detector
from restore.checks import checked_number
from restore.engine.placement import Placement
from restore.errors import InputError, TrainingError, TrainingStopped, UsageError
from restore.training.schedule import raise_if_stopped
from restore.weights.store import Weights
from restore.words import counted

__all__ = ["Operating", "Recalibrated", "operating_points", "read_verdicts", "recalibrate"]

_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_MOST_JUDGES = 20
_PATCH = 256
_TARGET_FPR = 0.01
_CONFIRMED, _FALSE_ALARM = "confirmed", "false alarm"


@dataclass(frozen=True, kw_only=True)
class Operating:
    """What a threshold does to labelled parts.

    Attributes:
        threshold: Score above which a part is defective.
        fpr: False-alarm rate that it is set for, or None.
        false_alarms: Number of good parts above it.
        good: Number of good parts.
        missed: Number of defective parts that are neither above it nor unfamiliar.
        defective: Number of defective parts.
    """

    threshold: float
    fpr: float | None
    false_alarms: int
    good: int
    missed: int
    defective: int


@dataclass(frozen=True, kw_only=True)
class Recalibrated:
    """A detector that was calibrated anew.

    Attributes:
        weights: The detector.
        parts: The good parts that a person should look at.
    """

    weights: Weights
    parts: NotableParts


@contextmanager
def _stopping_for_good() -> Iterator[None]:
    """Say of a calibration that is stopped that nothing is left of it, unlike of a training."""
    try:
        yield
    except TrainingStopped as error:
        raise TrainingStopped("stopped while calibrating; nothing was written") from error


@_stopping_for_good()
def recalibrate(
    detector: Detector,
    paths: Sequence[Path],
    *,
    target_fpr: float | None = None,
    warn: Callable[[str], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Recalibrated:
    """Return the detector with a threshold and limits from other good parts.

    Args:
        detector: The detector, whose own threshold does not matter.
        paths: Pictures of good parts that it was not trained on.
        target_fpr: False-alarm rate that the threshold is set for; None for that of the weights.
        warn: Called with one line about everything left out.
        should_stop: Called before every picture.

    Raises:
        TrainingError: too few good parts can be used.
        TrainingStopped: ``should_stop`` returned True.
        UsageError: a rate that no threshold is set for.
    """
    weights = detector.weights
    rate = _target_fpr(detector, target_fpr)
    onlooker = Onlooker(weights, detector.network.scale)
    scores: dict[Path, float] = {}
    looks: dict[Path, Appearance] = {}
    prints: dict[Path, Fingerprint] = {}
    for path in paths:
        raise_if_stopped(should_stop)
        try:
            part = _usable(path, weights)
            scores[path] = detector.network(part.pixels, str(path)).score
        except InputError as error:
            warn(f"{error}; left out")
        else:
            looks[path] = onlooker(part)
            prints[path] = Fingerprint.of(np.clip(np.nan_to_num(part.pixels), 0, 1))
    copies = copies_among(prints)
    if copies:
        warn(f"{told_copies(copies, len(prints))}; one of each is used")
    kept = [path for path in scores if path not in copies]
    if len(kept) < LEAST_PARTS:
        raise TrainingError(
            f"{counted(len(kept), 'usable picture')} of good parts{besides(len(copies))}; a "
            f"calibration takes at least {LEAST_PARTS}, and a hundred or more are better"
        )
    order = [kept[index] for index in np.random.default_rng(0).permutation(len(kept))]
    calibration = Calibration(scores=tuple(scores[path] for path in order), target_fpr=rate)
    parts = {path: scores[path] for path in kept}
    familiarity = Familiarity.of([looks[path] for path in order[:MOST_LOOKS]])
    for line in (
        calibration.shortfall(),
        calibration.told_outliers(parts),
        familiarity.shortfall(UNFAMILIAR_FPR),
    ):
        if line:
            warn(line)
    trial = _tried(detector, order, calibration.threshold(), should_stop)
    warn(trial.sentence())
    found = {
        "calibration": calibration.as_mapping(),
        "familiarity": familiarity.as_mapping(),
        "made_defects": trial.as_mapping(),
    }
    return Recalibrated(
        weights=replace(weights, provenance=weights.provenance | found),
        parts=NotableParts.of(calibration, parts),
    )


def _target_fpr(detector: Detector, given: float | None) -> float:
    """Return the rate that is given, else that of the weights."""
    if given is None:
        return detector.calibration.target_fpr if detector.calibration else _TARGET_FPR
    lowest, highest = TARGET_FPRS
    expected = f"a number from {lowest:g} to {highest:g}"
    return checked_number("target_fpr", given, lowest, highest, expected)


def operating_points(
    detector: Detector, defective: Sequence[Path], warn: Callable[[str], None]
) -> list[Operating]:
    """Return what several thresholds do, the highest first.

    Args:
        detector: A calibrated detector.
        defective: Pictures of defective parts.
        warn: Called with one line about every picture that is left out.
    """
    found: list[tuple[float, bool]] = []
    for path in defective:
        try:
            inspection = detector(_usable(path, detector.weights), str(path))
        except InputError as error:
            warn(f"{error}; left out")
            continue
        found.append((inspection.score, inspection.is_unfamiliar))
    calibration = detector.calibration
    if calibration is None:
        raise UsageError(f"{detector.weights.name}: was never calibrated on good parts")
    good = calibration.scores
    rates = sorted(
        {*(rate for rate in _RATES if rate >= calibration.least_rate), calibration.target_fpr}
    )
    thresholds: list[tuple[float, float | None]] = [(calibration.threshold(r), r) for r in rates]
    lowest = min((score for score, is_strange in found if not is_strange), default=None)
    if lowest is not None:  # the highest threshold that misses none
        thresholds.append((float(np.nextafter(np.float32(lowest), np.float32(0))), None))
    return [
        Operating(
            threshold=threshold,
            fpr=rate,
            false_alarms=sum(score > threshold for score in good),
            good=len(good),
            missed=sum(score <= threshold and not strange for score, strange in found),
            defective=len(found),
        )
        for threshold, rate in sorted(thresholds, key=lambda each: -each[0])
    ]


def read_verdicts(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the confirmed defective parts and the false alarms in a table of verdicts.

    The report's page exports it: columns ``file`` and ``verdict``, which is confirmed or false
    alarm. Relative names begin in the working folder, or else beside the table.

    Raises:
        UsageError: the table cannot be read, or names other verdicts or files that are not there.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            rows = list(table)
            columns = set(table.fieldnames or ())
    except (OSError, UnicodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as a table of verdicts: {error}") from error
    if not {"file", "verdict"} <= columns:
        raise UsageError(f"{path}: is no table of verdicts: it has no columns file and verdict")
    labelled: dict[str, list[Path]] = {_CONFIRMED: [], _FALSE_ALARM: []}
    for number, row in enumerate(rows, start=2):
        verdict = (row.get("verdict") or "").strip().replace("_", " ")
        if not row.get("file") or verdict not in labelled:
            raise UsageError(
                f"{path}: line {number}: expected are the columns file and verdict, which is "
                f"{_CONFIRMED} or {_FALSE_ALARM}"
            )
        labelled[verdict].append(_found(row["file"], path))
    return labelled[_CONFIRMED], labelled[_FALSE_ALARM]


def _found(name: str, table: Path) -> Path:
    # The page writes an apostrophe before what a spreadsheet would take for a formula.
    for text in (name, name.removeprefix("'")):
        for path in (Path(text), table.parent / text):
            if path.is_file():
                return path
    raise UsageError(f"{table}: {name}: no such file; run this where the inspection was run")


def _usable(path: Path, weights: Weights) -> Part:
    part = read_part(path).fitted_to(weights.channels)
    check_range(part, str(path))
    if part.channels != weights.channels:
        raise InputError(
            f"{path}: has {part.channels} channels; {weights.name} inspects {weights.channels}"
        )
    return part


def _tried(
    detector: Detector,
    paths: Sequence[Path],
    threshold: float,
    should_stop: Callable[[], bool],
) -> MadeDefects:
    network = detector.network
    recipe = detector.weights.provenance.get("recipe")
    patch = recipe.get("patch") if isinstance(recipe, dict) else None
    seen = [
        as_seen(_usable(path, detector.weights).pixels, network.view, network.scale, str(path))
        for path in paths[:_MOST_JUDGES]
    ]
    return try_made_defects(
        InspectionNetwork(
            detector.weights,
            Placement(device=network.runner.device),
            edges=network.edges,
            texture=network.texture,
        ),
        [picture for picture, _ in seen],
        [inside for _, inside in seen],
        threshold,
        patch=patch if type(patch) is int and patch > 0 else _PATCH,
        seed=0,
        should_stop=should_stop,
    )
