"""The precision measurement of weights of denoisers of RAW mosaics."""

import torch
from torch import Tensor

from restore.image.colour import linear_to_srgb
from restore.models.mosaic_resunet import MosaicResUNet
from restore.mosaic.data import captured
from restore.noise.iso import median_noise
from restore.weights.measurement import Example, Measurement
from restore.weights.store import Weights

__all__ = ["LEVELS", "measurement", "training_noise"]

LEVELS = (100.0, 800.0, 6400.0, 25600.0)
"""ISO speeds of the measurement."""


def measurement(weights: Weights) -> Measurement | None:
    """Return how they are measured: on Bayer mosaics with the noise of the median camera.

    None for converted networks, which run in float32.
    """
    if weights.network is not MosaicResUNet:
        return None
    return Measurement(
        levels=LEVELS,
        name_of=lambda iso: f"ISO {iso:g}",
        example=_noisy,
        scale=2,
        channels=3,
    )


def _noisy(_weights: Weights, clean: Tensor, iso: float, seed: int) -> Example:
    a, b = (torch.tensor([level]) for level in median_noise(iso))
    mosaics = captured(
        clean[None],
        torch.Generator().manual_seed(seed),
        filter_kind="bayer",
        profiles=(a, b),
        exact=True,
    )
    samples, scale = mosaics.samples[0], mosaics.normalised.scale[0]

    def seen(noise: Tensor) -> Tensor:
        light = (samples - noise * scale).clamp(0, 1)
        return torch.from_numpy(linear_to_srgb(light.numpy()))

    return Example(mosaics.inputs, mosaics.noise[0], seen)


def training_noise(weights: Weights) -> str:
    """Return the noise that weights were trained for."""
    if weights.network is not MosaicResUNet:
        return "of the sensor that it was published for"
    camera = weights.provenance.get("camera")
    if isinstance(camera, dict):
        name = " ".join(str(camera.get(part, "")) for part in ("make", "model")).strip()
        return f"of {name or 'one camera'}, as it was measured"
    return "of sensors, Poisson-Gaussian, ISO 100 to 25600"
