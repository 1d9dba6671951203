"""Bayer mosaics as tensors: mosaicking, demosaicking, and a simulated camera."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.image.colour import SRGB_TO_XYZ

__all__ = [
    "BAYER_PATTERNS",
    "CameraProfile",
    "demosaic",
    "develop",
    "mosaic",
    "random_cameras",
    "unprocess",
]

BAYER_PATTERNS = ("rggb", "grbg", "gbrg", "bggr")
"""Colours of the top left two by two pixels, row by row."""

_CHANNELS = {"r": 0, "g": 1, "b": 2}

# Eighths, from figure 2 of Malvar, He and Cutler, ICASSP 2004.
_GREEN = [
    [0.0, 0.0, -1.0, 0.0, 0.0],
    [0.0, 0.0, 2.0, 0.0, 0.0],
    [-1.0, 2.0, 4.0, 2.0, -1.0],
    [0.0, 0.0, 2.0, 0.0, 0.0],
    [0.0, 0.0, -1.0, 0.0, 0.0],
]
_BESIDE = [
    [0.0, 0.0, 0.5, 0.0, 0.0],
    [0.0, -1.0, 0.0, -1.0, 0.0],
    [-1.0, 4.0, 5.0, 4.0, -1.0],
    [0.0, -1.0, 0.0, -1.0, 0.0],
    [0.0, 0.0, 0.5, 0.0, 0.0],
]
_ACROSS = [
    [0.0, 0.0, -1.5, 0.0, 0.0],
    [0.0, 2.0, 0.0, 2.0, 0.0],
    [-1.5, 0.0, 6.0, 0.0, -1.5],
    [0.0, 2.0, 0.0, 2.0, 0.0],
    [0.0, 0.0, -1.5, 0.0, 0.0],
]
_KERNELS = torch.tensor([_GREEN, _BESIDE, _ACROSS])[:, None] / 8


def mosaic(colour: Tensor, pattern: str) -> Tensor:
    """Return what a sensor behind a Bayer filter sees.

    Args:
        colour: ``(B, 3, H, W)``.
        pattern: one of ``BAYER_PATTERNS``.

    Returns:
        ``(B, 1, H, W)``.
    """
    return (colour * _masks(colour, pattern)).sum(dim=1, keepdim=True)


def demosaic(mosaicked: Tensor, pattern: str) -> Tensor:
    """Interpolate the colours that the filter blocked.

    Malvar, He and Cutler, "High-Quality Linear Interpolation for Demosaicing of Bayer-Patterned
    Color Images", ICASSP 2004.

    Args:
        mosaicked: ``(B, 1, H, W)``, at least 3 pixels on each side.
        pattern: one of ``BAYER_PATTERNS``.

    Returns:
        ``(B, 3, H, W)``; the values of the mosaic stand where they stood.
    """
    kernels = _KERNELS.to(mosaicked)
    kernels = torch.cat([kernels, kernels[1:2].transpose(2, 3)])
    # Mirroring about the outermost pixel keeps the pattern's parity.
    padded = F.pad(mosaicked, (2, 2, 2, 2), mode="reflect")
    green, in_row, across, in_column = torch.split(F.conv2d(padded, kernels), 1, dim=1)
    is_red, is_green, is_blue = torch.split(_masks(mosaicked, pattern).bool(), 1, dim=1)
    has_red_in_row = is_red.any(dim=3, keepdim=True)
    estimates = []
    for own, other, in_own_row in (
        (is_red, is_blue, has_red_in_row),
        (is_blue, is_red, ~has_red_in_row),
    ):
        missing = torch.where(other, across, torch.where(in_own_row, in_row, in_column))
        estimates.append(torch.where(own, mosaicked, missing))
    red, blue = estimates
    return torch.cat([red, torch.where(is_green, mosaicked, green), blue], dim=1)


def _masks(like: Tensor, pattern: str) -> Tensor:
    """Return ``(1, 3, H, W)``, 1 where the sensor sees red, green and blue."""
    masks = like.new_zeros((1, 3, *like.shape[2:]))
    for index, colour in enumerate(pattern):
        masks[:, _CHANNELS[colour], index // 2 :: 2, index % 2 :: 2] = 1
    return masks


_XYZ_TO_CAMERA = torch.tensor(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],
    ]
)
"""The colour matrices of four real cameras, from Brooks et al., CVPR 2019."""

_SRGB_TO_XYZ = torch.tensor(SRGB_TO_XYZ, dtype=torch.float32)
_GAMMA = 2.2
_LEAST = 1e-8
_SAFE_ABOVE = 0.9


@dataclass(frozen=True, kw_only=True)
class CameraProfile:
    """How each picture of a batch was developed.

    Attributes:
        from_srgb: ``(B, 3, 3)`` matrices from linear sRGB to camera RGB; white stays white.
        gains: ``(B, 3)`` white balance times exposure, for red, green and blue.
    """

    from_srgb: Tensor
    gains: Tensor


def random_cameras(count: int, generator: torch.Generator) -> CameraProfile:
    """Draw ``count`` cameras as Brooks et al. (CVPR 2019) do, on the generator's device."""
    device = generator.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=device)

    weights = uniform(_LEAST, 1, count, len(_XYZ_TO_CAMERA))
    weights = weights / weights.sum(dim=1, keepdim=True)
    from_xyz = torch.einsum("bk,kij->bij", weights, _XYZ_TO_CAMERA.to(device))
    from_srgb = from_xyz @ _SRGB_TO_XYZ.to(device)
    brightness = 1 / (0.8 + 0.1 * torch.randn(count, generator=generator, device=device))
    balance = [uniform(1.9, 2.4, count), torch.ones(count, device=device), uniform(1.5, 1.9, count)]
    return CameraProfile(
        from_srgb=from_srgb / from_srgb.sum(dim=2, keepdim=True),
        gains=torch.stack(balance, dim=1) * brightness[:, None],
    )


