"""The trial run of detector weights; ``evaluate`` measures how well they detect."""

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.calibration import Calibration
from restore.anomaly.network import InspectionNetwork
from restore.engine.placement import Placement
from restore.errors import WeightsError
from restore.weights.store import Weights
from restore.weights.verify import Trial

__all__ = ["trial"]


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
