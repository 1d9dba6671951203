"""Evaluation of learned image signal processors, on simulated dark pictures and on real pairs."""

import importlib.util
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from restore.dark.darkening import dark_raw
from restore.dark.data import RawPair
from restore.dark.enhanced import Enhanced
from restore.dark.runner import DarkEnhancer
from restore.errors import InputError, UnsupportedImage
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.demosaic import demosaicked
from restore.image.develop import camera_to_srgb
from restore.image.metrics import (
    MEASURES,
    SSIM_WINDOW,
    Failure,
    Fidelity,
    clean_picture,
    fidelity,
)
from restore.image.raw import Look, develop_raw, read_raw
from restore.image.raw_picture import RawPicture
from restore.noise.estimate import estimate_sigma_chw
from restore.noise.measured_camera import MeasuredCamera

__all__ = [
    "CAMERA",
    "LIBRAW",
    "NETWORK",
    "NON_LOCAL_MEANS",
    "PAIRS_PROTOCOL",
    "PROTOCOL",
    "DarkScore",
    "Exposure",
    "PairScore",
    "evaluate_dark_enhancer",
    "evaluate_pairs",
    "methods",
]

CAMERA = "Canon 5D4"
"""Camera whose noise is added; the shipped networks were trained on the noise of others."""

NETWORK, LIBRAW, NON_LOCAL_MEANS = "network", "LibRaw", "LibRaw, NLM"

PROTOCOL = (
    "clean picture unprocessed to the linear RAW file of a random camera (Brooks et al. 2019), "
    f"darkened, noise of a {CAMERA} (Wei et al. 2020) at a random gain, seeded with the seed plus "
    "the picture's index in sorted order; at an ISO speed not darkened, with the noise of the "
    "median of several hundred cameras (Poisson and Gaussian); amplified by the true ratio, "
    "clipped at white, developed with the true "
    "white balance and colour matrix and sRGB's curve, as the clean picture is; LibRaw: its "
    "demosaicking (AHD, for X-Trans Markesteijn's) with the same gain, developed alike; NLM: "
    "OpenCV's coloured non-local means after it, h = 3 times the estimated sigma, the best "
    f"multiple; {MEASURES}"
)

# Demosaicking correlates the noise of neighbours, so that estimates from small patches are low.
_NLM_STRENGTH = 3.0

_SENSORS = {2: "Bayer", 6: "X-Trans"}


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """How a picture is taken.

    Attributes:
        side: Period of the colour filter, 2 (Bayer) or 6 (X-Trans).
        ratio: Factor by which it is too dark.
        iso: Speed of a usual camera, see ``median_noise``; None for the noise of ``CAMERA``.
    """

    side: int = 2
    ratio: float = 1.0
    iso: float | None = None

    @property
    def sensor(self) -> str:
        """Kind of the sensor."""
        return _SENSORS[self.side]

    @property
    def name(self) -> str:
        """Sensor and darkness, or speed, in words."""
        return f"{self.sensor} {f'x{self.ratio:g}' if self.iso is None else f'ISO {self.iso:g}'}"


@dataclass(frozen=True, kw_only=True)
class DarkScore(Fidelity):
    """The score of one picture at one exposure with one method, of sRGB samples.

    Attributes:
        path: Path of the clean picture.
        exposure: How it was taken.
        method: One of ``methods()``.
        seconds: Time of the method in seconds.
        record: Record of the enhancer; empty for other methods.
    """

    path: Path
    exposure: Exposure
    method: str
    seconds: float
    record: Mapping[str, object]

    @property
    def figures(self) -> dict[str, float | str]:
        """What is reported of it."""
        speed = {} if self.exposure.iso is None else {"iso": self.exposure.iso}
        return {
            "sensor": self.exposure.sensor,
            "ratio": self.exposure.ratio,
            **speed,
            "method": self.method,
            **self.fidelity,
            "seconds": self.seconds,
        }


@cache
def methods() -> tuple[str, ...]:
    """Return the methods to compare; non-local means only where OpenCV is installed."""
    has_opencv = importlib.util.find_spec("cv2") is not None
    return (NETWORK, LIBRAW, NON_LOCAL_MEANS) if has_opencv else (NETWORK, LIBRAW)


def evaluate_dark_enhancer(
    enhancer: DarkEnhancer,
    paths: Sequence[Path],
    exposures: Sequence[Exposure],
    *,
    seed: int = 0,
    camera: MeasuredCamera | None = None,
) -> Iterator[DarkScore | Failure]:
    """Yield scores picture by picture, exposure by exposure, method by method (see ``PROTOCOL``).

    Args:
        enhancer: what is evaluated.
        paths: clean, gamma-encoded colour pictures with values in [0, 1].
        exposures: how they are taken.
        seed: the picture at index i gets camera, gain and noise from ``seed + i``.
        camera: camera whose noise is added, in place of ``CAMERA`` and of usual ones.
    """
    for index, path in enumerate(paths):
        try:
            clean = clean_picture(path)
        except InputError as error:
            yield Failure(path=path, reason=str(error))
            continue
        if clean.channels != 3:
            yield Failure(path=path, reason=f"{path}: gray; this needs pictures in colour")
            continue
        for exposure in exposures:
            night = dark_raw(
                torch.from_numpy(clean.pixels),
                camera or CAMERA,
                exposure.ratio,
                torch.Generator().manual_seed(seed + index),
                side=exposure.side,
                iso=exposure.iso,
            )
            yield from _scores(enhancer, path, exposure, *night)


