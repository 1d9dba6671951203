import numpy as np
import pytest

from restore.engine.tiles import run_overlapping


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).random((2, height, width), dtype=np.float32)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (16, 16), (17, 40), (50, 33), (5, 64)])
def test_windows_that_change_nothing_give_the_picture_back(height: int, width: int) -> None:
    pixels = picture(height, width)
    result = run_overlapping(lambda cut: cut, pixels, window=16, stride=4, batch=16, channels=2)
    np.testing.assert_allclose(result, pixels, atol=1e-6)


def test_every_window_is_full_sized_and_batches_are_bounded() -> None:
    seen = []

    def network(cut: np.ndarray) -> np.ndarray:
        seen.append(cut.shape)
        return cut[:, :1]

    run_overlapping(network, picture(100, 90), window=16, stride=4, batch=16, channels=1)
    assert {shape[1:] for shape in seen} == {(2, 16, 16)}
    assert max(shape[0] for shape in seen) <= 16


def test_a_windows_edge_does_not_show() -> None:
    """Windows of different levels blend: neighbouring pixels differ by little."""
    levels = iter(range(10_000))

    def network(cut: np.ndarray) -> np.ndarray:
        numbers = np.array([next(levels) % 2 for _ in cut], np.float32)
        return np.broadcast_to(numbers[:, None, None, None], (len(cut), 1, 16, 16))

    result = run_overlapping(network, picture(16, 64), window=16, stride=4, batch=16, channels=1)
    assert np.abs(np.diff(result[0], axis=1)).max() < 0.25
