"""The precision measurement and the trial run of weights of learned image signal processors."""

import torch
from torch import Tensor

from restore.dark.darkening import darkened
from restore.weights.file import stored_list
from restore.weights.measurement import Example, Measurement
from restore.weights.store import Weights
from restore.weights.verify import Trial, trial_on_planes

__all__ = ["RATIOS", "measurement", "training_noise", "trial"]

RATIOS = (1.0, 10.0, 100.0, 300.0)
"""Amplifications of the measurement."""

_CAMERA = "Nikon D850"


def measurement(weights: Weights) -> Measurement | None:
    """Return how image signal processors are measured: on pictures that are made dark.

    None for those that make finished pictures: a camera's own look has no reference.
    """
    if weights.config.head == "srgb":
        return None
    return Measurement(
        levels=RATIOS,
        name_of=lambda ratio: f"x{ratio:g}",
        example=_dark,
        scale=int(weights.config.scale),
    )


def _dark(weights: Weights, clean: Tensor, ratio: float, seed: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    config = weights.config
    side = config.periods[seed % len(config.periods)]
    dark = darkened(
        clean[None], [_CAMERA], (ratio, ratio), generator, side=side, packs=config.packs
    )
    return Example(dark.inputs, dark.clean[0])


def trial(weights: Weights) -> Trial:
    """Return a trial that develops a random mosaic."""
    return trial_on_planes(weights, scale=weights.config.scale)


def training_noise(weights: Weights) -> str:
    """Return the noise that weights were trained for, if the file states it.

    Raises:
        WeightsError: the recipe holds something else in its place.
    """
    data = weights.provenance.get("data")
    if isinstance(data, dict) and "pairs" in data:
        return "as in its pairs"
    ratios = stored_list(weights.name, weights.provenance, "recipe", "ratio", float)
    if ratios is not None:
        return f"in the dark, ratio {'-'.join(f'{ratio:g}' for ratio in ratios)}"
    return "not said"