def _scores(
    enhancer: DarkEnhancer,
    path: Path,
    exposure: Exposure,
    raw: RawPicture,
    light: torch.Tensor,
    amplification: float,
) -> Iterator[DarkScore]:
    reference = _srgb(light.numpy(), raw)

    def score(
        method: str,
        result: NDArray[np.float32],
        started: float,
        record: Mapping[str, object] = MappingProxyType({}),
    ) -> DarkScore:
        seconds = time.perf_counter() - started
        return DarkScore(
            path=path,
            exposure=exposure,
            method=method,
            **fidelity(result, reference),
            seconds=seconds,
            record=record,
        )

    started = time.perf_counter()
    enhanced = enhancer(raw, ratio=amplification)
    yield score(NETWORK, _shown(enhanced), started, enhanced.record)
    started = time.perf_counter()
    plain = _srgb((demosaicked(raw) * np.float32(amplification)).clip(0, 1), raw)
    yield score(LIBRAW, plain, started)
    if NON_LOCAL_MEANS in methods():
        yield score(NON_LOCAL_MEANS, _non_local_means(plain), started)


def _shown(enhanced: Enhanced) -> NDArray[np.float32]:
    """Return a result developed as its reference is, each colour clipped at white by itself."""
    if enhanced.to_srgb is None:
        return enhanced.on_sensor().clip(0, 1)
    return _srgb(srgb_to_linear(enhanced.colour).clip(0, 1), enhanced.raw)


def _srgb(light: NDArray[np.float32], raw: RawPicture) -> NDArray[np.float32]:
    """Develop linear camera RGB with white balance, ``[3, H, W]`` in [0, 1]."""
    linear = np.einsum("ij,jhw->ihw", camera_to_srgb(raw), light)
    return linear_to_srgb(linear).clip(0, 1)


def _non_local_means(srgb: NDArray[np.float32]) -> NDArray[np.float32]:
    import cv2

    strength = _NLM_STRENGTH * 255 * estimate_sigma_chw(srgb)
    codes = np.rint(srgb * 255).astype(np.uint8).transpose(1, 2, 0)
    # OpenCV's windows of 7 and 21 pixels are those of Buades et al. 2005.
    smooth = cv2.fastNlMeansDenoisingColored(
        np.ascontiguousarray(codes), None, strength, strength, 7, 21
    )
    restored: NDArray[np.float32] = np.divide(smooth.transpose(2, 0, 1), 255, dtype=np.float32)
    return restored


PAIRS_PROTOCOL = (
    "Chen et al. 2018: the short exposure amplified by the ratio of the exposure times, at most "
    "300; the reference is the long one as LibRaw develops it with the camera's white balance and "
    "no change of brightness, for networks with the head camera with sRGB's curve in place of "
    f"LibRaw's and the long exposure's white balance in both; both of 8 bits; {MEASURES}"
)
"""What the figures of ``evaluate_pairs`` mean; to be printed beside them."""


@dataclass(frozen=True, kw_only=True)
class PairScore(Fidelity):
    """The score of one pair.

    Attributes:
        path: Path of the short exposure.
        ratio: Amplification.
        seconds: Time of the enhancer in seconds.
        record: Record of the enhancer.
    """

    path: Path
    ratio: float
    seconds: float
    record: Mapping[str, object]

    @property
    def figures(self) -> dict[str, float | str]:
        """What is reported of it."""
        return {
            "ratio": self.ratio,
            "method": "network",
            **self.fidelity,
            "seconds": self.seconds,
        }


def evaluate_pairs(
    enhancer: DarkEnhancer, pairs: Sequence[RawPair]
) -> Iterator[PairScore | Failure]:
    """Yield a score for every pair (see ``PAIRS_PROTOCOL``)."""
    for pair in pairs:
        try:
            yield _score(enhancer, pair)
        except InputError as error:
            yield Failure(path=pair.short, reason=str(error))


def _score(enhancer: DarkEnhancer, pair: RawPair) -> PairScore:
    short, long = read_raw(pair.short), read_raw(pair.long)
    if short.mosaic.shape != long.mosaic.shape:
        raise UnsupportedImage(f"{pair.short} and {pair.long} differ in size")
    if min(short.mosaic.shape) < SSIM_WINDOW:
        raise UnsupportedImage(f"{pair.short}: smaller than SSIM's window")
    started = time.perf_counter()
    enhanced = _enhanced(enhancer, pair, short, long)
    seconds = time.perf_counter() - started
    look: Look = "libraw" if enhanced.to_srgb is None else "srgb"
    reference = _eight_bits(np.divide(develop_raw(pair.long, look), 65535, dtype=np.float32))
    result = _eight_bits(enhanced.on_sensor())
    return PairScore(
        path=pair.short,
        ratio=pair.ratio,
        **fidelity(result, reference),
        seconds=seconds,
        record=enhanced.record,
    )


def _enhanced(
    enhancer: DarkEnhancer, pair: RawPair, short: RawPicture, long: RawPicture
) -> Enhanced:
    try:
        return enhancer(short, ratio=pair.ratio, white_balance=long.white_balance)
    except InputError as error:
        raise type(error)(f"{pair.short}: {error}") from error


def _eight_bits(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    codes = np.rint(pixels.clip(0, 1) * 255)
    result: NDArray[np.float32] = np.divide(codes, 255, dtype=np.float32)
    return result
