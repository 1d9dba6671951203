"""Grain: the noise of film, of scans, and of cameras whose noise reduction left only luma noise.

Unlike sensor noise it is partly shared by the channels, correlated between neighbours, and rises or
falls with brightness: a negative is grainiest where the print is bright.
"""

import torch
from torch import Tensor

from restore.noise.camera import smoothed

__all__ = ["grain"]

_STRONGEST = 32 / 255
_SOFT_SHARE = 0.7
# Standard deviations in pixels of the blur that correlates neighbours.
_LEAST_BLUR, _MOST_BLUR = 0.25, 1.3
_CLOUDED_SHARE = 0.15
_LEAST_CLOUD, _MOST_CLOUD = 1.0, 2.5
_NONE_SHARE = 0.08
_MOST_TILT = 0.7


def grain(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return random grain for each of ``clean``.

    Args:
        clean: ``(B, C, H, W)`` in [0, 1], gamma-encoded, with 1 or 3 channels.
        generator: random generator on the device of ``clean``.

    Returns:
        Grain to add, ``(B, C, H, W)``. Its standard deviation at mid-gray is 32/255 U^1.5, with U
        uniform in [0, 1], or zero for some pictures.
    """

    def uniform(low: float, high: float) -> Tensor:
        draws = torch.rand((len(clean), 1, 1, 1), generator=generator, device=clean.device)
        return low + (high - low) * draws

    common_share = (1.3 * uniform(0, 1)).clamp(max=1)
    common = torch.randn(clean[:, :1].shape, generator=generator, device=clean.device)
    own = torch.randn(clean.shape, generator=generator, device=clean.device)
    fine = common_share.sqrt() * common + (1 - common_share).sqrt() * own
    is_clouded = uniform(0, 1) < _CLOUDED_SHARE
    blur = torch.where(
        is_clouded, uniform(_LEAST_CLOUD, _MOST_CLOUD), uniform(_LEAST_BLUR, _MOST_BLUR)
    )
    soft = smoothed(fine, blur.flatten())
    soft = soft / soft.std(dim=(2, 3), keepdim=True)
    pattern = torch.where(is_clouded | (uniform(0, 1) < _SOFT_SHARE), soft, fine)
    level = _STRONGEST * uniform(0, 1) ** 1.5 * (uniform(0, 1) >= _NONE_SHARE)
    luma = clean.mean(dim=1, keepdim=True)
    return level * (1 + uniform(-_MOST_TILT, _MOST_TILT) * (2 * luma - 1)) * pattern
