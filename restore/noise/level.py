"""The level and the kind of the noise in a picture: white, or correlated between neighbours."""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from restore.noise.estimate import ClippingLimits, estimate_sigma_chw
from restore.noise.spectrum import blocks_of, smooth_spectra

__all__ = ["NETWORK", "NoiseKind", "NoiseLevel", "estimate_noise", "judged", "network_inputs"]

NETWORK = Path(__file__).with_name("level.safetensors")
"""Weights of the network that reads spectra; ``level.md`` beside it says how they were trained."""

_WHITE_RATIO = 0.8
_LEAST_CORRELATED = 2 / 255

# Of soft noise, single pixels show at most these shares (by blur in pixels), and rounding. Where
# they show more, what is coarse is texture, and the noise is white.
_FINE_BLURS_PX, _FINE_SHARES = (0.3, 0.5, 0.7, 0.9), (0.9, 0.8, 0.5, 0.35)
_ROUNDING = 0.7 / 255
# Where they show less, the picture is drawn, and its edges pass for noise.
_LEAST_FINE, _LEAST_FINE_SHARE = 0.15 / 255, 0.02

# Variances below that of rounding to 8 bits say nothing.
_FLOOR = 0.1

# What networks for white noise should be told of noise blurred by a Gaussian of b pixels: up to
# twice its level, since they leave what is coarser than their idea of noise.
_NOT_RAISED_PX, _RAISED_PX, _MOST_RAISED = 0.35, 0.85, 1.9


class NoiseKind(StrEnum):
    """Whether the noise of neighbouring pixels is independent."""

    WHITE = "white"
    CORRELATED = "correlated"


@dataclass(frozen=True, kw_only=True)
class NoiseLevel:
    """An estimate of the noise in a picture.

    Attributes:
        sigma: standard deviation of the noise, in the units of the pixels.
        kind: whether neighbouring pixels are correlated.
        told: level to tell a network for white noise so that it removes this noise best; ``sigma``
            if the noise is white.
        fine: deviation of the noise at the scale of single pixels, by ``estimate_sigma_chw``.
    """

    sigma: float
    kind: NoiseKind
    told: float
    fine: float


def estimate_noise(pixels: NDArray[np.float32]) -> NoiseLevel:
    """Return the level and the kind of the noise in a picture.

    Noise at the scale of single pixels is measured by ``estimate_sigma_chw``. It reads next to
    nothing where noise is blurred, scaled, or compressed as JPEG: for these a small network reads
    the spectra of the smoothest blocks (``smooth_spectra``), channel by channel. If both agree, the
    noise is white and the first counts.

    Args:
        pixels: ``[C, H, W]``, nominally in [0, 1]; values that are not finite are left out.

    Returns:
        The level in the units of ``pixels``, root mean square over channels; 0.0 where nothing can
        be measured. Below 2/255, or in pictures smaller than 23x23 pixels, noise counts as white.

    Raises:
        ValueError: ``pixels`` does not have three axes.
    """
    fine = estimate_sigma_chw(pixels)
    spectra = [_spectra(channel) for channel in pixels if channel.size]
    return judged(fine, spectra)


def _spectra(channel: NDArray[np.float32]) -> NDArray[np.float64] | None:
    blocks = blocks_of(channel)
    limits = ClippingLimits()
    limits.add(channel)
    return smooth_spectra(blocks, limits)


def judged(fine: float, spectra: list[NDArray[np.float64] | None]) -> NoiseLevel:
    """Return the level and the kind of noise.

    Args:
        fine: level of the noise at the scale of single pixels.
        spectra: of each channel, as ``smooth_spectra`` returns them.
    """
    known = [each for each in spectra if each is not None]
    white = NoiseLevel(sigma=fine, kind=NoiseKind.WHITE, told=fine, fine=fine)
    if not known:
        return white
    levels, blurs = _read(np.stack(known))
    coarse = math.sqrt(float(np.square(levels).mean()))
    is_drawn = fine < min(_LEAST_FINE, _LEAST_FINE_SHARE * coarse)
    if coarse < _LEAST_CORRELATED or is_drawn or fine >= _WHITE_RATIO * coarse:
        return white
    blur = float(np.average(blurs, weights=np.square(levels)))
    if fine > float(np.interp(blur, _FINE_BLURS_PX, _FINE_SHARES)) * coarse + _ROUNDING:
        return white
    share = (blur - _NOT_RAISED_PX) / (_RAISED_PX - _NOT_RAISED_PX)
    raised = 1 + (_MOST_RAISED - 1) * min(max(share, 0.0), 1.0)
    return NoiseLevel(sigma=coarse, kind=NoiseKind.CORRELATED, told=raised * coarse, fine=fine)


def network_inputs(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the network is given.

    Args:
        spectra: ``[N, share, band]``, of pixels in [0, 1].

    Returns:
        ``[N, 29]``: logarithms of the deviations in 0..255, relative to their mean over coarse
        bands, and that mean.
    """
    deviations = 0.5 * np.log(255**2 * spectra + _FLOOR)
    reference = deviations[:, :, :3].mean(axis=(1, 2))
    relative = deviations - reference[:, None, None]
    return np.concatenate([relative.reshape(len(spectra), -1), reference[:, None]], axis=1)


def _read(spectra: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the levels in [0, 1] and the blurs in pixels that the network reads, ``[N]`` each."""
    network = _network()
    inputs = network_inputs(spectra)
    values = (inputs - network["mean"]) / network["deviation"]
    for layer in range(2):
        values = np.tanh(values @ network[f"{layer}.weight"].T + network[f"{layer}.bias"])
    values = values @ network["2.weight"].T + network["2.bias"]
    # The network gives ln sqrt(sigma^2 + 1), less the mean that its inputs are relative to.
    logarithms = np.clip(values[:, 0] + inputs[:, -1], 0, math.log(255))
    return np.sqrt(np.expm1(2 * logarithms)) / 255, values[:, 1]


@cache
def _network() -> dict[str, NDArray[np.float64]]:
    return {name: tensor.astype(np.float64) for name, tensor in load_file(NETWORK).items()}
