"""Whether the parts of a batch still are like those that a detector was calibrated on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from restore.anomaly.records import Record
from restore.anomaly.runner import Detector
from restore.anomaly.verdict import Verdict

__all__ = ["Drift", "drift_of", "told_another_part"]

_LEAST_PARTS = 10
_ALARM = 0.01
_COMPARED = (Verdict.GOOD, Verdict.REVIEW, Verdict.DEFECTIVE)
_MOST_UNFAMILIAR = 0.5


@dataclass(frozen=True)
class Drift:
    """A test of a batch against the good parts of the calibration.

    Two-sample Kolmogorov-Smirnov tests: of the scores up to the threshold, which leaves defects
    aside, and one-sided of the familiarity. The smaller p-value counts, doubled.

    Attributes:
        p_value: Probability that parts like those of the calibration differ so much.
        parts: Number of parts compared.
        of: What differs most: scores or appearance.
    """

    p_value: float
    parts: int
    of: str

    def warning(self) -> str:
        """Return a sentence if the parts drift, else ""."""
        if self.p_value >= _ALARM:
            return ""
        return (
            f"drift: these {self.parts} parts differ from the good parts of the calibration in "
            f"their {self.of} (Kolmogorov-Smirnov test, p = {self.p_value:.1g}); check lamp, lens "
            "and supplier, or calibrate anew with `imrestore anomaly calibrate`"
        )

    def fact(self) -> str:
        """Return the test in one phrase."""
        return f"{self.of} of {self.parts} parts against the calibration: p = {self.p_value:.2g}"

    def as_mapping(self) -> dict[str, object]:
        """Return plain values."""
        return {"p_value": float(f"{self.p_value:.3g}"), "parts": self.parts, "of": self.of}


def drift_of(records: Iterable[Record], detector: Detector) -> Drift | None:
    """Test a batch, None if it is too small or the weights say nothing to compare it with.

    Args:
        records: Records of the batch; unfamiliar parts are left aside.
        detector: Detector that inspected it.
    """
    parts = [record for record in records if record.verdict in _COMPARED]
    scores = [record.score for record in parts if record.score is not None]
    usual = [score for score in scores if score <= detector.threshold]
    calibrated = detector.calibration.scores if detector.calibration else ()
    below = [score for score in calibrated if score <= detector.threshold]
    found = {"scores": _p_value(usual, below)}
    if detector.familiarity:
        shares = [record.familiarity for record in parts if record.familiarity is not None]
        found["appearance"] = _p_value(
            # Parts that the fit knows are more familiar than others, which is no drift.
            shares,
            detector.familiarity.shares(),
            alternative="greater",
        )
    tested = {of: value for of, value in found.items() if value is not None}
    if not tested:
        return None
    of = min(tested, key=lambda each: tested[each])
    return Drift(min(1.0, len(tested) * tested[of]), len(parts), of)


def told_another_part(records: Iterable[Record], name: str) -> str:
    """Return a sentence if most parts are unfamiliar: the model may be for another one; else ""."""
    scored = [record for record in records if not record.error]
    strange = sum(record.verdict is Verdict.UNFAMILIAR for record in scored)
    if len(scored) < _LEAST_PARTS or strange <= _MOST_UNFAMILIAR * len(scored):
        return ""
    return (
        f"{strange} of {len(scored)} parts are unfamiliar: {name} seems to be for another part, "
        "camera or lamp"
    )


def _p_value(
    batch: Sequence[float], good: Sequence[float], alternative: str = "two-sided"
) -> float | None:
    if min(len(batch), len(good)) < _LEAST_PARTS:
        return None
    from scipy.stats import ks_2samp

    return float(ks_2samp(batch, good, alternative=alternative).pvalue)
