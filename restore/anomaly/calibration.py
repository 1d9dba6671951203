"""Thresholds for a guaranteed false-alarm rate, from the scores of good parts alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from statistics import NormalDist
from typing import Any

from restore.errors import UsageError, WeightsError

__all__ = [
    "Calibration",
    "NotableParts",
    "binomial_interval",
    "held_out_count",
    "least_rate",
    "least_sample",
]

_LEAST_SHARE, _LARGEST_SHARE = 0.2, 1 / 3
_MOST_HELD_OUT = 1000
_MOST_NAMED = 5
_TAIL = 0.9
_BY_CHANCE = 0.05
"""How many of the good parts are expected to score as high as one that is named."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The scores of good parts that a detector was not trained on.

    Attributes:
        scores: Scores in ascending order, one per held-out good part.
        target_fpr: False-alarm rate that the detector was trained for, in (0, 1).
    """

    scores: tuple[float, ...]
    target_fpr: float

    def __post_init__(self) -> None:
        """Sort the scores; refuse none at all, or any that is not finite."""
        object.__setattr__(self, "scores", tuple(sorted(self.scores)))
        if not self.scores or not all(math.isfinite(score) for score in self.scores):
            raise ValueError("calibration needs finite scores")
        _check_rate(self.target_fpr)

    @property
    def least_rate(self) -> float:
        """The lowest false-alarm rate that this number of scores can guarantee."""
        return least_rate(len(self.scores))

    def threshold(self, fpr: float | None = None) -> float:
        """Return the score above which a part is called defective.

        The conformal quantile (Vovk et al., "Algorithmic Learning in a Random World", 2005): on
        average over calibrations, at most a share ``fpr`` of good parts like those held out scores
        higher. With too few scores for that, it is the highest score.

        Args:
            fpr: False-alarm rate in (0, 1); None for the rate of training.

        Raises:
            UsageError: ``fpr`` is not in (0, 1).
        """
        rate = self.target_fpr if fpr is None else fpr
        _check_rate(rate)
        count = len(self.scores)
        # Rounded, so that a floating-point error does not lift an exact rank to the next one.
        rank = math.ceil(round((count + 1) * (1 - rate), 9))
        return self.scores[min(rank, count) - 1]

    def shortfall(self, fpr: float | None = None) -> str:
        """Return a sentence if these scores cannot guarantee the rate, else an empty string."""
        rate = self.target_fpr if fpr is None else fpr
        count = len(self.scores)
        if rate >= self.least_rate:
            return ""
        return (
            f"{count} held-out good parts cannot guarantee a false-alarm rate of {rate:.3g}: "
            f"expect up to {self.least_rate:.2g}; that rate needs {least_sample(rate)} parts"
        )

    def reaching(self, parts: Mapping[Path, float]) -> list[Path]:
        """Return the parts that reach the threshold, the highest first.

        Args:
            parts: Scores of the parts.
        """
        threshold = self.threshold()
        above = [path for path, score in parts.items() if score >= threshold]
        return sorted(above, key=parts.__getitem__, reverse=True)

    def outlying(self, parts: Mapping[Path, float]) -> list[Path]:
        """Return the parts that score higher than good parts like the others do, highest first.

        Some parts always reach the threshold, which is a quantile. Scores above the median are
        taken to be log-normal with this 90 % quantile, which a few defective parts hardly move. As
        high as an outlier, about one calibration in ten has a good part.

        Args:
            parts: Scores of the parts.
        """
        count = len(self.scores)
        middle, high = (self.scores[math.floor(q * (count - 1))] for q in (0.5, _TAIL))
        if middle <= 0:
            return []
        normal = NormalDist()
        deviations = normal.inv_cdf(1 - _BY_CHANCE / count) / normal.inv_cdf(_TAIL)
        limit = middle * (high / middle) ** deviations
        above = [path for path, score in parts.items() if score > limit]
        return sorted(above, key=parts.__getitem__, reverse=True)

    def told_outliers(self, parts: Mapping[Path, float]) -> str:
        """Return a line that names the parts that stand out, or an empty string.

        A defective part among the good ones raises the threshold, and all below it are missed.

        Args:
            parts: Scores of the parts.
        """
        outlying = self.outlying(parts)
        if not outlying:
            return ""
        shown = [f"{path.name} {parts[path]:.3g}" for path in outlying[:_MOST_NAMED]]
        others = f" and {len(outlying) - len(shown)} more" if len(outlying) > len(shown) else ""
        return (
            f"these score much higher than the other good parts: {', '.join(shown)}{others} "
            f"(threshold {self.threshold():.3g}); if one is defective, calibrate without it"
        )

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a weight file."""
        return asdict(self) | {"threshold": self.threshold(), "pictures": len(self.scores)}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Calibration":
        """Return the calibration that ``as_mapping`` described.

        Raises:
            WeightsError: the values are invalid.
        """
        try:
            return cls(
                scores=tuple(float(score) for score in values["scores"]),
                target_fpr=float(values["target_fpr"]),
            )
        except (KeyError, OverflowError, TypeError, ValueError, UsageError) as error:
            raise WeightsError(f"its calibration is invalid: {error}") from error


