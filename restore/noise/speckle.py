"""Speckle: multiplicative noise, as of radar, ultrasound, laser light and photocopies."""

import torch
from torch import Tensor

from restore.noise.camera import smoothed

__all__ = ["speckle"]

_STRONGEST = 0.5
_COMMON_SHARE = 0.7
_SOFT_SHARE = 0.4
# Standard deviations in pixels of the blur that correlates neighbours.
_LEAST_BLUR, _MOST_BLUR = 0.3, 1.2


def speckle(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return random speckle for each of ``clean``.

    The factor is log-normal with mean 1, which is close to the gamma distribution of speckle that
    was averaged over a few looks.

    Args:
        clean: ``(B, C, H, W)`` in [0, 1], with 1 or 3 channels.
        generator: random generator on the device of ``clean``.

    Returns:
        Difference to add, ``(B, C, H, W)``. The factor's standard deviation is about 0.5 U^1.5,
        with U uniform in [0, 1].
    """

    def uniform() -> Tensor:
        return torch.rand((len(clean), 1, 1, 1), generator=generator, device=clean.device)

    common = torch.randn(clean[:, :1].shape, generator=generator, device=clean.device)
    own = torch.randn(clean.shape, generator=generator, device=clean.device)
    fine = torch.where(uniform() < _COMMON_SHARE, common, own)
    blur = _LEAST_BLUR + (_MOST_BLUR - _LEAST_BLUR) * uniform().flatten()
    soft = smoothed(fine, blur)
    soft = soft / soft.std(dim=(2, 3), keepdim=True)
    pattern = torch.where(uniform() < _SOFT_SHARE, soft, fine)
    level = _STRONGEST * uniform() ** 1.5
    return clean * ((level * pattern - level**2 / 2).exp() - 1)
