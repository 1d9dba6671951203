"""Simulating dark RAW exposures from clean pictures, to train and test learned ISPs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from restore.image.raw_picture import RawPicture, fill_planes
from restore.models.layers import srgb_encoded
from restore.noise.bayer import random_cameras, unprocess
from restore.noise.eld import DarkNoise, random_noise
from restore.noise.iso import median_noise
from restore.noise.iso_noise import dark_noise, random_iso_noise
from restore.noise.measured_camera import MeasuredCamera
from restore.noise.readout import RANGE_DN, as_file, filter_colours, read_out

__all__ = ["Darkened", "dark_raw", "darkened"]

# Share of varied scenes with deepened colours, and the largest factor away from gray; share of
# overexposed ones, and the largest factor. sRGB pictures hold no colour that reaches a sensor
# through one filter alone, or saturates it there while the others stay dark, as a red rose does.
_DEEPENED_SHARE, _MOST_DEEPENED = 0.3, 2.0
_OVEREXPOSED_SHARE, _MOST_OVEREXPOSED = 0.3, 4.0

# Of what is trained with headroom: share with the noise of a normal exposure, which the cameras
# measured in the dark lack, and share clipped at white all the same. The others are dark, and the
# darkest, from which most is to be learned, are the most frequent.
_NORMAL_SHARE, _CLIPPED_SHARE, _DARKER = 0.15, 0.3, 0.35


@dataclass(frozen=True, kw_only=True)
class Darkened:
    """Dark exposures and their targets.

    Attributes:
        mosaics: ``(B, H, W)`` in reference phase: black at 0, amplified, white balanced, clipped.
        clean: ``(B, 3, H, W)`` camera RGB with white balance and sRGB's curve.
        side: period of the colour filter, 2 (Bayer) or 6 (X-Trans).
        packs: whether the network takes packed planes.
    """

    mosaics: Tensor
    clean: Tensor
    side: int
    packs: bool

    @property
    def inputs(self) -> tuple[Tensor]:
        """Arguments of the network: packed planes, or samples and filters ``(B, 2, H, W)``."""
        if self.packs:
            return (self.packed,)
        filters = filter_colours(self.side, *self.mosaics.shape[1:]).to(self.mosaics)
        return (torch.stack([self.mosaics, filters.expand_as(self.mosaics)], dim=1),)

    @property
    def packed(self) -> Tensor:
        """Planes of one colour each, see ``fill_planes``."""
        count, height, width = self.mosaics.shape
        planes, step = (4, 2) if self.side == 2 else (9, 3)
        packed = self.mosaics.new_empty((count, planes, height // step, width // step))
        fill_planes(packed, self.mosaics, self.side)
        return packed

    @property
    def shown(self) -> Tensor:
        """The mosaics as gray pictures."""
        return srgb_encoded(self.mosaics.clamp(0, 1))[:, None].expand(-1, 3, -1, -1)


def darkened(
    clean: Tensor,
    cameras: Sequence[str] | MeasuredCamera,
    ratios: tuple[float, float],
    generator: torch.Generator,
    *,
    side: int = 2,
    packs: bool = True,
    highest: float = 1.0,
    varied: bool = False,
) -> Darkened:
    """Simulate dark exposures of clean pictures.

    Each is unprocessed to the linear RAW file of a random camera (Brooks et al. 2019), darkened,
    read out by a sensor with the noise of ELD (Wei et al. 2020), and amplified again.

    Args:
        clean: sRGB ``(B, 3, H, W)`` in [0, 1], H and W multiples of ``side`` where it is packed.
        cameras: keys of ``restore.noise.eld.CAMERAS``, of which each picture gets one; or the
            camera that all are from.
        ratios: lowest and highest amplification; its logarithm is uniform between, or more often
            high than low where it is varied with headroom.
        generator: on the device of ``clean``.
        side: period of the colour filter, 2 (Bayer) or 6 (X-Trans).
        packs: see ``Darkened``.
        highest: level at which samples and targets are clipped.
        varied: whether some pictures get deeper colours than sRGB has, are overexposed, have the
            noise of a normal exposure at the lowest ratio, or are clipped at 1.
    """
    count = len(clean)
    camera = random_cameras(count, generator)
    gains = camera.gains[:, :, None, None]
    balanced = unprocess(clean, camera) * gains
    if varied:
        balanced = _deepened_and_overexposed(balanced, generator)
    low, high = (math.log(ratio) for ratio in ratios)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=clean.device)

    has_headroom = varied and highest > 1
    share = uniform(count) ** (_DARKER if has_headroom else 1)
    ratio = (low + (high - low) * share).exp()
    noise = _noise(cameras, count, generator)
    most = torch.full_like(ratio, highest)
    if has_headroom:
        is_normal = uniform(count) < _NORMAL_SHARE
        ratio = torch.where(is_normal, ratios[0], ratio)
        if not isinstance(cameras, MeasuredCamera):
            noise = _chosen(is_normal, random_iso_noise(count, RANGE_DN, generator), noise)
        most = torch.where(uniform(count) < _CLIPPED_SHARE, 1.0, most)
    measured, colours = read_out(
        balanced / gains / ratio[:, None, None, None], noise, generator, side=side
    )
    amplification = ratio[:, None] * camera.gains
    amplified = measured / RANGE_DN * amplification[:, colours]
    # What the sensor can hold, amplified, is all that can be restored.
    limit = torch.minimum(amplification, most[:, None])[:, :, None, None]
    return Darkened(
        mosaics=amplified.minimum(most[:, None, None]),
        clean=srgb_encoded(balanced.clamp_min(0).minimum(limit)),
        side=side,
        packs=packs,
    )


def _noise(
    cameras: Sequence[str] | MeasuredCamera, count: int, generator: torch.Generator
) -> DarkNoise:
    if isinstance(cameras, MeasuredCamera):
        return cameras.dark_noise(count, RANGE_DN, generator)
    return random_noise(count, cameras, generator)


def _chosen(is_first: Tensor, first: DarkNoise, second: DarkNoise) -> DarkNoise:
    """Return the noise of the first where it is chosen ``(B,)``, else of the second."""

    def of(name: str) -> Tensor:
        one, other = getattr(first, name), getattr(second, name)
        return torch.where(is_first.view(-1, *[1] * (one.ndim - 1)), one, other)

    return DarkNoise(**{each.name: of(each.name) for each in fields(DarkNoise)})


def _deepened_and_overexposed(light: Tensor, generator: torch.Generator) -> Tensor:
    """Return white-balanced light ``(B, 3, H, W)``, deeper in colour and brighter at times."""
    draws = torch.rand((4, len(light), 1, 1, 1), generator=generator, device=light.device)
    depth = 1 + (_MOST_DEEPENED - 1) * draws[0] * (draws[1] < _DEEPENED_SHARE)
    stronger = _MOST_OVEREXPOSED ** (draws[2] * (draws[3] < _OVEREXPOSED_SHARE))
    gray = light.mean(dim=1, keepdim=True)
    return stronger * (gray + depth * (light - gray)).clamp_min(0)


def dark_raw(
    clean: Tensor,
    taken_by: str | MeasuredCamera,
    ratio: float,
    generator: torch.Generator,
    *,
    side: int = 2,
    iso: float | None = None,
) -> tuple[RawPicture, Tensor, float]:
    """Simulate one dark exposure of a clean picture as a RAW file.

    Args:
        clean: sRGB ``(3, H, W)`` in [0, 1].
        taken_by: key of ``restore.noise.eld.CAMERAS``, or a camera.
        ratio: factor by which the exposure is too dark.
        generator: on the CPU.
        side: period of the colour filter, 2 (Bayer) or 6 (X-Trans).
        iso: speed of the camera, or of a usual one with ``median_noise`` where a key is given;
            None for the noise of ``taken_by`` at a random gain.

    Returns:
        The RAW file; the target, linear camera RGB with white balance ``(3, H, W)`` in [0, 1]; and
        the amplification that the file needs.
    """
    camera = random_cameras(1, generator)
    seen = unprocess(clean[None], camera)
    if iso is None:
        cameras = [taken_by] if isinstance(taken_by, str) else taken_by
        noise = _noise(cameras, 1, generator)
    elif isinstance(taken_by, MeasuredCamera):
        noise = taken_by.dark_noise_at(iso, RANGE_DN)
    else:
        shot, read = (torch.tensor([level]) for level in median_noise(iso))
        noise = dark_noise(shot, read, RANGE_DN)
    measured, _ = read_out(seen / ratio, noise, generator, side=side)
    raw = as_file(measured[0], camera, side=side)
    balanced = (seen * camera.gains[:, :, None, None]).clamp(0, 1)
    return raw, balanced[0], ratio * float(camera.gains[0, 1])
