"""What half precision costs a denoiser: PSNR in dB against float32, measured on real pictures.

``--precision auto`` decides by these figures, so they must not depend on the machine that took
them: half precision is always emulated (see ``restore.engine.rounding``), at float32 speed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from restore.engine.inputs import find_pictures
from restore.engine.rounding import call_rounded
from restore.errors import UsageError
from restore.image.decode import decode
from restore.image.formats import SUFFIXES
from restore.image.picture import Picture, Transfer
from restore.metrics import psnr
from restore.noise.awgn import add_gaussian_noise
from restore.weights import Network, Weights, build, weights_folder

__all__ = [
    "SIGMAS",
    "choose_storage",
    "measure_precision_loss",
    "measure_storage_loss",
    "measured",
    "measuring_pictures",
]

SIGMAS = (5.0, 15.0, 25.0, 50.0)
"""Noise levels of the measurement, of 255."""

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_MAX_STORAGE_LOSS_DB = 0.005
_CROP = 192
_LEAST_CROP = 32
_LUMA = torch.tensor((0.299, 0.587, 0.114))

_Run = Callable[[Tensor, Tensor], Tensor]


def measured(weights: Weights, pictures: Sequence[Tensor] | None = None) -> Weights:
    """Return ``weights`` as they should be stored: dtype chosen, precision losses measured.

    The tensors are rounded to the chosen dtype, so that a file reads back as what was measured.
    """
    stored = choose_storage(weights, pictures)
    rounded = {key: tensor.to(stored).float() for key, tensor in weights.tensors.items()}
    weights = replace(weights, tensors=rounded, stored_dtype=stored)
    return replace(weights, precision_loss_db=measure_precision_loss(weights, pictures))


def measure_precision_loss(
    weights: Weights,
    pictures: Sequence[Tensor] | None = None,
    sigmas: Sequence[float] = SIGMAS,
) -> dict[str, dict[str, float]]:
    """Return what running the network in half precision costs against float32.

    Parameters, inputs and outputs of every layer are rounded, sums are taken in float32, as
    matrix units do; the last subtraction stays in float32, as in our networks' ``forward``.

    Args:
        weights: a denoiser.
        pictures: clean pictures ``(C, H, W)`` in [0, 1] of the network's channels, H and W
            multiples of what it needs; None for those of ``measuring_pictures``.
        sigmas: noise levels, of 255; a blind network is measured at the same ones.

    Returns:
        ``fp16`` and ``bf16`` -> sigma -> loss in dB: the mean over the pictures of the PSNR in
        float32 less that in half precision, in the protocol of ``restore.tasks.evaluate``.

    Raises:
        WeightsError: the tensors do not fit the architecture.
        UsageError: there are no pictures to measure on.
    """
    network = build(weights)
    runs = {name: _rounded_run(network, dtype) for name, dtype in _DTYPES.items()}
    return _losses(network, runs, _pictures(weights, network, pictures), sigmas)


def measure_storage_loss(
    weights: Weights,
    pictures: Sequence[Tensor] | None = None,
    sigmas: Sequence[float] = SIGMAS,
) -> dict[str, float]:
    """Return what storing the tensors in float16 costs, with float32 arithmetic: sigma -> dB.

    The loss is infinite when a value lies beyond the range of float16. Arguments and errors are
    those of ``measure_precision_loss``.
    """
    rounded = {key: tensor.half().float() for key, tensor in weights.tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in rounded.values()):
        return {f"{sigma:g}": math.inf for sigma in sigmas}
    network, coarse = build(weights), build(replace(weights, tensors=rounded))
    pictures = _pictures(weights, network, pictures)
    return _losses(network, {"stored": coarse}, pictures, sigmas)["stored"]


def choose_storage(weights: Weights, pictures: Sequence[Tensor] | None = None) -> torch.dtype:
    """Return float16 where storing in it costs less than 0.005 dB at every level, else float32."""
    losses = measure_storage_loss(weights, pictures)
    is_small = max(losses.values()) < _MAX_STORAGE_LOSS_DB
    return torch.float16 if is_small else torch.float32


def measuring_pictures(
    channels: int, multiple: int = 1, folder: Path | None = None
) -> list[Tensor]:
    """Return the centres of the pictures in ``folder``, at most 192x192, as ``(C, H, W)``.

    Args:
        channels: 1 turns colour pictures into luma, 3 repeats gray ones.
        multiple: height and width are cut to multiples of this.
        folder: clean, gamma-encoded pictures; None for the four that come with the package.

    Raises:
        UsageError: no pictures there, or one that is too small.
        InputError: one cannot be read.
    """
    folder = folder or weights_folder() / "measure"
    found, _ = find_pictures([str(folder)], recursive=False, output=None, suffixes=SUFFIXES)
    paths = sorted(one.source for one in found if one.source is not None)
    if not folder.is_dir() or not paths:
        raise UsageError(f"{folder}: no pictures to measure on")
    return [_centre(decode(path), path, channels, multiple) for path in paths]


def _centre(picture: Picture, path: Path, channels: int, multiple: int) -> Tensor:
    if picture.transfer is Transfer.LINEAR:
        raise UsageError(f"{path}: linear light; measuring needs gamma-encoded pictures")
    side = min(_CROP, picture.height, picture.width) // multiple * multiple
    if side < max(_LEAST_CROP, multiple):
        raise UsageError(f"{path}: too small to measure on")
    top, left = (picture.height - side) // 2, (picture.width - side) // 2
    pixels = torch.from_numpy(picture.pixels[:, top : top + side, left : left + side].copy())
    if picture.channels == channels:
        return pixels
    if channels == 1:
        return (pixels * _LUMA[:, None, None]).sum(dim=0, keepdim=True)
    return pixels.expand(channels, -1, -1).contiguous()


def _pictures(
    weights: Weights, network: nn.Module, pictures: Sequence[Tensor] | None
) -> Sequence[Tensor]:
    if pictures is None:
        pictures = measuring_pictures(weights.channels, cast(Network, network).multiple)
    if not pictures:
        raise UsageError("no pictures to measure on")
    return pictures


def _rounded_run(network: nn.Module, dtype: torch.dtype) -> _Run:
    return lambda noisy, sigma: call_rounded(network, dtype, noisy, sigma)


def _losses(
    network: nn.Module,
    runs: dict[str, _Run] | dict[str, nn.Module],
    pictures: Sequence[Tensor],
    sigmas: Sequence[float],
) -> dict[str, dict[str, float]]:
    """Return how much lower the PSNR of each of ``runs`` is than that of ``network``, in dB."""
    sums = {name: {f"{sigma:g}": 0.0 for sigma in sigmas} for name in runs}
    with torch.inference_mode():
        for seed, clean in enumerate(pictures):
            for sigma in sigmas:
                noise = add_gaussian_noise(clean.numpy(), sigma / 255, seed=seed)
                noisy, level = torch.from_numpy(noise)[None], torch.tensor([sigma / 255])
                exact = _psnr(network(noisy, level), clean)
                for name, run in runs.items():
                    sums[name][f"{sigma:g}"] += exact - _psnr(run(noisy, level), clean)
    return {
        name: {sigma: round(total / len(pictures), 5) + 0.0 for sigma, total in by_sigma.items()}
        for name, by_sigma in sums.items()
    }


def _psnr(result: Tensor, clean: Tensor) -> float:
    # An overflow must show as a large loss: a NaN would pass as a small one in comparisons.
    finite = torch.nan_to_num(result[0], nan=0.0).clamp(0, 1)
    return psnr(finite.numpy(), clean.numpy())
