"""Clean pictures as a camera's sensor sees them in the dark, ready for a learned ISP."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.image.packing import REFERENCE_CFA, fill_planes
from restore.image.raw_picture import GREEN, SECOND_GREEN
from restore.noise.eld import add_dark_noise, random_noise
from restore.noise.unprocess import random_cameras, unprocess

__all__ = ["Darkened", "darkened", "srgb_encoded"]

# 14 bits above a black level of 512, as in the cameras whose noise is known.
_RANGE_DN = 15871.0
_KNEE, _SLOPE, _OFFSET, _EXPONENT = 0.0031308, 12.92, 0.055, 2.4


@dataclass(frozen=True, kw_only=True)
class Darkened:
    """Dark exposures and what they should become.

    Attributes:
        packed: ``(B, 4, H / 2, W / 2)`` or ``(B, 9, H / 3, W / 3)``: black at 0, amplified, white
            balanced, clipped at 1.
        clean: ``(B, 3, H, W)`` camera RGB with white balance and sRGB's curve, in [0, 1].
        to_srgb: ``(B, 3, 3)``, linear camera RGB to linear sRGB.
    """

    packed: Tensor
    clean: Tensor
    to_srgb: Tensor

    @property
    def inputs(self) -> tuple[Tensor]:
        """What the network is called with."""
        return (self.packed,)

    @property
    def shown(self) -> Tensor:
        """The mosaics as pictures: the first three planes are red, green and blue."""
        scaled = F.interpolate(self.packed[:, :3], size=self.clean.shape[2:], mode="nearest")
        return srgb_encoded(scaled.clamp(0, 1))


def darkened(
    clean: Tensor,
    cameras: Sequence[str],
    ratios: tuple[float, float],
    generator: torch.Generator,
    *,
    side: int = 2,
) -> Darkened:
    """Take pictures of clean pictures with too little light.

    Each is unprocessed to the linear RAW file of a random camera (Brooks et al. 2019), darkened,
    read out by a sensor with the noise of ELD (Wei et al. 2020), and amplified again.

    Args:
        clean: sRGB ``(B, 3, H, W)`` in [0, 1], H and W multiples of ``side``.
        cameras: keys of ``restore.noise.eld.CAMERAS``, of which each picture gets one.
        ratios: lowest and highest amplification; its logarithm is uniform between.
        generator: on the device of ``clean``.
        side: period of the colour filter, 2 (Bayer) or 6 (X-Trans).
    """
    count, _, height, width = clean.shape
    camera = random_cameras(count, generator)
    seen = unprocess(clean, camera)
    target = srgb_encoded((seen * camera.gains[:, :, None, None]).clamp(0, 1))

    low, high = (math.log(ratio) for ratio in ratios)
    draws = torch.rand(count, generator=generator, device=clean.device)
    ratio = (low + (high - low) * draws).exp()[:, None, None]
    noise = random_noise(count, cameras, generator)
    colours = _colours(side, height, width).to(clean.device)
    light = seen.gather(1, colours.expand(count, 1, -1, -1))[:, 0] * _RANGE_DN / ratio
    measured = add_dark_noise(light, noise, colours, range_dn=_RANGE_DN, generator=generator)
    amplified = (measured * ratio / _RANGE_DN * camera.gains[:, colours]).clamp_max(1)

    planes, step = (4, 2) if side == 2 else (9, 3)
    packed = clean.new_empty((count, planes, height // step, width // step))
    fill_planes(packed, amplified, side)
    return Darkened(packed=packed, clean=target, to_srgb=torch.linalg.inv(camera.from_srgb))


def srgb_encoded(linear: Tensor) -> Tensor:
    """Encode light in [0, 1] as sRGB samples (IEC 61966-2-1), any shape."""
    curve = (1 + _OFFSET) * linear.clamp_min(_KNEE) ** (1 / _EXPONENT) - _OFFSET
    return torch.where(linear <= _KNEE, _SLOPE * linear, curve)


def _colours(side: int, height: int, width: int) -> Tensor:
    """Return the filter over each pixel, ``(H, W)``: 0 red, 1 green, 2 blue."""
    cfa = torch.from_numpy(REFERENCE_CFA[side]).long()
    cfa = torch.where(cfa == SECOND_GREEN, GREEN, cfa)
    return cfa.repeat(-(-height // side), -(-width // side))[:height, :width]
