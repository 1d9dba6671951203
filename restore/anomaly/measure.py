"""The trial run of detector weights, and what an engine or a precision changes in verdicts.

``evaluate`` measures how well detectors detect.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.calibration import Calibration
from restore.anomaly.network import InspectionNetwork
from restore.anomaly.part import Part
from restore.anomaly.runner import Detector
from restore.engine.placement import Placement
from restore.errors import WeightsError
from restore.weights.store import Weights
from restore.weights.verify import Trial

__all__ = ["VerdictChange", "trial", "verdict_change"]


def trial(weights: Weights) -> Trial:
    """Return a trial that inspects a random part.

    Raises:
        WeightsError: the weights were never calibrated.
    """
    network = InspectionNetwork(weights, Placement(device="cpu", precision="fp32"))
    try:
        Calibration.from_mapping(weights.provenance.get("calibration", {}))
    except WeightsError as error:
        raise WeightsError(f"{weights.name}: {error}") from error

    def run(
        rng: np.random.Generator, height: int, width: int
    ) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        part = rng.random((weights.channels, height, width), dtype=np.float32)
        return network(part).scores, (height, width)

    return run


@dataclass(frozen=True)
class VerdictChange:
    """What changes when parts are inspected by another engine or in another precision.

    Attributes:
        parts: Number of parts.
        changed: Number of parts that get another verdict.
        shift: Largest difference of scores, relative to the threshold.
    """

    parts: int
    changed: int
    shift: float

    @property
    def preserves_verdicts(self) -> bool:
        """Whether every part keeps its verdict."""
        return self.changed == 0


def verdict_change(before: Detector, after: Detector, parts: Iterable[Part]) -> VerdictChange:
    """Compare two detectors of the same weights and threshold on parts.

    A threshold is calibrated on scores computed in float32. So only that runs by itself, whatever
    the engine; another precision runs where a user asks for it, and this says what it costs.

    Args:
        before: The detector as it was calibrated.
        after: The same on another engine, or in another precision.
        parts: Parts as they are inspected, best with scores on both sides of the threshold.
    """
    count = changed = 0
    shift = 0.0
    for part in parts:
        first, second = before(part), after(part)
        count += 1
        changed += first.verdict is not second.verdict
        shift = max(shift, abs(second.score - first.score) / max(before.threshold, 1e-12))
    return VerdictChange(count, changed, shift)
