"""From sRGB pictures back to what a camera's sensor saw, and forth again.

Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019: every step of a simple
camera is inverted, so that sensor noise can be added where it arises, in linear light.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from restore.image.primaries import SRGB_TO_XYZ

__all__ = ["Camera", "develop", "random_cameras", "unprocess"]

_XYZ_TO_CAMERA = torch.tensor(
    [
        [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]],
        [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],
        [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],
    ]
)
"""The colour matrices of four real cameras, from the paper."""

_SRGB_TO_XYZ = torch.tensor(SRGB_TO_XYZ, dtype=torch.float32)
_GAMMA = 2.2
_LEAST = 1e-8
_SAFE_ABOVE = 0.9


@dataclass(frozen=True, kw_only=True)
class Camera:
    """How each picture of a batch was developed.

    Attributes:
        from_srgb: ``(B, 3, 3)`` linear sRGB to camera RGB; white stays white.
        gains: ``(B, 3)`` white balance times exposure, for red, green and blue.
    """

    from_srgb: Tensor
    gains: Tensor


def random_cameras(count: int, generator: torch.Generator) -> Camera:
    """Draw ``count`` cameras with the paper's distributions, on the generator's device."""
    device = generator.device

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator, device=device)

    weights = uniform(_LEAST, 1, count, len(_XYZ_TO_CAMERA))
    weights = weights / weights.sum(dim=1, keepdim=True)
    from_xyz = torch.einsum("bk,kij->bij", weights, _XYZ_TO_CAMERA.to(device))
    from_srgb = from_xyz @ _SRGB_TO_XYZ.to(device)
    brightness = 1 / (0.8 + 0.1 * torch.randn(count, generator=generator, device=device))
    balance = [uniform(1.9, 2.4, count), torch.ones(count, device=device), uniform(1.5, 1.9, count)]
    return Camera(
        from_srgb=from_srgb / from_srgb.sum(dim=2, keepdim=True),
        gains=torch.stack(balance, dim=1) * brightness[:, None],
    )


def unprocess(srgb: Tensor, camera: Camera) -> Tensor:
    """Return linear camera RGB before white balance.

    Highlights keep their level where the inverse gains would make saturated white gray.

    Args:
        srgb: ``(B, 3, H, W)`` in [0, 1].
        camera: one per picture.

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


def develop(raw: Tensor, camera: Camera) -> Tensor:
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
