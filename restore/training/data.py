"""Batches of random crops, cut from pictures that are kept in memory as bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.errors import InputError, TrainingError
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.image.primaries import REC601_LUMA
from restore.image.transfer import linear_to_srgb
from restore.training.randomness import Randomness

__all__ = ["Batch", "PairedCrops", "RandomCrops", "load_pictures"]

_WHITE_SHARE = 0.01


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

    @property
    def inputs(self) -> tuple[Tensor, Tensor]:
        """What a denoiser is called with."""
        return self.noisy, self.sigma

    @property
    def shown(self) -> Tensor:
        """The noisy crops as pictures."""
        return self.noisy.clamp(0, 1)


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
    Pictures in linear light are exposed so that one sample in a hundred is white.
    What cannot be used is named through ``warn`` and left out.

    Raises:
        TrainingError: nothing usable is left.
    """
    pictures: dict[Path, Tensor] = {}
    used = 0
    for path in paths:
        try:
            pixels = _exposed(decode(path))
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
            pixels = np.tensordot(REC601_LUMA, pixels, axes=1)[None]
        picture = torch.from_numpy(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
        used += picture.numel()
        if pictures and used > max_bytes:
            warn(f"{len(paths) - len(pictures)} pictures left out: {max_bytes >> 20} MiB are full")
            break
        pictures[path] = picture
    if not pictures:
        raise TrainingError("no usable picture to train on")
    return pictures


def _exposed(picture: Picture) -> NDArray[np.float32]:
    """Return gamma-encoded pixels."""
    if picture.transfer is not Transfer.LINEAR:
        return picture.pixels
    light = np.nan_to_num(picture.pixels, nan=0.0, posinf=0.0, neginf=0.0)
    white = np.float32(np.quantile(light, 1 - _WHITE_SHARE))
    return linear_to_srgb(light / white if white > 0 else light)


class RandomCrops:
    """Random crops of clean pictures, in all eight orientations; every place is equally likely.

    Args:
        pictures: uint8 ``(C, H, W)`` each, at least ``patch`` on each side.
        patch: side of the square crops in pixels.
        batch: crops per call.
    """

    def __init__(self, pictures: Sequence[Tensor], *, patch: int, batch: int) -> None:
        self.pictures = list(pictures)
        self.patch = patch
        self.batch = batch
        self.largest = min(min(picture.shape[1:]) for picture in self.pictures)
        self._areas = _areas(self.pictures)

    def __call__(
        self, rng: Randomness, *, count: int | None = None, side: int | None = None
    ) -> Tensor:
        """Return float32 ``(B, C, P, P)`` in [0, 1] on the run's device.

        Args:
            rng: of the run.
            count: other than ``batch``.
            side: other than ``patch``, at most ``largest``.
        """
        crops = [
            _oriented(_crop(self.pictures[index], place, side or self.patch), orientation)
            for index, place, orientation in _draw(rng.host, self._areas, count or self.batch)
        ]
        return rng.moved(torch.stack(crops)).float().div_(255)


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
        self._areas = _areas([clean for _, clean in self.pairs])

    def __call__(self, rng: Randomness) -> Batch:
        """Draw one batch; sigma is the standard deviation of each crop's own difference."""
        noisy: list[Tensor] = []
        clean: list[Tensor] = []
        for index, place, orientation in _draw(rng.host, self._areas, self.batch):
            for crops, picture in zip((noisy, clean), self.pairs[index], strict=True):
                crops.append(_oriented(_crop(picture, place, self.patch), orientation))
        noisy_crops, clean_crops = (
            rng.moved(torch.stack(crops)).float().div_(255) for crops in (noisy, clean)
        )
        sigma = (noisy_crops - clean_crops).flatten(1).std(dim=1)
        return Batch(noisy=noisy_crops, clean=clean_crops, sigma=sigma)


def _areas(pictures: Sequence[Tensor]) -> Tensor:
    return torch.tensor([picture[0].numel() for picture in pictures], dtype=torch.float64)


def _draw(
    rng: torch.Generator, areas: Tensor, batch: int
) -> list[tuple[int, tuple[float, float], int]]:
    """Return picture index, place as fractions of the free range, and orientation per crop."""
    indices = torch.multinomial(areas, batch, replacement=True, generator=rng).tolist()
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
