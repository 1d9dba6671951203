"""Errors of reconstructed radiance: PSNR (linear, mu-law and PU21), and stops."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

__all__ = [
    "DEFAULT_PEAK_NITS",
    "MU",
    "PEAK",
    "PU21_AT_100_NITS",
    "HdrScore",
    "StopsError",
    "hdr_score",
    "mean_interval",
    "mu_law",
    "pu21",
    "stops_error",
]

DEFAULT_PEAK_NITS = 4000.0
"""The luminance at which a display shows the peak of 64 times white, for PU21."""


@dataclass(frozen=True, kw_only=True)
class HdrScore:
    """Peak signal-to-noise ratios in dB.

    Attributes:
        linear: PSNR of radiance, with the peak at 64 times white.
        mu: PSNR of mu-law values (mu = 5000), with the same peak.
        pu21: PSNR of PU21 values, with the peak at that of 100 cd/m^2.
    """

    linear: float
    mu: float
    pu21: float


def hdr_score(
    result: Tensor, scene: Tensor, mask: Tensor | None = None, *,
    peak_nits: float = DEFAULT_PEAK_NITS,
) -> HdrScore:  # fmt: skip
    """Compare radiance with the scene.

    Args:
        result: ``(C, H, W)`` in units of white; clipped to 0..64.
        scene: true radiance, of the same shape and unit.
        mask: bool ``(H, W)``, the pixels that count; None for all.
        peak_nits: luminance in cd/m^2 that 64 times white is shown at.

    Returns:
        Infinite ratios where both are equal; NaN where the mask is empty.

    Raises:
        ValueError: the shapes differ.
    """
    if result.shape != scene.shape or result.ndim != 3:
        raise ValueError(
            f"result {list(result.shape)} and scene {list(scene.shape)} must be the same (C, H, W)"
        )
    pair = [radiance.double().clamp(0, PEAK) for radiance in (result, scene)]
    if mask is not None:
        pair = [radiance[:, mask] for radiance in pair]
    return HdrScore(
        linear=_psnr(pair[0], pair[1], PEAK),
        mu=_psnr(mu_law(pair[0]), mu_law(pair[1]), 1.0),
        pu21=_psnr(
            pu21(pair[0] * (peak_nits / PEAK)), pu21(pair[1] * (peak_nits / PEAK)), PU21_AT_100_NITS
        ),
    )


def _psnr(result: Tensor, scene: Tensor, peak: float) -> float:
    if not result.numel():
        return math.nan
    mean_square = float(torch.mean((result - scene).square()))
    return 10 * math.log10(peak**2 / mean_square) if mean_square else math.inf


@dataclass(frozen=True, kw_only=True)
class StopsError:
    """Errors in stops: logarithms to base 2 of result over scene.

    Attributes:
        mean: Mean magnitude.
        median: Median magnitude.
        p90: The magnitude that nine tenths do not exceed.
        bias: Mean; positive where results are too bright.
    """

    mean: float
    median: float
    p90: float
    bias: float


def stops_error(result: Tensor, scene: Tensor, mask: Tensor) -> StopsError:
    """Compare radiance with the scene, every channel of every pixel counting alike.

    Args:
        result: ``(C, H, W)`` in any unit; below ``LEAST_COMPARED`` it counts as that.
        scene: true radiance, of the same shape and unit.
        mask: bool ``(H, W)``, the pixels that count.

    Returns:
        NaN everywhere where the mask is empty.

    Raises:
        ValueError: the shapes differ.
    """
    if result.shape != scene.shape or result.ndim != 3 or mask.shape != scene.shape[1:]:
        raise ValueError(
            f"result {list(result.shape)} and scene {list(scene.shape)} must be the same (C, H, W) "
            f"and the mask {list(mask.shape)} (H, W)"
        )
    if not mask.any():
        return StopsError(mean=math.nan, median=math.nan, p90=math.nan, bias=math.nan)
    light, truth = (each[:, mask].double().clamp(min=LEAST_COMPARED) for each in (result, scene))
    signed = torch.log2(light / truth).numpy().ravel()
    error = np.abs(signed)
    return StopsError(
        mean=float(error.mean()),
        median=float(np.median(error)),
        p90=float(np.quantile(error, 0.9)),
        bias=float(signed.mean()),
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return Student's 95 % confidence interval of a mean; None of fewer than two values."""
    if len(values) < 2:
        return None
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    reach = float(stdtrit(len(values) - 1, 0.975)) * error
    middle = float(np.mean(values))
    return middle - reach, middle + reach


LEAST_COMPARED = 1e-3
"""Radiance, in units of white, below which errors in stops are not told apart."""

PEAK = 64.0
"""The radiance that counts as the peak of a picture: six stops above the sensor's white."""

MU = 5000.0

PU21_AT_100_NITS = 256.0
"""What PU21 makes of 100 cd/m^2, the white of an ordinary display: the peak of its PSNR."""

_PU21 = (0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166)
_PU21_OFFSET, _PU21_SCALE = 0.9099517204, 596.3148142
_PU21_RANGE = (0.005, 10_000.0)


def mu_law(radiance: Tensor) -> Tensor:
    """Return ``log(1 + mu y / 64) / log(1 + mu)`` with mu = 5000, any shape.

    Kalantari and Ramamoorthi, ACM TOG 2017, eq. 5, with 64 times white as the peak.

    Args:
        radiance: in units of white; above -0.0128.
    """
    return torch.log1p(radiance * (MU / PEAK)) / math.log1p(MU)


def pu21(luminance: Tensor) -> Tensor:
    """Return perceptually uniform values of light, any shape; 100 cd/m^2 is about 256.

    Mantiuk and Azimi, "PU21: A novel perceptually uniform encoding", PCS 2021, banding and glare.

    Args:
        luminance: in cd/m^2; clipped to 0.005 .. 10,000.
    """
    p1, p2, p3, p4, p5 = _PU21
    power = luminance.clamp(*_PU21_RANGE).pow(p4)
    return _PU21_SCALE * (((p1 + p2 * power) / (1 + p3 * power)).pow(p5) - _PU21_OFFSET)
