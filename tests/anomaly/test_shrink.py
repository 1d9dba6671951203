import numpy as np
import pytest

from restore.anomaly.scale import enlarged_scores, shrunk


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("size", [(1, 1), (8, 17), (25, 33), (64, 41)])
def test_enlarged_scores_keep_every_peak_and_exceed_none(
    factor: int, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(factor)
    small = shrunk(rng.random((1, *size), dtype=np.float32), factor)[0]
    whole = enlarged_scores(small, factor, size)
    assert (whole.shape, whole.dtype) == (size, np.float32)
    assert whole.max() == small.max()
    assert whole.min() >= small.min()
    for (row, column), score in np.ndenumerate(small):
        square = whole[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        assert (square == score).any()


def test_enlarged_scores_rise_evenly() -> None:
    drawn = enlarged_scores(np.float32([[0, 3]]), 4, (1, 8))
    np.testing.assert_allclose(drawn, [[0, 0, 0, 1, 2, 3, 3, 3]], atol=1e-6)
