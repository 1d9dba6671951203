"""What half precision costs a network: PSNR in dB against float32, measured on real pictures.

``--precision auto`` decides by these figures, so they must not depend on the machine that took
them: half precision is always emulated (see ``restore.engine.rounding``), at float32 speed.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from restore.image.primaries import REC601_LUMA
from restore.metrics import psnr
from restore.models.optical_element import psf_of
from restore.noise.awgn import add_gaussian_noise
from restore.noise.dark import darkened
from restore.optics.brightening import brightened
from restore.optics.sensor import Sensor, blurred, expose
from restore.perceptual import mu_law
from restore.weights import Network, Weights, build, weights_folder

__all__ = [
    "RATIOS",
    "SATURATED",
    "SIGMAS",
    "choose_storage",
    "levels_of",
    "measure_precision_loss",
    "measure_storage_loss",
    "measured",
    "measuring_pictures",
    "pictures_for",
]

SIGMAS = (5.0, 15.0, 25.0, 50.0)
"""Noise levels of the measurement of denoisers, of 255."""

RATIOS = (50.0, 100.0, 300.0)
"""Amplifications of the measurement of learned image signal processors."""

SATURATED = (0.01, 0.02)
"""Shares of the pixels above white in the measurement of networks for high dynamic range."""

_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_MAX_STORAGE_LOSS_DB = 0.005
_CROP = 192
_LEAST_CROP = 32
_DARK_CAMERA = "Nikon D850"

_Run = Callable[..., Tensor]


def _as_it_is(result: Tensor) -> Tensor:
    return result


@dataclass(frozen=True)
class _Example:
    """A network's inputs and, as ``(C, H, W)``, what it should make of them.

    Both are compared as ``seen`` maps them to [0, 1].
    """

    inputs: tuple[Tensor, ...]
    clean: Tensor
    seen: Callable[[Tensor], Tensor] = _as_it_is


def measured(weights: Weights, pictures: Sequence[Tensor] | None = None) -> Weights:
    """Return ``weights`` as they should be stored: dtype chosen, precision losses measured.

    The tensors are rounded to the chosen dtype, so that a file reads back as what was measured.
    What cannot be measured (see ``levels_of``) comes back as it is, and runs in float32.
    """
    if not levels_of(weights):
        return weights
    stored = choose_storage(weights, pictures)
    rounded = {key: tensor.to(stored).float() for key, tensor in weights.tensors.items()}
    weights = replace(weights, tensors=rounded, stored_dtype=stored)
    return replace(weights, precision_loss_db=measure_precision_loss(weights, pictures))


def measure_precision_loss(
    weights: Weights,
    pictures: Sequence[Tensor] | None = None,
    levels: Sequence[float] | None = None,
) -> dict[str, dict[str, float]]:
    """Return what running the network in half precision costs against float32.

    Parameters, inputs and outputs of every layer are rounded, sums are taken in float32, as
    matrix units do; the last subtraction stays in float32, as in our networks' ``forward``.

    Args:
        weights: of a denoiser, a learned image signal processor, or for high dynamic range.
        pictures: clean pictures ``(C, H, W)`` in [0, 1] of the network's channels, H and W
            multiples of what it needs; None for those of ``measuring_pictures``.
        levels: of 255 for denoisers, blind ones too; amplifications for image signal processors;
            shares of saturated pixels for high dynamic range; None for ``SIGMAS``, ``RATIOS`` and
            ``SATURATED``.

    Returns:
        ``fp16`` and ``bf16`` -> level -> loss in dB: the mean over the pictures of the PSNR in
        float32 less that in half precision, in the protocols of ``restore.tasks``. Levels are
        written as ``25``, ``x100`` or ``1% saturated``. For high dynamic range it is PSNR-mu.

    Raises:
        WeightsError: the tensors do not fit the architecture.
        UsageError: there are no pictures to measure on.
    """
    network = build(weights)
    runs = {name: _rounded_run(network, dtype) for name, dtype in _DTYPES.items()}
    return _losses(network, runs, _examples(weights, network, pictures, levels))


def measure_storage_loss(
    weights: Weights,
    pictures: Sequence[Tensor] | None = None,
    levels: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return what storing the tensors in float16 costs, with float32 arithmetic: level -> dB.

    The loss is infinite when a value lies beyond the range of float16. Arguments and errors are
    those of ``measure_precision_loss``.
    """
    rounded = {key: tensor.half().float() for key, tensor in weights.tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in rounded.values()):
        return dict.fromkeys(levels_of(weights, levels), math.inf)
    network, coarse = build(weights), build(replace(weights, tensors=rounded))
    return _losses(network, {"stored": coarse}, _examples(weights, network, pictures, levels))[
        "stored"
    ]


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
        return (pixels * torch.from_numpy(REC601_LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    return pixels.expand(channels, -1, -1).contiguous()


def pictures_for(weights: Weights, network: nn.Module, folder: Path | None = None) -> list[Tensor]:
    """Return ``measuring_pictures`` with the channels and of sizes that fit a network."""
    scale = weights.config.scale if weights.task == "dark-enhance" else 1
    return measuring_pictures(weights.channels, cast(Network, network).multiple * scale, folder)


def levels_of(weights: Weights, levels: Sequence[float] | None = None) -> list[str]:
    """Return the names of the levels that ``weights`` are measured at.

    There are none for networks that make finished pictures of RAW files: nobody knows how these
    should look.
    """
    if weights.task == "dark-enhance" and weights.config.head == "srgb":
        return []
    if weights.task == "dark-enhance":
        return [f"x{ratio:g}" for ratio in levels or RATIOS]
    if weights.task == "hdr":
        return [f"{share:.3g}% saturated" for share in (100 * each for each in levels or SATURATED)]
    return [f"{sigma:g}" for sigma in levels or SIGMAS]


def _examples(
    weights: Weights,
    network: nn.Module,
    pictures: Sequence[Tensor] | None,
    levels: Sequence[float] | None,
) -> dict[str, list[_Example]]:
    """Return the same pictures at every level."""
    if pictures is None:
        pictures = pictures_for(weights, network)
    if not pictures:
        raise UsageError("no pictures to measure on")
    make, values = {
        "dark-enhance": (_dark, levels or RATIOS),
        "hdr": (_saturated, levels or SATURATED),
    }.get(weights.task, (_noisy, levels or SIGMAS))
    return {
        name: [make(weights, clean, value, seed) for seed, clean in enumerate(pictures)]
        for name, value in zip(levels_of(weights, levels), values, strict=True)
    }


def _noisy(_weights: Weights, clean: Tensor, sigma: float, seed: int) -> _Example:
    noise = add_gaussian_noise(clean.numpy(), sigma / 255, seed=seed)
    return _Example((torch.from_numpy(noise)[None], torch.tensor([sigma / 255])), clean)


def _dark(weights: Weights, clean: Tensor, ratio: float, seed: int) -> _Example:
    generator = torch.Generator().manual_seed(seed)
    side = 2 if weights.config.planes == 4 else 6
    dark = darkened(clean[None], [_DARK_CAMERA], (ratio, ratio), generator, side=side)
    return _Example(dark.inputs, dark.clean[0])


def _saturated(weights: Weights, clean: Tensor, share: float, seed: int) -> _Example:
    generator = torch.Generator().manual_seed(seed)
    scene = expose(brightened(clean, generator)[None], torch.tensor([share]))
    psf = psf_of(weights.tensors)
    capture = Sensor()(scene if psf is None else blurred(scene, psf))
    return _Example((capture,), scene[0], lambda light: mu_law(light.clamp(min=0)))


def _rounded_run(network: nn.Module, dtype: torch.dtype) -> _Run:
    return lambda *inputs: call_rounded(network, dtype, *inputs)


def _losses(
    network: nn.Module,
    runs: dict[str, _Run] | dict[str, nn.Module],
    examples: dict[str, list[_Example]],
) -> dict[str, dict[str, float]]:
    """Return how much lower the PSNR of each of ``runs`` is than that of ``network``, in dB."""
    losses: dict[str, dict[str, float]] = {name: {} for name in runs}
    with torch.inference_mode():
        for level, at_level in examples.items():
            exact = [_psnr(network, example) for example in at_level]
            for name, run in runs.items():
                coarse = [_psnr(run, example) for example in at_level]
                losses[name][level] = round((sum(exact) - sum(coarse)) / len(exact), 5) + 0.0
    return losses


def _psnr(run: _Run | nn.Module, example: _Example) -> float:
    # An overflow must show as a large loss: a NaN would pass as a small one in comparisons.
    result = torch.nan_to_num(run(*example.inputs)[0], nan=0.0)
    return psnr(example.seen(result).clamp(0, 1).numpy(), example.seen(example.clean).numpy())
