import json
import math
from pathlib import Path

import numpy as np
import pytest

from restore.anomaly.calibration import (
    Calibration,
    binomial_interval,
    held_out_count,
    least_sample,
)
from restore.errors import UsageError, WeightsError


def test_threshold_is_the_conformal_quantile() -> None:
    """Rank ceil((n + 1) (1 - rate)) of n scores: 19 of 19 promise one in twenty."""
    nineteen = Calibration(scores=tuple(range(19)), target_fpr=0.05)
    assert nineteen.threshold() == 18
    assert nineteen.threshold(0.1) == 17
    assert nineteen.threshold(0.5) == 9
    assert nineteen.shortfall() == ""


def test_false_alarms_keep_the_promise_on_average() -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        scores = rng.exponential(size=99)
        threshold = Calibration(scores=tuple(scores), target_fpr=0.05).threshold()
        rates.append(math.exp(-threshold))  # of new scores from the same distribution
    assert np.mean(rates) == pytest.approx(0.05, abs=0.004)


def test_too_few_scores_say_what_they_can_promise() -> None:
    few = Calibration(scores=(3.0, 1.0, 2.0), target_fpr=0.01)
    assert few.threshold() == 3.0
    assert few.least_rate == 0.25
    assert "3 held-out good parts cannot guarantee a false-alarm rate of 0.01" in few.shortfall()
    assert "needs 99 parts" in few.shortfall()
    assert few.shortfall(0.25) == ""


def test_survives_json() -> None:
    one = Calibration(scores=(0.1, 0.2), target_fpr=0.2)
    assert Calibration.from_mapping(json.loads(json.dumps(one.as_mapping()))) == one


@pytest.mark.parametrize(
    "values",
    [{}, {"scores": [], "target_fpr": 0.1}, {"scores": ["x"], "target_fpr": 0.1},
     {"scores": [math.nan], "target_fpr": 0.1}, {"scores": [1.0], "target_fpr": 2}],
)  # fmt: skip
def test_nonsense_in_a_file_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="is invalid"):
        Calibration.from_mapping(values)


@pytest.mark.parametrize("rate", [0, 1, -0.1, math.nan])
def test_a_rate_lies_between_0_and_1(rate: float) -> None:
    with pytest.raises(UsageError, match="false-alarm rate"):
        Calibration(scores=(1.0,), target_fpr=0.1).threshold(rate)


def test_as_many_parts_are_held_out_as_the_rate_takes() -> None:
    assert least_sample(0.01) == 99
    assert held_out_count(500, 0.01) == 99
    assert held_out_count(200, 0.01) == 66, "no more than a third"
    assert held_out_count(200, 0.05) == 39, "no less than about a fifth"
    assert held_out_count(10, 0.05) == 3
    assert held_out_count(100_000, 0.01) == 999


def test_the_threshold_is_rounded_to_the_safe_side() -> None:
    """0.95 times 26 is 24.7: above the 24th of 25 scores good parts would be 7.7 % of alarms."""
    calibration = Calibration(scores=tuple(map(float, range(25))), target_fpr=0.05)
    assert calibration.threshold() == 24
    hundred = Calibration(scores=tuple(map(float, range(100))), target_fpr=0.05)
    assert hundred.threshold() == 95


def test_binomial_interval_is_exact() -> None:
    """5 of 100, Clopper-Pearson: 1.64 % to 11.28 %."""
    assert binomial_interval(5, 100) == pytest.approx((0.0164, 0.1128), abs=1e-4)
    assert binomial_interval(0, 10)[0] == 0
    assert binomial_interval(10, 10)[1] == 1


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.03, 0.05, 0.1, 0.3])
def test_the_number_held_out_wastes_no_rank(rate: float) -> None:
    for pictures in range(10, 3000, 7):
        count = held_out_count(pictures, rate)
        assert 0 < count <= pictures / 3
        if count >= least_sample(rate):
            scores = tuple(float(score) for score in range(count))
            highest = Calibration(scores=scores, target_fpr=rate).threshold()
            above = sum(score > highest for score in scores)
            # One part fewer would let one false alarm fewer through.
            fewer = Calibration(scores=scores[1:], target_fpr=rate).threshold()
            assert sum(score > fewer for score in scores[1:]) < above or above == 0


def drawn(count: int, seed: int, *more: float) -> tuple[Calibration, dict[Path, float]]:
    """Return a calibration on log-normal scores, and on some more."""
    scores = np.random.default_rng(seed).lognormal(0, 0.7, count).tolist()
    parts = {Path(f"good/{index}.png"): score for index, score in enumerate([*scores, *more])}
    return Calibration(scores=tuple(parts.values()), target_fpr=0.05), parts


def test_parts_that_reach_the_threshold_come_highest_first() -> None:
    parts = {Path(f"good/{number}.png"): float(number) for number in range(199)}
    calibration = Calibration(scores=tuple(parts.values()), target_fpr=0.04)
    assert [path.name for path in calibration.reaching(parts)] == [
        f"{number}.png" for number in range(198, 190, -1)
    ]
    assert calibration.outlying(parts) == []


@pytest.mark.parametrize("count", [10, 20, 99, 499])
def test_good_parts_alone_rarely_stand_out(count: int) -> None:
    named = [bool(Calibration.told_outliers(*drawn(count, seed))) for seed in range(300)]
    assert np.mean(named) < (0.35 if count < 20 else 0.2 if count < 99 else 0.1)


@pytest.mark.parametrize(("count", "defective"), [(19, 1), (95, 4), (450, 20)])
def test_defective_parts_among_good_ones_are_named_highest_first(
    count: int, defective: int
) -> None:
    calibration, parts = drawn(count, 0, *(40.0 + index for index in range(defective)))
    assert [parts[path] for path in calibration.outlying(parts)] == [
        40.0 + index for index in reversed(range(defective))
    ]
    line = calibration.told_outliers(parts)
    first = 39.0 + defective
    assert line.startswith(
        f"these score much higher than the other good parts: {count + defective - 1}.png {first:g}"
    )
    assert (f" and {defective - 5} more " in line) == (defective > 5)


def test_equal_scores_do_not_stand_out() -> None:
    parts = {Path(f"{index}.png"): 1.0 for index in range(30)}
    calibration = Calibration(scores=tuple(parts.values()), target_fpr=0.05)
    assert calibration.told_outliers(parts) == ""
