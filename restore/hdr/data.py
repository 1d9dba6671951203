"""Scenes of high dynamic range: views into panoramas, HDR pictures, and brightened photographs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from restore.batch.inputs import pictures_in
from restore.errors import InputError
from restore.hdr.lights import brightened, linearised, uniform
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.training.crops import check_crops_fit
from restore.training.picture_store import PictureStore, Samples

__all__ = ["SURFACE_SHARES", "Library", "Scenes", "open_library", "view", "wrapped"]

_FOV_DEGREES = (40.0, 100.0)
_PITCH_DEGREES = 60.0
_ROLL_DEGREES = 10.0
_PROPOSAL = 24
_PROPOSALS = 2
_TINT = 0.2
_SHARE_OF_HDR = 0.75
_LARGEST = 65_000.0
_HOLD_OUT = 8
_SURFACE_PROPOSALS = 6
_BRIGHT, _CLIPPED = 180, 252
_MOST_CLIPPED = 0.002

SURFACE_SHARES = (0.03, 0.6)
"""Range of the share of the pixels above white where surfaces are overexposed."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """Pictures to cut scenes from.

    Attributes:
        panoramas: float32 ``(3, H, 2 H + 2)``, linear, all around; see ``wrapped``.
        pictures: float32 ``(3, H, W)``, linear, of high dynamic range.
        photographs: uint8 ``(3, H, W)``, sRGB.
        paths: files of all of them.
    """

    panoramas: Sequence[Samples] = ()
    pictures: Sequence[Samples] = ()
    photographs: Sequence[Samples] = ()
    paths: Sequence[Path] = ()

    def __len__(self) -> int:
        """Return the number of pictures of all kinds."""
        return len(self.panoramas) + len(self.pictures) + len(self.photographs)

    def split(self) -> tuple["Library", "Library"]:
        """Return a training and a validation library: every eighth panorama and HDR picture.

        Photographs, whose highlights are synthetic, validate only where there is nothing else.
        """
        photographs = [self.photographs, ()]
        if not (self.panoramas or self.pictures):
            photographs = [_every(self.photographs, kept) for kept in (False, True)]
        parts = [
            Library(
                panoramas=_every(self.panoramas, kept), pictures=_every(self.pictures, kept),
                photographs=photographs[kept],
            )
            for kept in (False, True)
        ]  # fmt: skip
        if not len(parts[1]):
            return self, self
        return (parts[0] if len(parts[0]) else parts[1]), parts[1]


def open_library(
    folders: Sequence[Path],
    *,
    least_size: int,
    store: PictureStore,
    warn: Callable[[str], None],
) -> Library:
    """Read the pictures of folders and their subfolders, and keep them in ``store``.

    Linear pictures that are twice as wide as high are taken for panoramas, other linear pictures
    for ordinary HDR pictures, and all else for photographs, whose highlights are synthesised.

    Args:
        folders: trees of pictures.
        least_size: side in pixels that scenes will have; smaller pictures are left out.
        store: where they are kept.
        warn: called with one line about everything left out.

    Raises:
        UsageError: no such folder, or no pictures in it.
        TrainingError: nothing usable is left.
    """
    paths = [path for folder in folders for path in pictures_in(folder, recursive=True, warn=warn)]

    def keep(path: Path) -> tuple[Samples, int]:
        picture, kind = store.kept([path], "scene in colour", lambda: _prepared(path, least_size))
        code = int(kind[:][0])
        if code != _PANORAMA:  # a cached one may be for smaller scenes
            check_crops_fit(path, picture.shape, least_size)
        return picture, code

    found = store.gathered(paths, keep, warn)
    panoramas, pictures, photographs = (
        [picture for picture, code in found.values() if code == kind]
        for kind in (_PANORAMA, _PICTURE, _PHOTOGRAPH)
    )
    return Library(
        panoramas=panoramas, pictures=pictures, photographs=photographs, paths=list(found)
    )


_PANORAMA, _PICTURE, _PHOTOGRAPH = range(3)


def _prepared(path: Path, least_size: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return the samples of a picture, and its kind."""
    picture = decode(path)
    if picture.channels != 3:
        raise InputError(f"{path}: gray, and the network is for colour")
    is_hdr = picture.is_float and picture.transfer is Transfer.LINEAR
    kind = _PHOTOGRAPH
    if is_hdr:
        kind = _PANORAMA if picture.width == 2 * picture.height else _PICTURE
    if kind != _PANORAMA:
        check_crops_fit(path, picture.pixels.shape, least_size)
    if is_hdr:
        light = _light(picture)
        samples = wrapped(light) if kind == _PANORAMA else light
    else:
        samples = (torch.from_numpy(picture.pixels).clamp(0, 1) * 255).round().to(torch.uint8)
    return samples.numpy(), np.array([kind], np.uint8)


