"""Evaluation of denoisers of RAW mosaics, on simulated RAW files of a held-out camera."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import tukeylambda

from restore.errors import InputError
from restore.image.colour import linear_to_srgb
from restore.image.demosaic import demosaicked
from restore.image.develop import camera_to_srgb
from restore.image.metrics import (
    MEASURES,
    Failure,
    Fidelity,
    clean_picture,
    fidelity,
    psnr_chw,
)
from restore.image.raw_picture import RawPicture
from restore.mosaic.runner import DenoisedMosaic, MosaicDenoiser
from restore.noise.bayer import random_cameras, unprocess
from restore.noise.eld import noise_at
from restore.noise.measured_camera import MeasuredCamera
from restore.noise.poisson_gaussian import NoiseProfile
from restore.noise.readout import BLACK_DN, RANGE_DN, as_file, mosaicked, read_out

__all__ = ["CAMERA", "METHODS", "PROTOCOL", "MosaicScore", "evaluate_mosaic_denoiser"]

Pixels = NDArray[np.float32]

CAMERA = "Canon 5D4"
"""Camera whose noise is added; nothing was trained on it."""

UNTOUCHED, NETWORK, FINISHED = "untouched", "network", "denoise"
METHODS = (UNTOUCHED, NETWORK, FINISHED)
"""The file developed as it is, denoised first, and developed and then denoised."""

PROTOCOL = (
    "clean picture unprocessed to the linear RAW file of a random camera (Brooks et al. 2019), "
    f"14 bits, noise of a {CAMERA} (Wei et al. 2020, with row noise; continued above ISO 6400), "
    "seeded with the seed plus the picture's index in sorted order; the network is told the noise "
    "profile unless it is estimated; all developed by LibRaw (AHD, "
    "for X-Trans Markesteijn's method in three passes) with the true white balance and colour "
    "matrix and sRGB's curve, as the file without noise is, with which they are compared; "
    "psnr_mosaic: of the mosaics, linear; denoise: `imrestore denoise` after development; "
    f"{MEASURES}"
)
"""What the figures mean; to be printed beside them."""


@dataclass(frozen=True, kw_only=True)
class MosaicScore(Fidelity):
    """The score of one picture at one ISO speed with one method, of developed sRGB samples.

    Attributes:
        path: Path of the clean picture.
        iso: ISO speed.
        method: One of ``METHODS``.
        psnr_mosaic: PSNR in dB of the linear mosaic; None for ``FINISHED``, which has none.
        seconds: Time of the method in seconds.
        record: Record of the denoiser; empty for other methods.
    """

    path: Path
    iso: float
    method: str
    psnr_mosaic: float | None
    seconds: float
    record: Mapping[str, object]

    @property
    def figures(self) -> dict[str, float | str]:
        """What is reported of it."""
        of_mosaic = {} if self.psnr_mosaic is None else {"psnr_mosaic": self.psnr_mosaic}
        return {
            "method": self.method,
            "iso": self.iso,
            **self.fidelity,
            **of_mosaic,
            "seconds": self.seconds,
        }


def evaluate_mosaic_denoiser(
    denoiser: MosaicDenoiser,
    finish: Callable[[Pixels], Pixels],
    paths: Sequence[Path],
    speeds: Sequence[float],
    *,
    seed: int = 0,
    side: int = 2,
    known: bool = True,
    camera: MeasuredCamera | None = None,
) -> Iterator[MosaicScore | Failure]:
    """Yield scores picture by picture, speed by speed, method by method (see ``PROTOCOL``).

    Args:
        denoiser: what is evaluated.
        finish: denoises developed pictures, sRGB ``[3, H, W]`` in [0, 1].
        paths: clean, gamma-encoded colour pictures.
        speeds: ISO speeds, at least 100.
        seed: the picture at index i gets camera and noise from ``seed + i``.
        side: period of the colour filter, 2 (Bayer) or 6 (X-Trans).
        known: whether the denoiser is given the camera's noise profile; else it estimates it.
        camera: camera whose noise is added in place of that of ``CAMERA``.
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
        for iso in speeds:
            generator = torch.Generator().manual_seed(seed + index)
            files = _captured(torch.from_numpy(clean.pixels), iso, generator, side, camera)
            told = _profile_at(iso) if camera is None else camera.profile(iso)
            denoise = partial(denoiser, profile=told if known else None)
            for method, psnr_mosaic, result, reference, seconds, record in _results(
                denoise, finish, *files
            ):
                yield MosaicScore(
                    path=path,
                    iso=iso,
                    method=method,
                    **fidelity(result, reference),
                    psnr_mosaic=psnr_mosaic,
                    seconds=seconds,
                    record=record,
                )


_Result = tuple[str, float | None, Pixels, Pixels, float, Mapping[str, object]]
_NO_RECORD: Mapping[str, object] = MappingProxyType({})


def _results(
    denoise: Callable[[RawPicture], DenoisedMosaic],
    finish: Callable[[Pixels], Pixels],
    noisy: RawPicture,
    light: Pixels,
) -> Iterator[_Result]:
    """Yield method, PSNR of the mosaic, developed result and reference, seconds, and record."""
    stored = np.rint(light * np.float32(RANGE_DN) + np.float32(BLACK_DN))
    reference = _developed(replace(noisy, mosaic=stored.astype(np.uint16)))

    def psnr_of(raw: RawPicture) -> float:
        samples = (raw.mosaic.astype(np.float32) - np.float32(BLACK_DN)) / np.float32(RANGE_DN)
        return psnr_chw(samples[None], light[None])

    plain = _developed(noisy)
    yield UNTOUCHED, psnr_of(noisy), plain, reference, 0.0, _NO_RECORD
    started = time.perf_counter()
    done = denoise(noisy)
    seconds = time.perf_counter() - started
    yield NETWORK, psnr_of(done.raw), _developed(done.raw), reference, seconds, done.record
    started = time.perf_counter()
    finished = finish(plain).clip(0, 1)
    yield FINISHED, None, finished, reference, time.perf_counter() - started, _NO_RECORD


def _captured(
    clean: torch.Tensor,
    iso: float,
    generator: torch.Generator,
    side: int,
    sensor: MeasuredCamera | None,
) -> tuple[RawPicture, Pixels]:
    """Return a noisy RAW file, and the light on its samples ``[H, W]``, white at 1."""
    camera = random_cameras(1, generator)
    seen = unprocess(clean[None], camera)
    noise = noise_at(CAMERA, iso) if sensor is None else sensor.dark_noise_at(iso, RANGE_DN)
    measured, colours = read_out(seen, noise, generator, side=side)
    light: Pixels = mosaicked(seen, colours)[0].numpy()
    return replace(as_file(measured[0], camera, side=side), iso=iso), light


def _profile_at(iso: float) -> NoiseProfile:
    """Return the noise of ``CAMERA``, rows and rounding counted as read noise."""
    noise = noise_at(CAMERA, iso)
    read = float(noise.read_scale) ** 2 * float(tukeylambda.var(float(noise.shape)))
    b = (read + float(noise.row_sigma) ** 2 + 1 / 12) / RANGE_DN**2
    a = float(noise.gain) / RANGE_DN
    return NoiseProfile(a=(a, a, a), b=(b, b, b))


def _developed(raw: RawPicture) -> Pixels:
    """Return sRGB samples ``[3, H, W]`` in [0, 1]."""
    linear = np.einsum("ij,jhw->ihw", camera_to_srgb(raw), demosaicked(raw))
    return linear_to_srgb(linear).clip(0, 1)
