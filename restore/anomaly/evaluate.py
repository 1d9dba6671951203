"""Evaluation of a detector on a test set in MVTec's layout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.calibration import binomial_interval
from restore.anomaly.metrics import (
    F1Max,
    PixelCounts,
    RocPoint,
    auroc,
    auroc_interval,
    f1_max,
    roc_points,
    summed,
)
from restore.anomaly.part import read_part
from restore.anomaly.runner import Detector
from restore.anomaly.testset import GOOD, TestPart, read_mask
from restore.errors import InputError, UsageError

__all__ = [
    "ANOMALY_PROTOCOL",
    "DetectorFigures",
    "KindFigures",
    "OperatingPoint",
    "PartScore",
    "evaluate_detector",
]

_ALL = "all"

ANOMALY_PROTOCOL = (
    "part's score: highest of its map; each kind against all good parts; pixels at the picture's "
    "resolution, those of all pictures together; AU-PRO: per-region overlap, 8-connected regions, "
    "up to 30 % false positives among all good pixels; intervals are 95 %: of rates "
    "Clopper-Pearson, of image AUROC the bootstrap's (2000 resamples of parts); "
    "F1-max is tuned on these very labels and cannot be had in use"
)
"""What the figures of ``evaluate_detector`` mean; to be printed beside them."""


@dataclass(frozen=True, kw_only=True)
class KindFigures:
    """Figures of one kind of defect against the good parts; None where they are undefined.

    Attributes:
        kind: Kind of defect, or all.
        parts: Number of parts scored.
        masked: Number of these with a mask, on which the pixel figures are measured.
        image_auroc, pixel_auroc, pixel_ap, au_pro: Figures from 0 to 1.
        image_auroc_interval: Bootstrap interval of the image AUROC, 95 %.
        detected: Number of parts that score above the threshold.
    """

    kind: str
    parts: int
    masked: int
    image_auroc: float | None
    image_auroc_interval: tuple[float, float] | None
    pixel_auroc: float | None
    pixel_ap: float | None
    au_pro: float | None
    detected: int


@dataclass(frozen=True, kw_only=True)
class PartScore:
    """The score of one part.

    Attributes:
        path: Path of the picture.
        kind: good, or a kind of defect.
        score: Its score.
        verdict: Verdict of the detector.
    """

    path: str
    kind: str
    score: float
    verdict: str


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """What a detector does at one threshold.

    Attributes:
        target_fpr: False-alarm rate that the threshold was set for, or None.
        threshold: Threshold.
        shortfall: Sentence if the calibration cannot guarantee that rate, else "".
        false_alarms: Number of good parts above the threshold.
        interval: 95 % confidence interval of the false-alarm rate; None without good parts.
        detected: Kind of defect -> number of parts above it.
    """

    target_fpr: float | None
    threshold: float
    shortfall: str
    false_alarms: int
    interval: tuple[float, float] | None
    detected: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class DetectorFigures:
    """All figures of a detector.

    Attributes:
        kinds: Figures of each kind, and at the end those of all kinds together.
        good: Number of good parts scored.
        false_alarms: Number of good parts that score above the threshold.
        interval: 95 % confidence interval of the false-alarm rate.
        target_fpr: False-alarm rate that the threshold was set for, or None.
        threshold: Threshold of the detector.
        f1: Best F1 that any threshold reaches on these labels.
        points: What each threshold that was asked for does, the detector's own first.
        roc: Points of the ROC curve of parts, from the strictest threshold on; empty without both
            kinds.
        parts: Score of every part.
        missed: Paths of the defective parts not above the threshold, the lowest scores first.
        alarmed: Paths of the good parts above the threshold, the highest scores first.
        remarks: One sentence for everything that was left out of the figures of pixels, or is odd.
        failures: One sentence for every picture that could not be scored.
    """

    kinds: tuple[KindFigures, ...]
    good: int
    false_alarms: int
    interval: tuple[float, float] | None
    target_fpr: float | None
    threshold: float
    f1: F1Max | None
    points: tuple[OperatingPoint, ...]
    roc: tuple[RocPoint, ...]
    parts: tuple[PartScore, ...]
    missed: tuple[str, ...]
    alarmed: tuple[str, ...]
    remarks: tuple[str, ...]
    failures: tuple[str, ...]


@dataclass
class _Pixels:
    """The pixels of several pictures.

    Summed at once: the counts of a picture take more memory than the picture.
    """

    pictures: int = 0
    counts: PixelCounts | None = None

    def add(self, counts: PixelCounts) -> None:
        self.counts = counts if self.counts is None else summed([self.counts, counts])
        self.pictures += 1


def evaluate_detector(
    detector: Detector,
    tests: Sequence[TestPart],
    *,
    rates: Sequence[float] = (),
    report: Callable[[TestPart], None] = lambda _: None,
) -> DetectorFigures:
    """Score every picture and measure.

    Args:
        detector: detector, with the threshold to evaluate.
        tests: test parts, as ``find_test_set`` returns them.
        rates: further false-alarm rates to set thresholds for, from the detector's calibration.
        report: called after every picture.

    Raises:
        UsageError: a rate is not in (0, 1), or the detector was never calibrated.
    """
    points = [_Threshold(detector.fpr, detector.threshold, detector.shortfall)]
    points += [_threshold_for(detector, rate) for rate in rates]
    parts: list[PartScore] = []
    pixels: dict[str, _Pixels] = {}
    failures: list[str] = []
    remarks: list[str] = []
    for test in tests:
        try:
            score, counts = _scored(detector, test, remarks)
        except InputError as error:
            failures.append(str(error))
        else:
            parts.append(score)
            if counts is not None:
                pixels.setdefault(test.kind, _Pixels()).add(counts)
        report(test)
    scores: dict[str, list[float]] = {}
    for part in parts:
        scores.setdefault(part.kind, []).append(part.score)
    good = scores.get(GOOD, [])
    kinds = [kind for kind in scores if kind != GOOD]
    together = {_ALL: kinds} if len(kinds) > 1 else {}
    every = [score for kind in kinds for score in scores[kind]]
    measured = tuple(_point(point, scores) for point in points)
    return DetectorFigures(
        kinds=tuple(
            _figures(name, members, detector, scores, pixels)
            for name, members in ({kind: [kind] for kind in kinds} | together).items()
        ),
        good=len(good),
        false_alarms=measured[0].false_alarms,
        interval=measured[0].interval,
        target_fpr=detector.fpr,
        threshold=detector.threshold,
        f1=f1_max(good, every),
        points=measured,
        roc=roc_points(good, every),
        parts=tuple(parts),
        missed=_paths(parts, lambda part: part.kind != GOOD and part.score <= detector.threshold),
        alarmed=_paths(parts, lambda part: part.kind == GOOD and part.score > detector.threshold)[
            ::-1
        ],
        remarks=tuple(remarks),
        failures=tuple(failures),
    )


@dataclass(frozen=True)
class _Threshold:
    target_fpr: float | None
    value: float
    shortfall: str


def _threshold_for(detector: Detector, rate: float) -> _Threshold:
    if detector.calibration is None:
        raise UsageError(f"{detector.weights.name}: was never calibrated on good parts")
    value = float(np.float32(detector.calibration.threshold(rate)))
    return _Threshold(rate, value, detector.calibration.shortfall(rate))


def _point(threshold: _Threshold, scores: dict[str, list[float]]) -> OperatingPoint:
    above = {
        kind: sum(score > threshold.value for score in members) for kind, members in scores.items()
    }
    good = len(scores.get(GOOD, []))
    alarms = above.pop(GOOD, 0)
    return OperatingPoint(
        target_fpr=threshold.target_fpr,
        threshold=threshold.value,
        shortfall=threshold.shortfall,
        false_alarms=alarms,
        interval=binomial_interval(alarms, good) if good else None,
        detected=above,
    )


def _paths(parts: Sequence[PartScore], chosen: Callable[[PartScore], bool]) -> tuple[str, ...]:
    """Return the paths of some parts, the lowest scores first."""
    return tuple(part.path for part in sorted(parts, key=lambda part: part.score) if chosen(part))


def _scored(
    detector: Detector, test: TestPart, remarks: list[str]
) -> tuple[PartScore, PixelCounts | None]:
    inspection = detector(read_part(test.path), str(test.path))
    part = PartScore(
        path=str(test.path),
        kind=test.kind,
        score=inspection.score,
        verdict=str(inspection.verdict),
    )
    mask = _mask_of(test, inspection.scores.shape, remarks)
    return part, None if mask is None else PixelCounts.of(inspection.scores, mask)


def _mask_of(test: TestPart, size: tuple[int, ...], remarks: list[str]) -> NDArray[np.bool_] | None:
    """Return where the defects of a part are; None, and a remark, if its mask cannot be used."""
    if test.kind == GOOD:
        return np.zeros(size, np.bool_)
    if test.mask is None:
        return None
    try:
        mask, doubt = read_mask(test.mask)
    except InputError as error:
        remarks.append(f"{error}; {test.path} is left out of the figures of pixels")
        return None
    if mask.shape != size:
        remarks.append(
            f"{test.mask}: has another size than {test.path}, which is left out of the figures of "
            "pixels"
        )
        return None
    if doubt:
        remarks.append(doubt)
    return mask


def _figures(
    name: str,
    kinds: Sequence[str],
    detector: Detector,
    scores: dict[str, list[float]],
    pixels: dict[str, _Pixels],
) -> KindFigures:
    defective = [score for kind in kinds for score in scores[kind]]
    good = scores.get(GOOD, [])
    seen = {kind: pixels[kind] for kind in (GOOD, *kinds) if kind in pixels}
    counts = summed(each.counts for each in seen.values() if each.counts)
    return KindFigures(
        kind=name,
        parts=len(defective),
        masked=sum(each.pictures for kind, each in seen.items() if kind != GOOD),
        image_auroc=auroc(good, defective),
        image_auroc_interval=auroc_interval(good, defective),
        pixel_auroc=counts.auroc(),
        pixel_ap=counts.average_precision(),
        au_pro=counts.au_pro(),
        detected=_above(detector, defective),
    )


def _above(detector: Detector, scores: Sequence[float]) -> int:
    return sum(score > detector.threshold for score in scores)