def unprocess(srgb: Tensor, camera: CameraProfile) -> Tensor:
    """Return linear camera RGB before white balance.

    Highlights keep their level where the inverse gains would turn saturated white to gray.

    Args:
        srgb: ``(B, 3, H, W)`` in [0, 1].
        camera: camera profile of each picture.

    Returns:
        ``(B, 3, H, W)`` in [0, 1].
    """
    linear = _inverse_smoothstep(srgb.clamp(0, 1)).clamp_min(_LEAST) ** _GAMMA
    raw = _apply(camera.from_srgb, linear)
    inverse = (1 / camera.gains)[:, :, None, None]
    gray = raw.mean(dim=1, keepdim=True)
    highlight = ((gray - _SAFE_ABOVE).clamp_min(0) / (1 - _SAFE_ABOVE)) ** 2
    safe = torch.maximum(highlight + (1 - highlight) * inverse, inverse)
    return (raw * safe).clamp(0, 1)


def develop(raw: Tensor, camera: CameraProfile) -> Tensor:
    """Return sRGB ``(B, 3, H, W)`` in [0, 1] from linear camera RGB of the same shape.

    White balance, colour matrix, gamma 2.2 and the smoothstep tone curve; the inverse of
    ``unprocess`` up to clipping.
    """
    balanced = (raw * camera.gains[:, :, None, None]).clamp(0, 1)
    linear = _apply(torch.linalg.inv(camera.from_srgb), balanced).clamp(0, 1)
    encoded = linear.clamp_min(_LEAST) ** (1 / _GAMMA)
    return 3 * encoded**2 - 2 * encoded**3


def _inverse_smoothstep(values: Tensor) -> Tensor:
    return 0.5 - torch.sin(torch.asin(1 - 2 * values) / 3)


def _apply(matrix: Tensor, pixels: Tensor) -> Tensor:
    return torch.einsum("bij,bjhw->bihw", matrix, pixels)
