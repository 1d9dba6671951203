"""The shipped detectors find made defects on made parts of their kind."""

import numpy as np
import pytest

from restore.anomaly.runner import Detector

pytestmark = pytest.mark.usefixtures("usual_engine")


def tile() -> np.ndarray:
    """A ground surface: streaks along one side, and grain."""
    rng = np.random.default_rng(0)
    streaks = np.repeat(rng.normal(0, 6, (1, 220)), 260, axis=0)
    return (95 + streaks + rng.normal(0, 5, (260, 220))).clip(0, 255).astype(np.uint8)


def board() -> np.ndarray:
    """Straight tracks of a circuit, 16 pixels wide, 24 apart."""
    columns = (np.arange(256) + 12) % 40 < 24
    return np.repeat(255 * columns[None].astype(np.uint8), 256, axis=0)


def with_disc(part: np.ndarray, row: int, column: int, value: int) -> np.ndarray:
    rows, columns = np.indices(part.shape)
    return np.where(np.hypot(rows - row, columns - column) < 6, value, part).astype(np.uint8)


@pytest.mark.parametrize(
    ("model", "good", "column", "value"),
    [
        ("anomaly-magnetic-tile", tile(), 105, 10),
        ("anomaly-pcb", board(), 92, 255),
        ("anomaly-pcb", board(), 100, 255),
    ],
    ids=["a hole in a tile", "a mouse bite", "a pin-hole"],
)
def test_a_defect_scores_higher_and_its_place_highest(
    model: str, good: np.ndarray, column: int, value: int
) -> None:
    detector = Detector(model, device="cpu")
    found = detector(with_disc(good, 124, column, value))
    assert found.score > 1.5 * detector(good).score
    assert np.hypot(found.peak_at[0] - column, found.peak_at[1] - 124) < 16
    assert detector.shortfall == ""