class Scenes:
    """Draws scenes: views of random direction and angle, or random crops, mirrored and tinted.

    Of a few proposals for every scene, the one with the brightest lights is taken: most directions
    contain nothing far above saturation.

    Some scenes show surfaces instead: photographs as they are, without lights, of which bright
    parts are taken that are not clipped (walls, clouds, snow, cloth, paper). Overexposed, they
    teach that what is white need not be a lamp.

    Args:
        library: Library to draw from.
        side: Side of the scenes in pixels.
        surfaces: Share of the scenes that show surfaces, if there are photographs.
    """

    def __init__(self, library: Library, *, side: int, surfaces: float = 0.0) -> None:
        self.library, self.side = library, side
        self.surfaces = surfaces if library.photographs else 0.0
        self._kinds = [
            (draw, weight)
            for pictures, draw, weight in (
                (library.panoramas, self._panorama, _SHARE_OF_HDR),
                (library.pictures, self._picture, _SHARE_OF_HDR),
                (library.photographs, self._photograph, 1 - _SHARE_OF_HDR),
            )
            if pictures
        ]

    def __call__(self, rng: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Return radiance in any unit, and which scenes show surfaces, both on the host.

        Returns:
            ``(count, 3, side, side)`` and bool ``(count,)``.
        """
        weights = torch.tensor([weight for _, weight in self._kinds])
        kinds = torch.multinomial(weights, count, replacement=True, generator=rng).tolist()
        is_surface = torch.rand(count, generator=rng) < self.surfaces
        scenes = []
        for kind, shows_surface in zip(kinds, is_surface.tolist(), strict=True):
            scene = self._surface(rng) if shows_surface else self._kinds[kind][0](rng)
            turned = scene.flip(2) if uniform(rng) < 0.5 else scene
            tint = 1 + _TINT * (2 * torch.rand((3, 1, 1), generator=rng) - 1)
            scenes.append(turned * tint)
        return torch.stack(scenes), is_surface

    def _panorama(self, rng: torch.Generator) -> Tensor:
        proposals = []
        for _ in range(_PROPOSALS):
            panorama = _pick(self.library.panoramas, rng)[:]
            direction = _direction(rng)
            rough = view(panorama, *direction, side=_PROPOSAL)
            proposals.append((_contrast(rough), panorama, direction))
        _, panorama, direction = max(proposals, key=lambda proposal: proposal[0])
        return view(panorama, *direction, side=self.side)

    def _picture(self, rng: torch.Generator) -> Tensor:
        crops = [_crop(_pick(self.library.pictures, rng), self.side, rng)]
        while len(crops) < _PROPOSALS:
            crops.append(_crop(_pick(self.library.pictures, rng), self.side, rng))
        return max(crops, key=_contrast)

    def _photograph(self, rng: torch.Generator) -> Tensor:
        crop = _crop(_pick(self.library.photographs, rng), self.side, rng)
        return brightened(crop.float() / 255, rng)

    def _surface(self, rng: torch.Generator) -> Tensor:
        crops = [
            _crop(_pick(self.library.photographs, rng), self.side, rng)
            for _ in range(_SURFACE_PROPOSALS)
        ]
        return linearised(max(crops, key=_unclipped_brightness).float() / 255)


def _light(picture: Picture) -> Tensor:
    pixels = torch.from_numpy(picture.pixels)
    return pixels.nan_to_num(0, _LARGEST, 0).clamp(0, _LARGEST)


def _every(items: Sequence[Samples], kept: bool) -> list[Samples]:
    return [item for index, item in enumerate(items) if (index % _HOLD_OUT == 0) == kept]


def _pick(items: Sequence[Samples], rng: torch.Generator) -> Samples:
    return items[int(torch.randint(len(items), (), generator=rng))]


def _direction(rng: torch.Generator) -> tuple[float, float, float, float]:
    yaw = uniform(rng, -math.pi, math.pi)
    pitch = math.radians(uniform(rng, -_PITCH_DEGREES, _PITCH_DEGREES))
    roll = math.radians(uniform(rng, -_ROLL_DEGREES, _ROLL_DEGREES))
    return yaw, pitch, roll, math.radians(uniform(rng, *_FOV_DEGREES))


def _crop(picture: Samples, side: int, rng: torch.Generator) -> Tensor:
    top, left = (int(uniform(rng) * (size - side + 1)) for size in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]


def _unclipped_brightness(crop: Tensor) -> float:
    """Return how much of a crop of codes is bright; less than 0 where too much is clipped.

    What a photograph itself clipped is of unknown light, and may be a lamp.
    """
    brightest = crop.amax(dim=0)
    clipped = float((brightest >= _CLIPPED).float().mean())
    return -clipped if clipped > _MOST_CLIPPED else float((brightest > _BRIGHT).float().mean())


def _contrast(scene: Tensor) -> float:
    """Return how far the brightest light lies above what will be white."""
    brightest = scene.amax(dim=0).flatten()
    white = brightest.kthvalue(max(1, round(0.98 * brightest.numel()))).values
    return float(brightest.max() / white.clamp(min=1e-9))


def view(
    panorama: Tensor, yaw: float, pitch: float, roll: float, fov: float, *, side: int
) -> Tensor:
    """Return what a camera without distortion sees in an equirectangular panorama.

    Args:
        panorama: ``(C, H, 2 H + 2)`` as ``wrapped`` returns it; the middle is straight ahead, the
            top above.
        yaw: Rotation to the right in radians.
        pitch: Rotation upwards in radians.
        roll: Clockwise rotation in radians.
        fov: Horizontal angle of view in radians.
        side: Side of the view in pixels.

    Returns:
        ``(C, side, side)``, bilinearly sampled.
    """
    along = (torch.arange(side, dtype=torch.float32) + 0.5) * (2 / side) - 1
    along = along * math.tan(fov / 2)
    right, up = along.expand(side, side), -along[:, None].expand(side, side)
    right, up = (
        right * math.cos(roll) - up * math.sin(roll),
        right * math.sin(roll) + up * math.cos(roll),
    )
    up, ahead = (
        up * math.cos(pitch) + math.sin(pitch),
        math.cos(pitch) - up * math.sin(pitch),
    )
    longitude = torch.atan2(right, ahead) + yaw
    latitude = torch.atan2(up, torch.hypot(right, ahead))
    width = panorama.shape[2] - 2
    turns = longitude / (2 * math.pi) + 0.5
    column = (turns - turns.floor()) * width + 1
    grid = torch.stack([2 * column / (width + 2) - 1, -2 * latitude / math.pi], dim=2)
    sampled = F.grid_sample(
        panorama[None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[0]


def wrapped(panorama: Tensor) -> Tensor:
    """Return a panorama padded by its last column on the left and its first on the right.

    Views across the seam are then as smooth as any.
    """
    return torch.cat([panorama[..., -1:], panorama, panorama[..., :1]], dim=-1)
