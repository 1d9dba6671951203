"""AUROC, average precision, AU-PRO and F1 of anomaly scores, for parts, pixels and regions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = [
    "PRO_LIMIT",
    "F1Max",
    "PixelCounts",
    "RocPoint",
    "auroc",
    "auroc_interval",
    "f1_max",
    "roc_points",
    "summed",
]

PRO_LIMIT = 0.3
"""False-positive rate up to which regions count (Bergmann et al., IJCV 2021)."""

_RESAMPLES = 2000
_DROPPED_BITS = 13
_LEVELS = (0x7F80_0000 >> _DROPPED_BITS) + 1


@dataclass(frozen=True)
class PixelCounts:
    """A histogram of pixel scores: all that the figures of score maps need.

    Scores of any range fall into a quarter of a million levels, 0.1 % apart: the leading bits of a
    float32 that is not negative are in the order of its value.

    Attributes:
        good: pixels outside defects, per level.
        defective: pixels inside, per level.
        regions: sum over all regions of the share of their pixels, per level.
        region_count: number of regions.
    """

    good: NDArray[np.float64]
    defective: NDArray[np.float64]
    regions: NDArray[np.float64]
    region_count: int

    @classmethod
    def of(cls, scores: NDArray[np.float32], mask: NDArray[np.bool_]) -> "PixelCounts":
        """Count the pixels of one picture.

        Args:
            scores: ``[H, W]``, not negative.
            mask: ``[H, W]``, where the defects are.

        Raises:
            ValueError: the shapes differ, or a score is negative or not a number.
        """
        if scores.shape != mask.shape:
            raise ValueError(f"scores {list(scores.shape)} and mask {list(mask.shape)} differ")
        if not (scores >= 0).all():
            raise ValueError("scores must not be negative")
        # Adding zero turns the negative zero, whose bits are those of a large number, positive.
        bits = np.ascontiguousarray(scores + np.float32(0), np.float32).view(np.uint32)
        levels = (bits >> _DROPPED_BITS).astype(np.int64)
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        shares = 1 / np.maximum(np.bincount(labels.ravel(), minlength=count + 1), 1)
        inside = levels[mask]
        return cls(
            good=_counted(levels[~mask]),
            defective=_counted(inside),
            regions=_counted(inside, shares[labels[mask]]),
            region_count=count,
        )

    def auroc(self) -> float | None:
        """Return the area under the ROC curve of pixels, None without pixels of both kinds."""
        from sklearn.metrics import roc_auc_score

        return self._measured(roc_auc_score)

    def average_precision(self) -> float | None:
        """Return the average precision of pixels, None without pixels of both kinds."""
        from sklearn.metrics import average_precision_score

        return self._measured(average_precision_score)

    def au_pro(self, limit: float = PRO_LIMIT) -> float | None:
        """Return the area under the per-region overlap curve, from 0 to 1.

        Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021: the share of a region
        above a threshold, averaged over the regions of all pictures, against the share of good
        pixels above it, integrated up to ``limit`` and divided by it.

        Args:
            limit: rate of false positives in (0, 1].
        """
        if not self.region_count or not self.good.sum():
            return None
        false_positives = _from_above(self.good) / self.good.sum()
        overlaps = _from_above(self.regions) / self.region_count
        end = float(np.interp(limit, false_positives, overlaps))
        inside = false_positives < limit
        x = np.append(false_positives[inside], limit)
        y = np.append(overlaps[inside], end)
        return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / (2 * limit))

    def _measured(self, metric: object) -> float | None:
        if not self.good.sum() or not self.defective.sum():
            return None
        levels = np.flatnonzero(self.good + self.defective)
        labels = np.repeat([0, 1], len(levels))
        weights = np.concatenate([self.good[levels], self.defective[levels]])
        assert callable(metric)
        return float(metric(labels, np.tile(levels, 2), sample_weight=weights))


@dataclass(frozen=True)
class F1Max:
    """The best F1 of all thresholds, chosen on the very labels that it is measured on."""

    f1: float
    threshold: float


def summed(counts: Iterable[PixelCounts]) -> PixelCounts:
    """Return the counts of several pictures together."""
    good, defective, regions = (np.zeros(_LEVELS) for _ in range(3))
    number = 0
    for each in counts:
        good += each.good
        defective += each.defective
        regions += each.regions
        number += each.region_count
    return PixelCounts(good, defective, regions, number)


def auroc(good: Sequence[float], defective: Sequence[float]) -> float | None:
    """Return the area under the ROC curve of parts, None without parts of both kinds."""
    from sklearn.metrics import roc_auc_score

    if not good or not defective:
        return None
    return float(roc_auc_score([0] * len(good) + [1] * len(defective), [*good, *defective]))


def auroc_interval(good: Sequence[float], defective: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of ``auroc``, None without parts of both kinds.

    The percentile bootstrap (Efron, 1979): good and defective parts are drawn anew, with
    replacement, 2000 times. Always the same for the same scores.
    """
    if not good or not defective:
        return None
    rng = np.random.default_rng(0)
    levels, places = np.unique(np.asarray([*good, *defective], np.float64), return_inverse=True)
    areas = np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):
        first = rng.integers(len(good), size=len(good))
        second = rng.integers(len(defective), size=len(defective)) + len(good)
        counts = np.bincount(places[first], minlength=len(levels))
        below = np.cumsum(counts) - counts / 2
        areas[index] = below[places[second]].mean() / len(good)
    low, high = np.quantile(areas, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class RocPoint:
    """A point of the ROC curve of parts.

    Attributes:
        threshold: Parts that score at least this are called defective; infinity for none.
        false_positive_rate: Share of good parts called so.
        true_positive_rate: Share of defective parts called so.
    """

    threshold: float
    false_positive_rate: float
    true_positive_rate: float


def roc_points(good: Sequence[float], defective: Sequence[float]) -> tuple[RocPoint, ...]:
    """Return the corners of the ROC curve of parts, none without parts of both kinds."""
    from sklearn.metrics import roc_curve

    if not good or not defective:
        return ()
    labels = [0] * len(good) + [1] * len(defective)
    false, true, thresholds = roc_curve(labels, [*good, *defective])
    return tuple(RocPoint(*map(float, each)) for each in zip(thresholds, false, true, strict=True))


def f1_max(good: Sequence[float], defective: Sequence[float]) -> F1Max | None:
    """Return the best F1 of parts over all thresholds, None without parts of both kinds."""
    from sklearn.metrics import precision_recall_curve

    if not good or not defective:
        return None
    labels = [0] * len(good) + [1] * len(defective)
    precision, recall, thresholds = precision_recall_curve(labels, [*good, *defective])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(np.argmax(f1[:-1]))
    # The curve counts what reaches its threshold, a detector what lies above; both in float32.
    below = np.nextafter(np.float32(thresholds[best]), np.float32(-np.inf))
    return F1Max(float(f1[best]), float(below))


def _counted(
    levels: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    return np.bincount(levels, weights, minlength=_LEVELS).astype(np.float64)


def _from_above(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return cumulative sums from the highest level down, beginning with 0."""
    return np.concatenate([[0.0], np.cumsum(counts[::-1])])
