"""The noise of sensors: white Gaussian, Poisson, and shot and read noise of linear RAW files."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "add_gaussian_noise",
    "add_sensor_noise",
    "poisson",
    "random_levels",
]

_LEAST_SHOT, _MOST_SHOT = 1e-4, 0.012
_READ_SLOPE, _READ_BIAS, _READ_SPREAD = 2.18, 1.20, 0.26


def random_levels(
    count: int, generator: torch.Generator, *, least_shot: float = _LEAST_SHOT
) -> tuple[Tensor, Tensor]:
    """Draw the shot and read noise of real cameras, jointly distributed.

    Brooks et al., CVPR 2019, section 3.1: a line fitted to the noise of the Darmstadt data set.

    Args:
        count: number of pictures.
        generator: random generator on the device of the result.
        least_shot: lower end of the range of shot noise, 1e-4 in the paper.

    Returns:
        Variance of the shot noise per unit of signal and variance of the read noise, ``(B,)``
        each, for signals in [0, 1].
    """
    low, high = math.log(least_shot), math.log(_MOST_SHOT)
    device = generator.device
    log_shot = low + (high - low) * torch.rand(count, generator=generator, device=device)
    spread = _READ_SPREAD * torch.randn(count, generator=generator, device=device)
    return log_shot.exp(), (_READ_SLOPE * log_shot + _READ_BIAS + spread).exp()


def add_sensor_noise(
    signal: Tensor, shot: Tensor, read: Tensor, generator: torch.Generator
) -> Tensor:
    """Return ``signal`` as a sensor measures it: photons counted, electronics added.

    Args:
        signal: ``(B, C, H, W)`` linear, in [0, 1].
        shot: ``(B,)`` variance of the shot noise per unit of signal.
        read: ``(B,)`` variance of the read noise.
        generator: random generator on the device of ``signal``.

    Returns:
        ``(B, C, H, W)``, not clipped; its mean is ``signal``, its variance
        ``shot * signal + read``.
    """
    per_photon, variance = (level[:, None, None, None] for level in (shot, read))
    photons = poisson(signal.clamp_min(0) / per_photon, generator)
    electronics = torch.randn(signal.shape, generator=generator, device=signal.device)
    return photons * per_photon + electronics * variance.sqrt()


_SEEDS = 2**31


def poisson(rate: Tensor, generator: torch.Generator) -> Tensor:
    """Return Poisson counts with these means.

    Args:
        rate: means of the counts, not negative.
        generator: random generator on the device of ``rate``. Where PyTorch has no Poisson sampler,
            as on MPS, counts are drawn on the CPU from a seed that it draws.
    """
    try:
        return torch.poisson(rate, generator=generator)
    except NotImplementedError:
        seed = torch.randint(_SEEDS, (), generator=generator, device=rate.device)
        host = torch.Generator().manual_seed(int(seed))
        return torch.poisson(rate.cpu(), generator=host).to(rate.device)


def add_gaussian_noise(
    pixels: NDArray[np.float32], sigma: float, *, seed: int
) -> NDArray[np.float32]:
    """Return ``pixels`` plus white Gaussian noise, neither clipped nor quantised.

    One seed gives one draw: at another sigma the same noise is scaled.

    Args:
        pixels: any shape, in [0, 1].
        sigma: standard deviation in [0, 1].
        seed: seed of NumPy's default generator.

    Raises:
        ValueError: ``sigma`` is negative or not finite.
    """
    if not (np.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma must be finite and not negative, got {sigma}")
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, dtype=np.float32)
    noise *= np.float32(sigma)
    noise += pixels
    return noise
