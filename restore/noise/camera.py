"""The noise of developed photographs: coloured, correlated, stronger where the signal is."""

import torch
from torch import Tensor

from restore.noise.bayer import BAYER_PATTERNS, demosaic, mosaic
from restore.noise.jpeg import compressed
from restore.noise.reduction import reduced
from restore.noise.sensor import add_sensor_noise, random_levels
from restore.noise.unprocess import develop, random_cameras, unprocess

__all__ = ["photographed"]

# A pixel that counts 50,000 electrons: a good camera at its lowest ISO.
_LEAST_SHOT = 2e-5
_WORST_JPEG, _BEST_JPEG = 75, 100
_JPEG_SHARE = 0.8


def photographed(clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Take noisy photographs of clean pictures.

    Each picture is unprocessed to the linear RAW file of a random camera, gets that camera's shot
    and read noise, is demosaicked, developed and, mostly, passed through the camera's own noise
    reduction and compressed as JPEG.

    Args:
        clean: sRGB ``(B, 3, H, W)`` in [0, 1], at least 3 pixels on each side.
        generator: on the device of ``clean``.

    Returns:
        The photographs with noise and JPEG, and the same ones without: sRGB ``(B, 3, H, W)`` in
        [0, 1]. What the mosaic alone did is in both, since it is not noise.
    """
    count = len(clean)
    camera = random_cameras(count, generator)
    shot, read = random_levels(count, generator, least_shot=_LEAST_SHOT)
    pattern = BAYER_PATTERNS[_integer(len(BAYER_PATTERNS), generator)]
    seen = mosaic(unprocess(clean, camera), pattern)
    measured = add_sensor_noise(seen, shot, read, generator).clamp(0, 1)
    target, noisy = (develop(demosaic(raw, pattern), camera) for raw in (seen, measured))
    written = (target + reduced(noisy - target, generator)).clamp(0, 1)
    return _as_jpeg(written, generator), target


def _as_jpeg(pictures: Tensor, generator: torch.Generator) -> Tensor:
    draws = torch.rand((3, len(pictures)), generator=generator, device=generator.device).tolist()
    qualities = [_WORST_JPEG + int((_BEST_JPEG + 1 - _WORST_JPEG) * draw) for draw in draws[0]]
    jpeg = compressed(pictures, qualities, subsample=[draw < 0.5 for draw in draws[1]])
    chosen = torch.tensor([draw < _JPEG_SHARE for draw in draws[2]], device=pictures.device)
    return torch.where(chosen[:, None, None, None], jpeg, pictures)


def _integer(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator, device=generator.device))
