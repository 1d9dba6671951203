"""Noise in the dark: what a sensor adds when hardly any light falls on it.

Wei et al., "A Physics-based Noise Formation Model for Extreme Low-light Raw Denoising", CVPR 2020.
Photons are counted, electronics add noise with heavy tails, rows share an offset, the converter
rounds, and the black level is slightly off. The levels below are those that the authors measured on
five cameras.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from restore.noise.sensor import poisson

__all__ = [
    "CAMERAS",
    "DarkNoise",
    "NoiseLine",
    "SensorProfile",
    "add_dark_noise",
    "noise_at",
    "random_noise",
]

_BLACK_ERROR_DN = 0.2
_LOGISTIC_BELOW = 1e-4
_LEAST_DRAW = 2**-25


@dataclass(frozen=True)
class NoiseLine:
    """A noise level that grows with the gain: ln(sigma) = slope * ln(K) + bias + N(0, spread)."""

    slope: float
    bias: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class SensorProfile:
    """The noise of one camera, in digital numbers (DN).

    Attributes:
        gain: lowest and highest K, DN per photoelectron, over the camera's ISO range.
        read: scale of the Tukey-lambda distribution of read noise.
        row: standard deviation of the row offsets.
        shape: lowest and highest lambda of the Tukey-lambda distribution.
    """

    gain: tuple[float, float]
    read: NoiseLine
    row: NoiseLine
    shape: tuple[float, float]


CAMERAS: Mapping[str, SensorProfile] = {
    "Sony A7S2": SensorProfile(
        gain=(0.0939, 6.011),
        read=NoiseLine(0.4621, 0.5657, 0.2634),
        row=NoiseLine(0.5275, -0.5917, 0.2943),
        shape=(-0.143, 0.129),
    ),
    "Nikon D850": SensorProfile(
        gain=(0.4150, 26.56),
        read=NoiseLine(0.4774, -0.0904, 0.2392),
        row=NoiseLine(0.4483, -1.7977, 0.2322),
        shape=(-0.243, -0.100),
    ),
    "Canon 70D": SensorProfile(
        gain=(0.4075, 26.08),
        read=NoiseLine(0.4868, 1.4643, 0.3820),
        row=NoiseLine(0.7292, -0.9371, 0.2502),
        shape=(-0.171, 0.143),
    ),
    "Canon 700D": SensorProfile(
        gain=(0.4476, 28.65),
        read=NoiseLine(0.5982, 1.5370, 0.3888),
        row=NoiseLine(0.6221, -0.7757, 0.2485),
        shape=(-0.157, 0.129),
    ),
    "Canon 5D4": SensorProfile(
        gain=(0.2182, 13.96),
        read=NoiseLine(0.6559, 1.0927, 0.2861),
        row=NoiseLine(0.4713, -0.8079, 0.2436),
        shape=(0.014, 0.200),
    ),
}


@dataclass(frozen=True, kw_only=True)
class DarkNoise:
    """The noise of each picture of a batch; all tensors ``(B,)`` but the last.

    Attributes:
        gain: K in DN per photoelectron.
        read_scale: scale of the read noise in DN.
        shape: lambda of its Tukey-lambda distribution.
        row_sigma: standard deviation of the row offsets in DN.
        black_error: ``(B, 3)`` error of the black level in DN for red, green and blue.
    """

    gain: Tensor
    read_scale: Tensor
    shape: Tensor
    row_sigma: Tensor
    black_error: Tensor


def random_noise(count: int, cameras: Sequence[str], generator: torch.Generator) -> DarkNoise:
    """Draw a camera of ``cameras``, a gain and noise levels for each of ``count`` pictures."""
    device = generator.device
    chosen = torch.randint(len(cameras), (count,), generator=generator, device=device).tolist()
    profiles = [CAMERAS[cameras[index]] for index in chosen]

    def uniform(ranges: Sequence[tuple[float, float]]) -> Tensor:
        low, high = torch.tensor(ranges, device=device).unbind(dim=1)
        return low + (high - low) * torch.rand(count, generator=generator, device=device)

    log_gain = uniform([tuple(torch.tensor(p.gain).log().tolist()) for p in profiles])

    def level(lines: Sequence[NoiseLine]) -> Tensor:
        values = torch.tensor([(line.slope, line.bias, line.spread) for line in lines])
        slope, bias, spread = values.to(device).unbind(dim=1)
        draw = torch.randn(count, generator=generator, device=device)
        return (slope * log_gain + bias + spread * draw).exp()

    return DarkNoise(
        gain=log_gain.exp(),
        read_scale=level([profile.read for profile in profiles]),
        shape=uniform([profile.shape for profile in profiles]),
        row_sigma=level([profile.row for profile in profiles]),
        black_error=_BLACK_ERROR_DN * torch.randn((count, 3), generator=generator, device=device),
    )


_LOWEST_ISO = 100.0


def noise_at(camera: str, iso: float) -> DarkNoise:
    """Return the mean noise of a camera at an ISO speed, of one picture.

    The lowest gain is that of ISO 100. Above the highest, the lines are continued.

    Args:
        camera: key of ``CAMERAS``.
        iso: speed, at least 100.
    """
    profile = CAMERAS[camera]
    log_gain = math.log(profile.gain[0] * iso / _LOWEST_ISO)

    def level(line: NoiseLine) -> Tensor:
        return torch.tensor([math.exp(line.slope * log_gain + line.bias)])

    return DarkNoise(
        gain=torch.tensor([math.exp(log_gain)]),
        read_scale=level(profile.read),
        shape=torch.tensor([sum(profile.shape) / 2]),
        row_sigma=level(profile.row),
        black_error=torch.zeros(1, 3),
    )


def add_dark_noise(
    light: Tensor,
    noise: DarkNoise,
    colours: Tensor,
    *,
    range_dn: float,
    black_dn: float,
    generator: torch.Generator,
) -> Tensor:
    """Return what a sensor reads out, in digital numbers above black.

    Args:
        light: noise-free mosaic ``(B, H, W)`` in DN above black.
        noise: noise levels of each picture.
        colours: ``(H, W)`` integers, 0 red, 1 green, 2 blue: the filter over each pixel.
        range_dn: DN from black to saturation.
        black_dn: black level in DN; raw values do not fall below 0.
        generator: random generator on the device of ``light``.

    Returns:
        ``(B, H, W)``, whole numbers from ``-black_dn`` to ``range_dn``.
    """
    gain, scale, shape, row_sigma = (
        level[:, None, None]
        for level in (noise.gain, noise.read_scale, noise.shape, noise.row_sigma)
    )
    photons = poisson(light.clamp_min(0) / gain, generator)
    uniform = torch.rand(light.shape, generator=generator, device=light.device)
    rows = torch.randn((*light.shape[:2], 1), generator=generator, device=light.device)
    read = scale * tukey_lambda(uniform, shape) + row_sigma * rows
    values = photons * gain + read + noise.black_error[:, colours]
    return values.round().clamp(-black_dn, range_dn)


def tukey_lambda(uniform: Tensor, shape: Tensor) -> Tensor:
    """Return the quantiles ``(u^l - (1 - u)^l) / l`` of the Tukey-lambda distribution.

    At l = 0 it is the logistic distribution, ``ln(u / (1 - u))``.

    Args:
        uniform: uniform draws in [0, 1).
        shape: parameter l, broadcastable to ``uniform``.
    """
    # Generators return multiples of 2^-24, including zero, where heavy tails would be infinite.
    lower, upper = uniform.clamp_min(_LEAST_DRAW), (1 - uniform).clamp_min(_LEAST_DRAW)
    is_logistic = shape.abs() < _LOGISTIC_BELOW
    exponent = torch.where(is_logistic, torch.ones_like(shape), shape)
    general = (lower**exponent - upper**exponent) / exponent
    return torch.where(is_logistic, lower.log() - upper.log(), general)
