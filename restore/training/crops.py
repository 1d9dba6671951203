"""Batches of random crops, cut from pictures that are kept as uint8."""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.arguments import argument
from restore.batch.inputs import pictures_in
from restore.checks import checked_whole
from restore.errors import InputError, UsageError
from restore.image.colour import REC601_LUMA, linear_to_srgb
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.image.tone import tone_of
from restore.noise.jpeg import luma_and_chroma
from restore.training.picture_store import PictureStore, Samples
from restore.training.state import Randomness

__all__ = [
    "LumaCrops",
    "RandomCrops",
    "areas_of",
    "centre",
    "check_crops_fit",
    "crops_of",
    "cut",
    "draw_places",
    "load_pictures",
    "oriented",
]

log = logging.getLogger("restore")

_WHITE_SHARE = 0.01


def load_pictures(
    paths: Sequence[Path],
    *,
    channels: int,
    least_size: int,
    store: PictureStore,
    warn: Callable[[str], None],
) -> dict[Path, Samples]:
    """Decode pictures to uint8 ``(C, H, W)``, and keep them in ``store``.

    Colour becomes luma for a gray network; gray pictures are left out for a colour network.
    Pictures in linear light are exposed so that one sample in a hundred is white.
    Unusable pictures are reported through ``warn`` and left out.

    Raises:
        TrainingError: nothing usable is left.
    """
    kind = f"crops of {channels} channels in 8 bits"

    def keep(path: Path) -> Samples:
        (picture,) = store.kept([path], kind, lambda: [_prepared(path, channels, least_size)])
        check_crops_fit(path, picture.shape, least_size)  # a cached one may be for smaller crops
        return picture

    return store.gathered(paths, keep, warn)


def _prepared(path: Path, channels: int, least_size: int) -> NDArray[np.uint8]:
    pixels = _exposed(decode(path))
    check_crops_fit(path, pixels.shape, least_size)
    if len(pixels) < channels:
        raise InputError(f"{path}: gray, and the network is for colour")
    if channels == 1 and len(pixels) == len(REC601_LUMA):
        pixels = np.tensordot(REC601_LUMA, pixels, axes=1)[None]
    codes: NDArray[np.uint8] = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
    return codes


def check_crops_fit(path: Path, shape: Sequence[int], least_size: int) -> None:
    """Refuse a picture ``(..., H, W)`` that is smaller than the crops.

    Raises:
        InputError: a side has fewer than ``least_size`` pixels.
    """
    if min(shape[-2:]) < least_size:
        raise InputError(
            f"{path}: smaller than the crops of {least_size} pixels ({argument('patch')})"
        )


def _exposed(picture: Picture) -> NDArray[np.float32]:
    """Return pixels encoded as sRGB."""
    if picture.transfer is not Transfer.LINEAR:
        tone = tone_of(picture)
        return picture.pixels if tone is None else tone.encoded(picture.pixels)
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

    def __init__(self, pictures: Sequence[Samples], *, patch: int, batch: int) -> None:
        self.pictures = list(pictures)
        self.patch = patch
        self.batch = batch
        self.channels = self.pictures[0].shape[0]
        self.largest = min(min(picture.shape[1:]) for picture in self.pictures)
        self._areas = areas_of(self.pictures)

    def __call__(
        self, rng: Randomness, *, count: int | None = None, side: int | None = None
    ) -> Tensor:
        """Return float32 ``(B, C, P, P)`` in [0, 1] on the run's device.

        Args:
            rng: random generators of the run.
            count: number of crops, if not ``batch``.
            side: side of the crops in pixels, if not ``patch``; at most ``largest``.
        """
        crops = [
            oriented(cut(self.pictures[index], place, side or self.patch), orientation)
            for index, place, orientation in draw_places(rng.host, self._areas, count or self.batch)
        ]
        return rng.moved(torch.stack(crops)).float().div_(255)


def crops_of(
    folder: str | Path,
    *,
    patch: int,
    batch: int,
    channels: int = 3,
    warn: Callable[[str], None] = log.warning,
) -> RandomCrops:
    """Return random crops of all pictures below a folder; see ``load_pictures``.

    Args:
        folder: where they lie.
        patch: side of the square crops in pixels.
        batch: crops per call.
        channels: 3 for colour, 1 for luma.
        warn: called with one line about everything left out.

    Raises:
        UsageError: no such folder, no picture in it, or crops that cannot be.
        TrainingError: none that can be used.
    """
    checked_whole("patch", patch, 1, 2**20)
    checked_whole("batch", batch, 1, 2**20)
    if channels not in (1, 3):
        raise UsageError(f"channels {channels!r:.80}: give 1 or 3")
    paths = pictures_in(Path(folder), recursive=True, warn=warn)
    found = load_pictures(
        paths, channels=channels, least_size=patch, store=PictureStore(), warn=warn
    )
    return RandomCrops([*found.values()], patch=patch, batch=batch)


class LumaCrops(RandomCrops):
    """The luma of random crops of colour pictures, for gray networks.

    Args:
        colour: draws the colour crops; used directly where their colours are needed.
    """

    def __init__(self, colour: RandomCrops) -> None:
        super().__init__(colour.pictures, patch=colour.patch, batch=colour.batch)
        self.channels = 1
        self.colour = colour

    def __call__(
        self, rng: Randomness, *, count: int | None = None, side: int | None = None
    ) -> Tensor:
        """Return float32 ``(B, 1, P, P)`` in [0, 1]; see ``RandomCrops``."""
        luma, _ = luma_and_chroma(self.colour(rng, count=count, side=side))
        return luma


def areas_of(pictures: Sequence[Samples]) -> Tensor:
    return torch.tensor([math.prod(each.shape[1:]) for each in pictures], dtype=torch.float64)


def draw_places(
    rng: torch.Generator, areas: Tensor, batch: int
) -> list[tuple[int, tuple[float, float], int]]:
    """Return per crop its picture's index, place (fractions of the free range) and orientation."""
    indices = torch.multinomial(areas, batch, replacement=True, generator=rng).tolist()
    places = torch.rand((batch, 2), generator=rng, dtype=torch.float64).tolist()
    orientations = torch.randint(8, (batch,), generator=rng).tolist()
    return [
        (index, (y, x), orientation)
        for index, (y, x), orientation in zip(indices, places, orientations, strict=True)
    ]


def cut(picture: Samples, place: tuple[float, float], patch: int) -> Tensor:
    top, left = (
        int(fraction * (size - patch + 1))
        for fraction, size in zip(place, picture.shape[1:], strict=True)
    )
    return picture[:, top : top + patch, left : left + patch]


def oriented(crop: Tensor, orientation: int) -> Tensor:
    rotated = torch.rot90(crop, orientation % 4, dims=(1, 2))
    return rotated.flip(2) if orientation >= 4 else rotated


_VALIDATION_CROP = 160


def centre(picture: Samples, multiple: int) -> Tensor:
    """Return the centre square of ``picture``, its side a multiple of ``multiple`` if possible."""
    least = min(picture.shape[1:])
    most = max(multiple, _VALIDATION_CROP // multiple * multiple)
    side = min(most, least - least % multiple or least)
    top, left = (picture.shape[1] - side) // 2, (picture.shape[2] - side) // 2
    return picture[:, top : top + side, left : left + side]
