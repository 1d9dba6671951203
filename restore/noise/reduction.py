"""What cameras do about noise before they write a JPEG, and what it leaves behind.

In-camera noise reduction keeps edges but smooths what it takes for noise, colour far more than
luminance: what is left is soft in luminance and comes in blotches of colour.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.noise.luma import luma_and_chroma

__all__ = ["reduced", "smoothed"]

# As wide as to hold what the Canon, Nikon and Sony cameras of PolyU left of their noise.
_SHARE = 0.8
_LUMA_SIGMA = (0.5, 1.8)
_CHROMA_SIGMA = (1.2, 6.0)
_LEAST_LUMA_WEIGHT, _LEAST_CHROMA_WEIGHT = 0.4, 0.9
_TAILS = 2.5


def reduced(noise: Tensor, generator: torch.Generator) -> Tensor:
    """Return the noise that random cameras leave in developed pictures.

    The noise is smoothed and not the picture, as by a filter that knows an edge when it sees one.
    A fifth of the pictures comes from cameras that do nothing.

    Args:
        noise: ``(B, 3, H, W)``, what noise adds to sRGB samples.
        generator: on the device of ``noise``.
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
