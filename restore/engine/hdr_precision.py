"""What half precision costs a network for high dynamic range, in dB of PSNR-mu."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from restore.engine.precision import measuring_pictures
from restore.engine.rounding import call_rounded
from restore.models.optical_element import psf_of
from restore.optics.brightening import brightened
from restore.optics.sensor import LARGEST_RADIANCE, Sensor, blurred, expose
from restore.perceptual import mu_law
from restore.weights import Weights, build

__all__ = ["measured_hdr"]

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_MAX_STORAGE_LOSS_DB = 0.005
_CONDITION = "radiance"
_SATURATED = 0.015


def measured_hdr(weights: Weights) -> Weights:
    """Return ``weights`` as they should be stored: dtype chosen, precision losses measured.

    Measured on the four crops that come with the program, brightened with a fixed seed, exposed
    so that 1.5 % saturate and taken through the weights' own element: the loss is the mean of
    PSNR-mu over all pixels in float32 less that in half precision, which is always emulated.

    Raises:
        WeightsError: the tensors do not fit the architecture.
    """
    pairs = _captures(weights)
    exact = _score(build(weights), pairs)
    halved = {key: tensor.half().float() for key, tensor in weights.tensors.items()}
    if all(torch.isfinite(tensor).all() for tensor in halved.values()):
        coarse = replace(weights, tensors=halved)
        if exact - _score(build(coarse), pairs) < _MAX_STORAGE_LOSS_DB:
            weights = replace(coarse, stored_dtype=torch.float16)
    network = build(weights)
    reference = _score(network, pairs)
    losses = {
        name: {_CONDITION: round(reference - _score(_rounded(network, dtype), pairs), 5)}
        for name, dtype in _DTYPES.items()
    }
    return replace(weights, precision_loss_db=losses)


def _captures(weights: Weights) -> list[tuple[Tensor, Tensor]]:
    """Return captures and scenes, ``(1, 3, H, W)``."""
    network: Any = build(weights)
    psf = psf_of(weights.tensors)
    rng = torch.Generator().manual_seed(0)
    pairs = []
    for picture in measuring_pictures(weights.channels, network.multiple):
        scene = expose(brightened(picture, rng)[None], torch.full((1,), _SATURATED))
        capture = Sensor()(scene if psf is None else blurred(scene, psf))
        pairs.append((capture, scene))
    return pairs


def _rounded(network: nn.Module, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    return lambda capture: call_rounded(network, dtype, capture)


def _score(network: Callable[[Tensor], Tensor], pairs: list[tuple[Tensor, Tensor]]) -> float:
    scores = []
    with torch.inference_mode():
        for capture, scene in pairs:
            result = network(capture).clamp(0, LARGEST_RADIANCE)
            error = float((mu_law(result) - mu_law(scene)).square().mean())
            scores.append(-10 * math.log10(max(error, 1e-20)))
    return sum(scores) / len(scores)