@dataclass(frozen=True, kw_only=True)
class NotableParts:
    """The good parts that a detector was calibrated on, as far as a person should look at them.

    Attributes:
        reaching: Scores of the parts that reach the threshold, the highest first.
        outlying: The parts that stand out, whether they reach it or not; see
            ``Calibration.outlying``.
    """

    reaching: Mapping[Path, float]
    outlying: Sequence[Path]

    @classmethod
    def of(cls, calibration: Calibration, parts: Mapping[Path, float]) -> "NotableParts":
        """Find them among the parts, of which scores are given."""
        return cls(
            reaching={path: parts[path] for path in calibration.reaching(parts)},
            outlying=calibration.outlying(parts),
        )


def least_rate(count: int) -> float:
    """Return the lowest false-alarm rate that ``count`` held-out parts can guarantee."""
    return 1 / (count + 1)


def least_sample(rate: float) -> int:
    """Return how many held-out parts are needed to guarantee ``rate``."""
    return math.ceil(round(1 / rate, 9)) - 1


def held_out_count(pictures: int, target_fpr: float) -> int:
    """Return how many of ``pictures`` good parts are kept out of training for calibration.

    As many as the rate needs, but at least about a fifth, at most a third, and never more than
    1000. Of the numbers near that, it is one with which the threshold lets as many parts through as
    the rate allows: with 99 parts and 5 % the fifth highest score is the threshold, with 98 parts
    the fourth.
    """
    least, most = math.ceil(pictures * _LEAST_SHARE), math.floor(pictures * _LARGEST_SHARE)
    most = min(most, _MOST_HELD_OUT)
    count = min(max(least, least_sample(target_fpr)), most)
    allowed = math.floor((count + 1) * target_fpr)
    exact = [math.ceil(round(alarms / target_fpr, 9)) - 1 for alarms in (allowed, allowed + 1)]
    fitting = [number for number in exact if 0 < number <= most]
    return min(fitting, key=lambda number: abs(number - count)) if fitting else count


def binomial_interval(events: int, trials: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a rate (Clopper and Pearson, 1934).

    Args:
        events: Number of events.
        trials: Number of trials, at least 1.
    """
    from scipy.stats import beta

    low = float(beta.ppf(0.025, events, trials - events + 1)) if events else 0.0
    high = float(beta.ppf(0.975, events + 1, trials - events)) if events < trials else 1.0
    return low, high


def _check_rate(rate: float) -> None:
    if not isinstance(rate, Real):
        raise UsageError(f"false-alarm rate {rate!r}: give a number between 0 and 1, as in 0.01")
    if not 0 < rate < 1:
        raise UsageError(f"false-alarm rate {rate:g}: give a number between 0 and 1, as in 0.01")
