"""The precision measurement and the trial run of denoiser weights."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.denoise.sample_range import method_of_noisy
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.errors import one_line
from restore.noise.sensor import add_gaussian_noise
from restore.weights.file import stored_list
from restore.weights.measurement import Example, Measurement
from restore.weights.store import Weights
from restore.weights.verify import Trial

__all__ = ["SIGMAS", "error_noise", "measurement", "training_noise", "trial"]

SIGMAS = (5.0, 15.0, 25.0, 50.0)
"""Noise levels of the measurement, of 255."""

_TRIAL_SIGMA = 25 / 255


def measurement(_weights: Weights) -> Measurement:
    """Return how denoisers are measured: on white Gaussian noise, blind ones too."""
    return Measurement(levels=SIGMAS, name_of=lambda sigma: f"{sigma:g}", example=_noisy)


def _noisy(_weights: Weights, clean: Tensor, sigma: float, seed: int) -> Example:
    noise = add_gaussian_noise(clean.numpy(), sigma / 255, seed=seed)
    return Example((torch.from_numpy(noise)[None], torch.tensor([sigma / 255])), clean)


def trial(weights: Weights) -> Trial:
    """Return a trial that denoises a random picture."""
    runner = Runner(weights, Placement(device="cpu", precision="fp32"))

    def run(
        rng: np.random.Generator, height: int, width: int
    ) -> tuple[NDArray[np.float32], tuple[int, ...]]:
        shape = (weights.channels, height, width)
        level = np.full(1, _TRIAL_SIGMA, np.float32)
        noisy = rng.random(shape, np.float32)
        return runner.tiled(noisy, lambda run, patch: run(patch[None], level)[0]), shape

    return run


def training_noise(weights: Weights) -> str:
    """Return the noise that weights were trained for, if the file states it.

    Raises:
        WeightsError: the recipe holds something else in its place.
    """
    data = weights.provenance.get("data")
    if isinstance(data, dict) and "pairs" in data:
        return "as in its pairs"
    if (method := method_of_noisy(weights.provenance)) is not None:
        return f"as in its noisy pictures ({method})"
    levels = stored_list(weights.name, weights.provenance, "recipe", "sigma", float)
    if levels is not None:
        gaussian = f"Gaussian, sigma {'-'.join(f'{level:g}' for level in levels)}"
        kinds = stored_list(weights.name, weights.provenance, "recipe", "noise", str)
        each_once = dict.fromkeys(kinds or ["awgn"])
        return ", ".join(gaussian if kind == "awgn" else kind for kind in each_once)
    tried = weights.provenance.get("tried")
    if isinstance(tried, dict) and isinstance(tried.get("noise"), str):
        return f"{one_line(tried['noise'], 20)}, as tried when it was converted"
    return "Gaussian, sigma given" if weights.takes_sigma else "not said"


def error_noise(weights: Weights) -> str:
    """Return the noise and the denoisers whose errors weights estimate.

    Raises:
        WeightsError: the recipe holds something else in its place.
    """
    kinds = stored_list(weights.name, weights.provenance, "recipe", "noise", str) or []
    denoisers = stored_list(weights.name, weights.provenance, "recipe", "denoisers", str) or []
    of = f"; errors of {', '.join(dict.fromkeys(denoisers))}" if denoisers else ""
    return ", ".join(dict.fromkeys(kinds)) + of if kinds else "not said"
