"""Simulating dark RAW exposures from clean pictures, to train and test learned ISPs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.image.colour import SRGB_EXPONENT, SRGB_KNEE, SRGB_OFFSET, SRGB_SLOPE, SRGB_TO_XYZ
from restore.image.raw_picture import GREEN, REFERENCE_CFA, SECOND_GREEN, RawPicture, fill_planes
from restore.noise.bayer import random_cameras, unprocess
from restore.noise.eld import add_dark_noise, random_noise

__all__ = ["Darkened", "dark_raw", "darkened", "packed_planes", "srgb_encoded"]

# 14 bits with a black level of 512, as in the cameras whose noise is known.
_BLACK_DN, _RANGE_DN = 512.0, 15871.0

# Share of varied scenes with deepened colours, and the largest factor away from gray; share of
# overexposed ones, and the largest factor. sRGB pictures hold no colour that reaches a sensor
# through one filter alone, or saturates it there while the others stay dark, as a red rose does.
_DEEPENED_SHARE, _MOST_DEEPENED = 0.3, 2.0
_OVEREXPOSED_SHARE, _MOST_OVEREXPOSED = 0.3, 4.0


@dataclass(frozen=True, kw_only=True)
class Darkened:
    """Dark exposures and their targets.

    Attributes:
        packed: ``(B, 4, H / 2, W / 2)`` or ``(B, 9, H / 3, W / 3)``: black at 0, amplified, white
            balanced, clipped at 1.
        clean: ``(B, 3, H, W)`` camera RGB with white balance and sRGB's curve, in [0, 1].
    """

    packed: Tensor
    clean: Tensor

    @property
    def inputs(self) -> tuple[Tensor]:
        """Arguments of the network."""
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
    varied: bool = False,
) -> Darkened:
    """Simulate dark exposures of clean pictures.

    Each is unprocessed to the linear RAW file of a random camera (Brooks et al. 2019), darkened,
    read out by a sensor with the noise of ELD (Wei et al. 2020), and amplified again.

    Args:
        clean: sRGB ``(B, 3, H, W)`` in [0, 1], H and W multiples of ``side``.
        cameras: keys of ``restore.noise.eld.CAMERAS``, of which each picture gets one.
        ratios: lowest and highest amplification; its logarithm is uniform between.
        generator: on the device of ``clean``.
        side: period of the colour filter, 2 (Bayer) or 6 (X-Trans).
        varied: whether some pictures get deeper colours than sRGB has, or are overexposed.
    """
    count = len(clean)
    camera = random_cameras(count, generator)
    gains = camera.gains[:, :, None, None]
    balanced = unprocess(clean, camera) * gains
    if varied:
        balanced = _deepened_and_overexposed(balanced, generator)
    seen = balanced / gains
    low, high = (math.log(ratio) for ratio in ratios)
    draws = torch.rand(count, generator=generator, device=clean.device)
    ratio = (low + (high - low) * draws).exp()
    measured, colours = _read_out(seen, ratio, cameras, generator, side)
    amplification = camera.gains[:, colours] * ratio[:, None, None] / _RANGE_DN
    amplified = (measured * amplification).clamp_max(1)
    return Darkened(packed=packed_planes(amplified, side), clean=srgb_encoded(balanced.clamp(0, 1)))


def packed_planes(mosaics: Tensor, side: int) -> Tensor:
    """Return mosaics ``(B, H, W)`` in reference phase as planes, see ``fill_planes``."""
    count, height, width = mosaics.shape
    planes, step = (4, 2) if side == 2 else (9, 3)
    packed = mosaics.new_empty((count, planes, height // step, width // step))
    fill_planes(packed, mosaics, side)
    return packed


def _deepened_and_overexposed(light: Tensor, generator: torch.Generator) -> Tensor:
    """Return white-balanced light ``(B, 3, H, W)``, deeper in colour and brighter at times."""
    draws = torch.rand((4, len(light), 1, 1, 1), generator=generator, device=light.device)
    depth = 1 + (_MOST_DEEPENED - 1) * draws[0] * (draws[1] < _DEEPENED_SHARE)
    stronger = _MOST_OVEREXPOSED ** (draws[2] * (draws[3] < _OVEREXPOSED_SHARE))
    gray = light.mean(dim=1, keepdim=True)
    return stronger * (gray + depth * (light - gray)).clamp_min(0)


def dark_raw(
    clean: Tensor,
    camera_name: str,
    ratio: float,
    generator: torch.Generator,
    *,
    side: int = 2,
) -> tuple[RawPicture, Tensor, float]:
    """Simulate one dark exposure of a clean picture as a RAW file.

    Args:
        clean: sRGB ``(3, H, W)`` in [0, 1].
        camera_name: key of ``restore.noise.eld.CAMERAS``.
        ratio: factor by which the exposure is too dark.
        generator: on the CPU.
        side: period of the colour filter, 2 (Bayer) or 6 (X-Trans).

    Returns:
        The RAW file; the target, linear camera RGB with white balance ``(3, H, W)`` in [0, 1]; and
        the amplification that the file needs.
    """
    camera = random_cameras(1, generator)
    seen = unprocess(clean[None], camera)
    measured, _ = _read_out(seen, torch.tensor([ratio]), [camera_name], generator, side)
    red, green, blue = camera.gains[0].tolist()
    xyz_to_camera = camera.from_srgb[0].numpy() @ np.linalg.inv(SRGB_TO_XYZ)
    raw = RawPicture(
        mosaic=(measured[0] + _BLACK_DN).numpy().astype(np.uint16),
        cfa=REFERENCE_CFA[side],
        black_level=(_BLACK_DN,) * 4,
        white_level=_BLACK_DN + _RANGE_DN,
        white_balance=(red / green, 1.0, blue / green),
        xyz_to_camera=xyz_to_camera.astype(np.float32),
    )
    balanced = (seen * camera.gains[:, :, None, None]).clamp(0, 1)
    return raw, balanced[0], ratio * green


def _read_out(
    seen: Tensor,
    ratio: Tensor,
    cameras: Sequence[str],
    generator: torch.Generator,
    side: int,
) -> tuple[Tensor, Tensor]:
    """Return the mosaics ``(B, H, W)`` in DN above black, and the filter over each pixel."""
    count, _, height, width = seen.shape
    noise = random_noise(count, cameras, generator)
    colours = _colours(side, height, width).to(seen.device)
    light = seen.gather(1, colours.expand(count, 1, -1, -1))[:, 0] * _RANGE_DN
    measured = add_dark_noise(
        light / ratio[:, None, None],
        noise,
        colours,
        range_dn=_RANGE_DN,
        black_dn=_BLACK_DN,
        generator=generator,
    )
    return measured, colours


def srgb_encoded(linear: Tensor) -> Tensor:
    """Encode light in [0, 1] as sRGB samples (IEC 61966-2-1), any shape."""
    curve = (1 + SRGB_OFFSET) * linear.clamp_min(SRGB_KNEE) ** (1 / SRGB_EXPONENT) - SRGB_OFFSET
    return torch.where(linear <= SRGB_KNEE, SRGB_SLOPE * linear, curve)


def _colours(side: int, height: int, width: int) -> Tensor:
    """Return the filter over each pixel, ``(H, W)``: 0 red, 1 green, 2 blue."""
    cfa = torch.from_numpy(REFERENCE_CFA[side]).long()
    cfa = torch.where(cfa == SECOND_GREEN, GREEN, cfa)
    return cfa.repeat(-(-height // side), -(-width // side))[:height, :width]
