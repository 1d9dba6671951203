import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from restore.anomaly.metrics import PixelCounts, auroc, auroc_interval, f1_max, summed


def test_au_pro_of_a_case_worked_out_by_hand() -> None:
    """Ten good pixels, a region of four and a region of one.

    Scores from above: both of region A's (9, 8), region B's (7), a good one (6), A's third (5),
    a good one (4), A's last (3), then the other eight good ones. Overlap is the mean of A's and
    B's share: with no false positive (2/4 + 1/1) / 2 = 0.75; from 0.1 to 0.2 false positives
    (3/4 + 1) / 2 = 0.875; from 0.2 on 1. Straight lines between the points, as in the papers'
    code: the curve is (0, 0.75), (0.1, 0.75), (0.1, 0.875), (0.2, 0.875), (0.2, 1), (0.3, 1).
    """
    scores = np.array([[9, 8, 1, 7, 1], [5, 3, 1, 1, 1], [6, 4, 1, 1, 1]], np.float32)
    mask = np.array([[1, 1, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)
    counts = PixelCounts.of(scores, mask)
    assert counts.region_count == 2
    expected = (0.1 * 0.75 + 0.1 * 0.875 + 0.1 * 1.0) / 0.3
    assert counts.au_pro() == pytest.approx(expected, abs=1e-9)


def test_au_pro_counts_regions_alike_whatever_their_size() -> None:
    mask = np.zeros((20, 20), bool)
    mask[:10, :10] = True
    mask[15, 15] = True
    found_large = np.where(mask, np.float32(1), np.float32(0.1))
    found_large[15, 15] = 0
    assert PixelCounts.of(found_large, mask).au_pro() == pytest.approx(0.5)


def test_regions_touching_at_corners_are_one() -> None:
    mask = np.eye(4, dtype=bool)
    assert PixelCounts.of(np.zeros((4, 4), np.float32), mask).region_count == 1


def test_pixel_figures_agree_with_scikit_learn_on_raw_scores() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((60, 70)) < 0.2
    scores = (rng.gamma(2, 1e-3, (60, 70)) * np.where(mask, 2, 1)).astype(np.float32)
    counts = PixelCounts.of(scores, mask)
    labels, values = mask.ravel(), scores.ravel()
    assert counts.auroc() == pytest.approx(roc_auc_score(labels, values), abs=1e-3)
    expected = average_precision_score(labels, values)
    assert counts.average_precision() == pytest.approx(expected, abs=2e-3)


def test_counts_of_pictures_add_up() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((2, 30, 40)).astype(np.float32)
    mask = np.zeros((2, 30, 40), bool)
    mask[0, 3:9, 4:8] = mask[1, 20:22, 10:30] = True
    apart = summed(PixelCounts.of(*pair) for pair in zip(scores, mask, strict=True))
    beside = PixelCounts.of(np.hstack(list(scores)), np.hstack(list(mask)))
    assert apart.au_pro() == pytest.approx(beside.au_pro())
    assert apart.auroc() == pytest.approx(beside.auroc())


def test_negative_scores_and_other_shapes_are_refused() -> None:
    mask = np.zeros((2, 2), bool)
    with pytest.raises(ValueError, match="negative"):
        PixelCounts.of(np.full((2, 2), -1, np.float32), mask)
    with pytest.raises(ValueError, match="negative"):
        PixelCounts.of(np.full((2, 2), np.nan, np.float32), mask)
    with pytest.raises(ValueError, match="differ"):
        PixelCounts.of(np.zeros((2, 3), np.float32), mask)


def test_what_cannot_be_measured_is_none() -> None:
    nothing = PixelCounts.of(np.zeros((2, 2), np.float32), np.zeros((2, 2), bool))
    assert (nothing.auroc(), nothing.average_precision(), nothing.au_pro()) == (None, None, None)
    assert auroc([], [1.0]) is None
    assert f1_max([1.0], []) is None


def test_figures_of_parts() -> None:
    assert auroc([1, 2], [3, 1.5]) == 0.75
    best = f1_max([1, 2, 3], [2.5, 4, 5])
    assert best is not None
    assert best.f1 == pytest.approx(6 / 7)
    assert best.threshold == pytest.approx(2.5)
    assert np.float32(best.threshold) < 2.5, "so that what scores 2.5 lies above it"


def test_the_interval_of_auroc_is_that_of_resampled_parts() -> None:
    rng = np.random.default_rng(3)
    good, defective = rng.normal(0, 1, 80).tolist(), rng.normal(1, 1, 60).tolist()
    found = auroc_interval(good, defective)
    assert found is not None
    areas = [
        auroc(rng.choice(good, 80).tolist(), rng.choice(defective, 60).tolist()) for _ in range(400)
    ]
    assert found == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=0.015)
    assert auroc_interval([1.0, 1.0], [1.0]) == (0.5, 0.5)
    assert auroc_interval([], [1.0]) is None
