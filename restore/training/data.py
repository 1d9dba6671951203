"""Batches of random crops, cut from pictures that are kept in memory as bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restore.errors import InputError, TrainingError
from restore.image.decode import decode

__all__ = ["Batch", "GaussianNoise", "PairedCrops", "RandomCrops", "load_pictures"]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Rec. 601 weights: the gray of BSD68 and of nearly every denoising paper."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One step's worth of examples.

    Attributes:
        noisy, clean: float32 ``(B, C, P, P)``; clean in [0, 1].
        sigma: float32 ``(B,)`` in [0, 1].
    """

    noisy: Tensor
    clean: Tensor
    sigma: Tensor


def load_pictures(
    paths: Sequence[Path],
    *,
    channels: int,
    least_size: int,
    max_bytes: int,
    warn: Callable[[str], None],
) -> dict[Path, Tensor]:
    """Decode pictures to uint8 ``(C, H, W)``, until ``max_bytes`` are in memory.

    Colour becomes luma for a gray network; gray pictures are left out for a colour network.
    What cannot be used is named through ``warn`` and left out.

    Raises:
        TrainingError: nothing usable is left.
    """
    pictures: dict[Path, Tensor] = {}
    used = 0
    for path in paths:
        try:
            pixels = decode(path).pixels
        except InputError as error:
            warn(f"{error}; left out")
            continue
        if min(pixels.shape[1:]) < least_size:
            warn(f"{path}: smaller than the {least_size}-pixel crops; left out")
            continue
        if pixels.shape[0] < channels:
            warn(f"{path}: gray, and the network is for colour; left out")
            continue
        if channels == 1 and pixels.shape[0] == 3:
            pixels = np.tensordot(_LUMA, pixels, axes=1)[None]
        picture = torch.from_numpy(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
        used += picture.numel()
        if pictures and used > max_bytes:
            warn(f"{len(paths) - len(pictures)} pictures left out: {max_bytes >> 20} MiB are full")
            break
        pictures[path] = picture
    if not pictures:
        raise TrainingError("no usable picture to train on")
    return pictures


class RandomCrops:
    """Random crops of clean pictures, in all eight orientations.

    Args:
        pictures: uint8 ``(C, H, W)`` each, at least ``patch`` on each side.
        patch: side of the square crops in pixels.
        batch: crops per call.
    """

    def __init__(self, pictures: Sequence[Tensor], *, patch: int, batch: int) -> None:
        self.pictures = list(pictures)
        self.patch = patch
        self.batch = batch

    def __call__(self, rng: torch.Generator, device: torch.device) -> Tensor:
        """Return float32 ``(B, C, P, P)`` in [0, 1] on ``device``."""
        crops = [
            _oriented(_crop(self.pictures[index], place, self.patch), orientation)
            for index, place, orientation in _draw(rng, len(self.pictures), self.batch)
        ]
        return torch.stack(crops).to(device).float().div_(255)


class GaussianNoise:
    """Clean crops plus white Gaussian noise, its level uniform in ``sigma_range`` (of [0, 1])."""

    def __init__(self, crops: RandomCrops, *, sigma_range: tuple[float, float]) -> None:
        self.crops = crops
        self.sigma_range = sigma_range

    def __call__(self, rng: torch.Generator, device: torch.device) -> Batch:
        """Draw one batch; everything random comes from ``rng``."""
        clean = self.crops(rng, device)
        low, high = self.sigma_range
        sigma = (low + (high - low) * torch.rand(len(clean), generator=rng)).to(device)
        noise = torch.randn(clean.shape, generator=rng).to(device)
        return Batch(noisy=clean + noise * sigma[:, None, None, None], clean=clean, sigma=sigma)


class PairedCrops:
    """The same random crops from noisy pictures and their clean counterparts.

    Args:
        pairs: uint8 ``(C, H, W)`` (noisy, clean) of equal shape.
        patch: side of the square crops in pixels.
        batch: crops per call.
    """

    def __init__(self, pairs: Sequence[tuple[Tensor, Tensor]], *, patch: int, batch: int) -> None:
        self.pairs = list(pairs)
        self.patch = patch
        self.batch = batch

    def __call__(self, rng: torch.Generator, device: torch.device) -> Batch:
        """Draw one batch; sigma is the standard deviation of each crop's own difference."""
        noisy: list[Tensor] = []
        clean: list[Tensor] = []
        for index, place, orientation in _draw(rng, len(self.pairs), self.batch):
            for crops, picture in zip((noisy, clean), self.pairs[index], strict=True):
                crops.append(_oriented(_crop(picture, place, self.patch), orientation))
        noisy_crops = torch.stack(noisy).to(device).float().div_(255)
        clean_crops = torch.stack(clean).to(device).float().div_(255)
        sigma = (noisy_crops - clean_crops).flatten(1).std(dim=1)
        return Batch(noisy=noisy_crops, clean=clean_crops, sigma=sigma)


def _draw(
    rng: torch.Generator, pictures: int, batch: int
) -> list[tuple[int, tuple[float, float], int]]:
    """Return picture index, place as fractions of the free range, and orientation per crop."""
    indices = torch.randint(pictures, (batch,), generator=rng).tolist()
    places = torch.rand((batch, 2), generator=rng, dtype=torch.float64).tolist()
    orientations = torch.randint(8, (batch,), generator=rng).tolist()
    return [
        (index, (y, x), orientation)
        for index, (y, x), orientation in zip(indices, places, orientations, strict=True)
    ]


def _crop(picture: Tensor, place: tuple[float, float], patch: int) -> Tensor:
    top, left = (
        int(fraction * (size - patch + 1))
        for fraction, size in zip(place, picture.shape[1:], strict=True)
    )
    return picture[:, top : top + patch, left : left + patch]


def _oriented(crop: Tensor, orientation: int) -> Tensor:
    rotated = torch.rot90(crop, orientation % 4, dims=(1, 2))
    return rotated.flip(2) if orientation >= 4 else rotated
