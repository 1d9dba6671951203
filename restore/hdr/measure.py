"""The precision measurement and the trial run of weights for high dynamic range."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.hdr.lights import brightened
from restore.hdr.metrics import mu_law
from restore.hdr.optics.sensor import Sensor, blurred, expose
from restore.models.optical_element import psf_of
from restore.weights.measurement import Example, Measurement
from restore.weights.store import Weights
from restore.weights.verify import Trial

__all__ = ["SATURATED", "measurement", "trial"]

SATURATED = (0.01, 0.02)
"""Shares of the pixels above white in the measurement."""


def measurement(_weights: Weights) -> Measurement:
    """Return how they are measured: by PSNR-mu, on photographs that are made brighter."""
    return Measurement(
        levels=SATURATED,
        name_of=lambda share: f"{100 * share:.3g}% saturated",
        example=_saturated,
    )


def _saturated(weights: Weights, clean: Tensor, share: float, seed: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    scene = expose(brightened(clean, generator)[None], torch.tensor([share]))
    psf = psf_of(weights.tensors)
    capture = Sensor()(scene if psf is None else blurred(scene, psf))
    return Example((capture,), scene[0], lambda light: mu_law(light.clamp(min=0)))


def trial(weights: Weights) -> Trial:
    """Return a trial that reconstructs the light of a random exposure."""
    runner = Runner(weights, Placement(device="cpu", precision="fp32"))

    def run(
        rng: np.random.Generator, height: int, width: int
    ) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        shape = (weights.channels, height, width)
        return runner.tiled(rng.random(shape, np.float32)), shape

    return run
