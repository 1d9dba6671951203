"""The noise of developed photographs: coloured, correlated, stronger where the signal is."""

import torch
from torch import Tensor

from restore.noise.bayer import BAYER_PATTERNS, demosaic, mosaic
from restore.noise.jpeg import chroma_halved, compressed
from restore.noise.reduction import reduced, smoothed
from restore.noise.sensor import add_sensor_noise, random_levels
from restore.noise.unprocess import develop, random_cameras, unprocess

__all__ = ["photographed"]

# A pixel that counts 50,000 electrons: a good camera at its lowest ISO.
_LEAST_SHOT = 2e-5
# Standard deviations in pixels. Sharper pictures alias under the mosaic, in dots of colour.
_SHARPEST_LENS, _SOFTEST_LENS = 0.45, 0.8
_WORST_JPEG, _BEST_JPEG = 75, 100
_JPEG_SHARE = 0.8


def photographed(clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Take noisy photographs of clean pictures.

    Each picture is unprocessed to the linear RAW file of a random camera, with the blur of its lens
    and low-pass filter, gets that camera's shot and read noise, is demosaicked, developed and,
    mostly, passed through the camera's own noise reduction and compressed as JPEG.

    Args:
        clean: sRGB ``(B, 3, H, W)`` in [0, 1], at least 3 pixels on each side.
        generator: on the device of ``clean``.

    Returns:
        The photographs with noise and JPEG, and the same ones without: sRGB ``(B, 3, H, W)`` in
        [0, 1]. The mosaic, and JPEG that stores colour at half the resolution, took detail from
        both: it is not noise, and who learns to invent it recolours what was clean.
    """
    count = len(clean)
    camera = random_cameras(count, generator)
    shot, read = random_levels(count, generator, least_shot=_LEAST_SHOT)
    pattern = BAYER_PATTERNS[_integer(len(BAYER_PATTERNS), generator)]
    blur = torch.rand(count, generator=generator, device=clean.device)
    sharp = _SHARPEST_LENS + (_SOFTEST_LENS - _SHARPEST_LENS) * blur
    seen = mosaic(smoothed(unprocess(clean, camera), sharp), pattern)
    measured = add_sensor_noise(seen, shot, read, generator).clamp(0, 1)
    target, noisy = (develop(demosaic(raw, pattern), camera) for raw in (seen, measured))
    written = (target + reduced(noisy - target, generator)).clamp(0, 1)
    return _as_jpegs(written, target, generator)


def _as_jpegs(noisy: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Compress most pictures, and take from the targets what colour lost by it but no more."""
    draws = torch.rand((3, len(noisy), 1, 1, 1), generator=generator, device=generator.device)
    qualities = (_WORST_JPEG + draws[0] * (_BEST_JPEG + 1 - _WORST_JPEG)).int()
    is_halved, is_jpeg = draws[1] < 0.5, draws[2] < _JPEG_SHARE
    halved = is_halved.flatten().tolist()
    jpeg = compressed(noisy, qualities.flatten().tolist(), subsample=halved)
    coarse = chroma_halved(target).clamp(0, 1)
    return torch.where(is_jpeg, jpeg, noisy), torch.where(is_jpeg & is_halved, coarse, target)


def _integer(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator, device=generator.device))
