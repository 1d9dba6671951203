"""A batch that drifts from the calibration is noticed; one that does not is left in peace."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from restore.anomaly.calibration import Calibration
from restore.anomaly.drift import drift_of, told_another_part
from restore.anomaly.records import Record
from restore.anomaly.verdict import Verdict

RNG = np.random.default_rng(0)
GOOD = RNG.gamma(4, 0.1, 200)


def detector() -> Any:
    familiarity = SimpleNamespace(shares=lambda: list(np.linspace(0.005, 1, 200)))
    calibration = Calibration(scores=tuple(GOOD), target_fpr=0.05)
    return SimpleNamespace(
        threshold=calibration.threshold(), calibration=calibration, familiarity=familiarity
    )


def batch(scores: Any, familiarity: Any) -> list[Record]:
    limit = detector().threshold
    return [
        Record(
            source=str(i),
            verdict=Verdict.DEFECTIVE if score > limit else Verdict.GOOD,
            score=float(score),
            familiarity=float(share),
        )
        for i, (score, share) in enumerate(zip(scores, familiarity, strict=True))
    ]


def drift(scores: Any, familiarity: Any) -> Any:
    found = drift_of(batch(scores, familiarity), cast(Any, detector()))
    assert found is not None
    return found


def test_parts_like_those_of_the_calibration_do_not_drift() -> None:
    same = drift(RNG.gamma(4, 0.1, 100), RNG.random(100))
    assert same.p_value > 0.01
    assert same.warning() == ""


def test_defects_are_no_drift() -> None:
    scores = np.concatenate([RNG.gamma(4, 0.1, 100), np.full(60, 9.0)])
    assert drift(scores, RNG.random(160)).warning() == ""


def test_higher_scores_are_a_drift_of_scores() -> None:
    found = drift(RNG.gamma(4, 0.16, 100), RNG.random(100))
    assert found.p_value < 0.01
    assert "differ from the good parts of the calibration in their scores" in found.warning()


def test_a_darker_lamp_is_a_drift_of_appearance() -> None:
    found = drift(RNG.gamma(4, 0.1, 100), 0.3 * RNG.random(100))
    assert found.of == "appearance"
    assert "check lamp, lens and supplier" in found.warning()


def test_a_handful_of_parts_is_not_tested() -> None:
    assert drift_of(batch([0.1] * 9, [0.5] * 9), cast(Any, detector())) is None


def test_a_model_of_another_part_is_told() -> None:
    strange = Record(source="a", verdict=Verdict.UNFAMILIAR, score=1.0)
    good = Record(source="b", verdict=Verdict.GOOD, score=0.1)
    failed = Record(source="c", verdict=Verdict.FAILED, error="no")
    told = told_another_part([strange] * 9 + [good] * 3 + [failed] * 9, "tile")
    assert told == (
        "9 of 12 parts are unfamiliar: tile seems to be for another part, camera or lamp"
    )
    assert told_another_part([strange] * 5 + [good] * 5, "tile") == ""
    assert told_another_part([strange] * 9, "tile") == "", "too few to tell"
