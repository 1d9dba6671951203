"""Evaluation of a detector on a test set in MVTec's layout."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.calibration import binomial_interval
from restore.anomaly.metrics import F1Max, PixelCounts, auroc, f1_max, summed
from restore.anomaly.part import read_part
from restore.anomaly.runner import Detector
from restore.batch.inputs import pictures_in
from restore.errors import InputError, UsageError
from restore.image.codecs import PICTURE_SUFFIXES

__all__ = [
    "ANOMALY_PROTOCOL",
    "DetectorFigures",
    "KindFigures",
    "TestPart",
    "evaluate_detector",
    "find_test_parts",
    "unused_masks",
]

_GOOD = "good"
_ALL = "all"

ANOMALY_PROTOCOL = (
    "part's score: highest of its map; each kind against all good parts; pixels at the picture's "
    "resolution, those of all pictures together; AU-PRO: per-region overlap, 8-connected regions, "
    "up to 30 % false positives among all good pixels; intervals are Clopper-Pearson, 95 %; "
    "F1-max is tuned on these very labels and cannot be had in use"
)
"""What the figures of ``evaluate_detector`` mean; to be printed beside them."""


@dataclass(frozen=True)
class TestPart:
    """A picture of the test set.

    Attributes:
        path: Path of the picture.
        kind: Name of its folder: good, or a kind of defect.
        mask: Path of the mask of its defects; None for good parts, or if there is no mask.
    """

    path: Path
    kind: str
    mask: Path | None


@dataclass(frozen=True, kw_only=True)
class KindFigures:
    """Figures of one kind of defect against the good parts; None where they are undefined.

    Attributes:
        kind: Kind of defect, or all.
        parts: Number of parts scored.
        masked: Number of these with a mask, on which the pixel figures are measured.
        image_auroc, pixel_auroc, pixel_ap, au_pro: Figures from 0 to 1.
        detected: Number of parts that score above the threshold.
    """

    kind: str
    parts: int
    masked: int
    image_auroc: float | None
    pixel_auroc: float | None
    pixel_ap: float | None
    au_pro: float | None
    detected: int


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
        failures: One sentence for every picture that could not be scored.
    """

    kinds: tuple[KindFigures, ...]
    good: int
    false_alarms: int
    interval: tuple[float, float] | None
    target_fpr: float | None
    threshold: float
    f1: F1Max | None
    failures: tuple[str, ...]


def find_test_parts(folder: Path) -> list[TestPart]:
    """Return the pictures of ``test/good``, ``test/KIND`` with masks of ``ground_truth/KIND``.

    Raises:
        UsageError: another layout, or no good or no defective parts.
    """
    test = folder / "test"
    if not test.is_dir():
        raise UsageError(
            f"{folder}: has no folder test; expected are test/good, test/KIND and, for the figures "
            "of pixels, ground_truth/KIND/NAME_mask.png"
        )
    kinds = sorted(path.name for path in test.iterdir() if path.is_dir())
    if _GOOD not in kinds or len(kinds) < 2:
        raise UsageError(f"{test}: needs a folder good and one for each kind of defect")
    found = []
    for kind in [_GOOD, *(kind for kind in kinds if kind != _GOOD)]:
        masks = _masks(folder / "ground_truth" / kind)
        found += [
            TestPart(path, kind, masks.get(path.stem))
            for path in pictures_in(test / kind, recursive=False)
        ]
    return found


def unused_masks(folder: Path, tests: Sequence[TestPart]) -> list[Path]:
    """Return the masks below ``ground_truth`` that belong to none of ``tests``, sorted."""
    used = {test.mask for test in tests}
    files = sorted((folder / "ground_truth").glob("*/*"))
    return [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES and path not in used]


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
    report: Callable[[TestPart], None] = lambda _: None,
) -> DetectorFigures:
    """Score every picture and measure.

    Args:
        detector: detector, with the threshold to evaluate.
        tests: test parts, as ``find_test_parts`` returns them.
        report: called after every picture.
    """
    scores: dict[str, list[float]] = {}
    pixels: dict[str, _Pixels] = {}
    failures = []
    for test in tests:
        try:
            score, counts = _scored(detector, test)
        except InputError as error:
            failures.append(str(error))
        else:
            scores.setdefault(test.kind, []).append(score)
            if counts is not None:
                pixels.setdefault(test.kind, _Pixels()).add(counts)
        report(test)
    good, alarms = scores.get(_GOOD, []), _above(detector, scores.get(_GOOD, []))
    kinds = [kind for kind in scores if kind != _GOOD]
    together = {_ALL: kinds} if len(kinds) > 1 else {}
    every = [score for kind in kinds for score in scores[kind]]
    return DetectorFigures(
        kinds=tuple(
            _figures(name, members, detector, scores, pixels)
            for name, members in ({kind: [kind] for kind in kinds} | together).items()
        ),
        good=len(good),
        false_alarms=alarms,
        interval=binomial_interval(alarms, len(good)) if good else None,
        target_fpr=detector.fpr,
        threshold=detector.threshold,
        f1=f1_max(good, every),
        failures=tuple(failures),
    )


def _scored(detector: Detector, test: TestPart) -> tuple[float, PixelCounts | None]:
    part = read_part(test.path)
    inspection = detector(part, str(test.path))
    if test.kind == _GOOD:
        mask = np.zeros(inspection.scores.shape, np.bool_)
    elif test.mask is None:
        return inspection.score, None
    else:
        mask = _mask(test.mask)
        if mask.shape != inspection.scores.shape:
            raise InputError(f"{test.mask}: has another size than {test.path}")
    return inspection.score, PixelCounts.of(inspection.scores, mask)


def _figures(
    name: str,
    kinds: Sequence[str],
    detector: Detector,
    scores: dict[str, list[float]],
    pixels: dict[str, _Pixels],
) -> KindFigures:
    defective = [score for kind in kinds for score in scores[kind]]
    seen = {kind: pixels[kind] for kind in (_GOOD, *kinds) if kind in pixels}
    counts = summed(each.counts for each in seen.values() if each.counts)
    return KindFigures(
        kind=name,
        parts=len(defective),
        masked=sum(each.pictures for kind, each in seen.items() if kind != _GOOD),
        image_auroc=auroc(scores.get(_GOOD, []), defective),
        pixel_auroc=counts.auroc(),
        pixel_ap=counts.average_precision(),
        au_pro=counts.au_pro(),
        detected=_above(detector, defective),
    )


def _above(detector: Detector, scores: Sequence[float]) -> int:
    return sum(score > detector.threshold for score in scores)


def _masks(folder: Path) -> dict[str, Path]:
    """Return stem of a picture -> its mask: ``NAME_mask.png``, or ``NAME.png``."""
    return dict(_named(folder)) if folder.is_dir() else {}


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in pictures_in(folder, recursive=False):
        yield path.stem.removesuffix("_mask"), path


def _mask(path: Path) -> NDArray[np.bool_]:
    pixels = read_part(path).pixels
    inside: NDArray[np.bool_] = pixels.max(axis=0) > 0
    return inside
