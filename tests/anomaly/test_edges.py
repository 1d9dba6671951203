import numpy as np
import pytest

from restore.anomaly.edges import NO_EDGES, EdgeProfile, outline_edges
from restore.anomaly.regions import part_score


def scores(height: int = 90, width: int = 120, *, edge: float = 1.0, seed: int = 0) -> np.ndarray:
    """Scores of a good part, ``edge`` times higher within 8 pixels of the picture's edge."""
    values = np.random.default_rng(seed).uniform(0.5, 1, (height, width)).astype(np.float32)
    values[8:-8, 8:-8] /= edge
    return values


def test_profile_says_how_much_higher_good_parts_score_near_edges() -> None:
    profile = EdgeProfile.of([scores(edge=3, seed=seed) for seed in range(10)])
    assert profile.factors == pytest.approx((3, 3, 1, 1, 1, 1, 1, 1), abs=0.05)


def test_relieved_scores_of_good_parts_are_alike_everywhere() -> None:
    profile = EdgeProfile.of([scores(edge=3, seed=seed) for seed in range(10)])
    unseen = scores(70, 200, edge=3, seed=99)
    profile.relieve(unseen)
    middle = unseen[20:-20, 20:-20]
    for side in (unseen[:6], unseen[-6:], unseen[:, :6], unseen[:, -6:]):
        assert side.max() == pytest.approx(middle.max(), rel=0.1)


def test_the_middle_and_parts_without_edges_stay_as_they_are() -> None:
    even = [scores(seed=seed) for seed in range(10)]
    assert max(EdgeProfile.of(even).factors) < 1.02
    profile = EdgeProfile((4.0, 2.0))
    relieved = even[0].copy()
    profile.relieve(relieved)
    np.testing.assert_array_equal(relieved[8:-8, 8:-8], even[0][8:-8, 8:-8])
    untouched = even[0].copy()
    NO_EDGES.relieve(untouched)
    np.testing.assert_array_equal(untouched, even[0])


@pytest.mark.parametrize("factors", [(3.0, 1.5, 1.0), (1.5, 1.5)])
def test_factors_fall_without_steps(factors: tuple[float, ...]) -> None:
    flat = np.ones((64, 64), np.float32)
    EdgeProfile(factors).relieve(flat)
    line = flat[32]
    assert (np.diff(line[:32]) >= 0).all()
    assert np.diff(line).max() < 0.2
    np.testing.assert_array_equal(flat, flat[::-1, ::-1])
    np.testing.assert_array_equal(flat, flat.T)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (12, 12)])
def test_small_pictures_are_all_edge(size: tuple[int, int]) -> None:
    small = np.ones(size, np.float32)
    EdgeProfile((3.0, 2.0, 1.0)).relieve(small)
    assert (small > 0.3).all()
    assert EdgeProfile.of([small]) == NO_EDGES


@pytest.mark.parametrize("factors", [(0.5,), (1.0, 2.0), (float("inf"),), (float("nan"),)])
def test_factors_that_make_no_sense_are_refused(factors: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="factors of edges"):
        EdgeProfile(factors)


@pytest.mark.parametrize("min_area", [0, 9])
def test_outlining_edges_changes_no_score_and_no_peak(min_area: int) -> None:
    for seed in range(20):
        unrelieved = scores(edge=3, seed=seed)
        relieved = unrelieved.copy()
        EdgeProfile((3.0, 3.0, 1.5)).relieve(relieved)
        outlined, score = relieved.copy(), part_score(relieved, min_area)
        outline_edges(outlined, unrelieved, score)
        assert part_score(outlined, min_area) == score
        assert outlined.argmax() == relieved.argmax()
        assert (outlined >= relieved).all()


def test_a_defect_on_an_edge_is_outlined_as_far_as_it_reaches() -> None:
    unrelieved = np.full((80, 80), 0.1, np.float32)
    unrelieved[30:50, :20] = 6
    relieved = unrelieved.copy()
    EdgeProfile((3.0, 2.0)).relieve(relieved)
    outlined = relieved.copy()
    outline_edges(outlined, unrelieved, part_score(relieved))
    assert (relieved > 2.5).sum() < 20 * 17
    assert (outlined > 2.5).sum() == (unrelieved > 2.5).sum() == 20 * 20
