"""The noise of developed photographs: coloured, spatially correlated, signal-dependent."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.noise.bayer import BAYER_PATTERNS, demosaic, develop, mosaic, random_cameras, unprocess
from restore.noise.jpeg import chroma_halved, compressed, luma_and_chroma
from restore.noise.sensor import add_sensor_noise, random_levels

__all__ = ["photographed", "reduced", "smoothed"]

# A pixel that counts 50,000 electrons: a good camera at its lowest ISO.
_LEAST_SHOT = 2e-5
# Standard deviations in pixels. Sharper pictures alias under the mosaic, in dots of colour.
_SHARPEST_LENS, _SOFTEST_LENS = 0.45, 0.8
_WORST_JPEG, _BEST_JPEG = 75, 100
_JPEG_SHARE = 0.8


def photographed(clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Simulate noisy photographs of clean pictures.

    Each picture is unprocessed to the linear RAW file of a random camera, with the blur of its lens
    and low-pass filter, gets that camera's shot and read noise, is demosaicked, developed and,
    mostly, passed through the camera's own noise reduction and compressed as JPEG.

    Args:
        clean: sRGB ``(B, 3, H, W)`` in [0, 1], at least 3 pixels on each side.
        generator: random generator on the device of ``clean``.

    Returns:
        The photographs with noise and JPEG, and the same ones without: sRGB ``(B, 3, H, W)`` in [0,
        1]. Both lack the detail that the mosaic and JPEG's 4:2:0 chroma remove: it is not noise,
        and a network that learns to invent it would recolour clean pictures.
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
    """Compress most pictures; of the loss, apply only chroma subsampling to the targets."""
    draws = torch.rand((3, len(noisy), 1, 1, 1), generator=generator, device=generator.device)
    qualities = (_WORST_JPEG + draws[0] * (_BEST_JPEG + 1 - _WORST_JPEG)).int()
    is_halved, is_jpeg = draws[1] < 0.5, draws[2] < _JPEG_SHARE
    halved = is_halved.flatten().tolist()
    jpeg = compressed(noisy, qualities.flatten().tolist(), subsample=halved)
    coarse = chroma_halved(target).clamp(0, 1)
    return torch.where(is_jpeg, jpeg, noisy), torch.where(is_jpeg & is_halved, coarse, target)


def _integer(limit: int, generator: torch.Generator) -> int:
    return int(torch.randint(limit, (1,), generator=generator, device=generator.device))


# Wide enough for the noise that PolyU's Canon, Nikon and Sony cameras leave.
_SHARE = 0.8
_LUMA_SIGMA = (0.5, 1.8)
_CHROMA_SIGMA = (1.2, 6.0)
_LEAST_LUMA_WEIGHT, _LEAST_CHROMA_WEIGHT = 0.4, 0.9
_TAILS = 2.5


def reduced(noise: Tensor, generator: torch.Generator) -> Tensor:
    """Return what remains of noise after the noise reduction of random cameras.

    The noise is smoothed and not the picture, as by an edge-preserving filter. A fifth of the
    pictures comes from cameras without noise reduction.

    Args:
        noise: ``(B, 3, H, W)``, the noise of sRGB samples.
        generator: random generator on the device of ``noise``.
    """
    count = len(noise)

    def uniform(low: float, high: float) -> Tensor:
        draws = torch.rand(count, generator=generator, device=noise.device)
        return low + (high - low) * draws

    does = (uniform(0, 1) < _SHARE).to(noise.dtype)
    luma_weight, luma_sigma = does * uniform(_LEAST_LUMA_WEIGHT, 1), uniform(*_LUMA_SIGMA)
    chroma_weight = does * uniform(_LEAST_CHROMA_WEIGHT, 1)
    chroma_sigma = uniform(*(math.log(sigma) for sigma in _CHROMA_SIGMA)).exp()

    luma, chroma = luma_and_chroma(noise)
    return _mixed(luma, luma_sigma, luma_weight) + _mixed(chroma, chroma_sigma, chroma_weight)


def smoothed(pictures: Tensor, sigma: Tensor) -> Tensor:
    """Convolve pictures with Gaussians.

    Args:
        pictures: ``(B, C, H, W)``.
        sigma: ``(B,)`` standard deviations in pixels, positive.
    """
    count, channels, height, width = pictures.shape
    radius = min(math.ceil(_TAILS * float(sigma.max())), min(height, width) - 1)
    offsets = torch.arange(-radius, radius + 1, device=pictures.device)
    kernels = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    stack = pictures.reshape(1, count * channels, height, width)
    stack = F.pad(stack, (radius, radius, radius, radius), mode="reflect")
    stack = F.conv2d(stack, kernels[:, None, None, :], groups=len(kernels))
    stack = F.conv2d(stack, kernels[:, None, :, None], groups=len(kernels))
    return stack.view(pictures.shape)


def _mixed(noise: Tensor, sigma: Tensor, weight: Tensor) -> Tensor:
    share = weight[:, None, None, None]
    return noise + share * (smoothed(noise, sigma) - noise)
