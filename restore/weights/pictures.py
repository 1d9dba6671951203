"""On what networks are measured: clean pictures, and what each task makes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from restore.batch.inputs import find_pictures
from restore.dark.darkening import darkened
from restore.errors import UsageError
from restore.hdr.metrics import mu_law
from restore.hdr.optics.brightening import brightened
from restore.hdr.optics.sensor import Sensor, blurred, expose
from restore.image.codecs import PICTURE_SUFFIXES
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.image.primaries import REC601_LUMA
from restore.models.optical_element import psf_of
from restore.noise.awgn import add_gaussian_noise
from restore.weights.store import Network, Weights, weights_folder

__all__ = [
    "RATIOS",
    "SATURATED",
    "SIGMAS",
    "Example",
    "Measuring",
    "levels_of",
    "measuring_of",
    "measuring_pictures",
    "multiple_for",
    "needed_measuring_of",
    "pictures_for",
]

SIGMAS = (5.0, 15.0, 25.0, 50.0)
"""Noise levels of the measurement of denoisers, of 255."""

RATIOS = (1.0, 10.0, 100.0, 300.0)
"""Amplifications of the measurement of learned image signal processors."""

SATURATED = (0.01, 0.02)
"""Shares of the pixels above white in the measurement of networks for high dynamic range."""

_CROP = 192
_LEAST_CROP = 32
_DARK_CAMERA = "Nikon D850"


def _as_it_is(result: Tensor) -> Tensor:
    return result


@dataclass(frozen=True)
class Example:
    """A network's inputs and, as ``(C, H, W)``, what it should make of them.

    Both are compared as ``seen`` maps them to [0, 1].
    """

    inputs: tuple[Tensor, ...]
    clean: Tensor
    seen: Callable[[Tensor], Tensor] = _as_it_is


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How the networks of one task are measured.

    Attributes:
        levels: of difficulty, unless others are asked for.
        name_of: a level as it is written in weight files.
        example: makes an example for the weights from a clean picture ``(C, H, W)``, a level and a
            seed.
        scale: pixels of a result for each that the network takes, along a side.
    """

    levels: tuple[float, ...]
    name_of: Callable[[float], str]
    example: Callable[[Weights, Tensor, float, int], Example]
    scale: Callable[[Weights], int] = lambda _: 1


def measuring_of(weights: Weights) -> Measuring | None:
    """Return how ``weights`` are measured, None where that cannot be done.

    It cannot for networks that make finished pictures of RAW files, because nobody knows how these
    should look, nor for those that restore nothing.
    """
    if weights.task == "dark-enhance" and weights.config.head == "srgb":
        return None
    return _BY_TASK.get(weights.task)


def needed_measuring_of(weights: Weights) -> Measuring:
    """Return how ``weights`` are measured.

    Raises:
        UsageError: that cannot be done, see ``measuring_of``.
    """
    measuring = measuring_of(weights)
    if measuring is None:
        raise UsageError(f"{weights.name}: nobody knows what it should make of pictures")
    return measuring


def levels_of(weights: Weights, levels: Sequence[float] | None = None) -> list[str]:
    """Return the names of the levels that ``weights`` are measured at, none if they are not."""
    measuring = measuring_of(weights)
    return [measuring.name_of(level) for level in levels or measuring.levels] if measuring else []


def measuring_pictures(
    channels: int, multiple: int = 1, folder: Path | None = None, most: int | None = None
) -> list[Tensor]:
    """Return the centres of the pictures in ``folder``, at most 192x192, as ``(C, H, W)``.

    Args:
        channels: 1 turns colour pictures into luma, 3 repeats gray ones.
        multiple: height and width are cut to multiples of this.
        folder: clean, gamma-encoded pictures; None for the four that come with the package.
        most: of more pictures so many, evenly spread; None for all.

    Raises:
        UsageError: no pictures there, or one that is too small.
        InputError: one cannot be read.
    """
    folder = folder or weights_folder() / "measure"
    found, _ = find_pictures([str(folder)], recursive=False, output=None, suffixes=PICTURE_SUFFIXES)
    paths = sorted(one.source for one in found if one.source is not None)
    if not folder.is_dir() or not paths:
        raise UsageError(f"{folder}: no pictures to measure on")
    if most is not None and len(paths) > most:
        paths = [paths[index * len(paths) // most] for index in range(most)]
    return [_centre(decode(path), path, channels, multiple) for path in paths]


def multiple_for(weights: Weights, network: nn.Module) -> int:
    """Return what the sides of the pictures that a network is measured on are multiples of."""
    measuring = measuring_of(weights)
    return cast(Network, network).multiple * (measuring.scale(weights) if measuring else 1)


def pictures_for(
    weights: Weights, network: nn.Module, folder: Path | None = None, most: int | None = None
) -> list[Tensor]:
    """Return ``measuring_pictures`` with the channels and of sizes that fit a network."""
    multiple = multiple_for(weights, network)
    return measuring_pictures(weights.channels, multiple, folder, most)


def _centre(picture: Picture, path: Path, channels: int, multiple: int) -> Tensor:
    if picture.transfer is Transfer.LINEAR:
        raise UsageError(f"{path}: linear light; measuring needs gamma-encoded pictures")
    side = min(_CROP, picture.height, picture.width) // multiple * multiple
    if side < max(_LEAST_CROP, multiple):
        raise UsageError(f"{path}: too small to measure on")
    top, left = (picture.height - side) // 2, (picture.width - side) // 2
    pixels = torch.from_numpy(picture.pixels[:, top : top + side, left : left + side].copy())
    if picture.channels == channels:
        return pixels
    if channels == 1:
        return (pixels * torch.from_numpy(REC601_LUMA)[:, None, None]).sum(dim=0, keepdim=True)
    return pixels.expand(channels, -1, -1).contiguous()


def _noisy(_weights: Weights, clean: Tensor, sigma: float, seed: int) -> Example:
    noise = add_gaussian_noise(clean.numpy(), sigma / 255, seed=seed)
    return Example((torch.from_numpy(noise)[None], torch.tensor([sigma / 255])), clean)


def _dark(weights: Weights, clean: Tensor, ratio: float, seed: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    side = 2 if weights.config.planes == 4 else 6
    dark = darkened(clean[None], [_DARK_CAMERA], (ratio, ratio), generator, side=side)
    return Example(dark.inputs, dark.clean[0])


def _saturated(weights: Weights, clean: Tensor, share: float, seed: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    scene = expose(brightened(clean, generator)[None], torch.tensor([share]))
    psf = psf_of(weights.tensors)
    capture = Sensor()(scene if psf is None else blurred(scene, psf))
    return Example((capture,), scene[0], lambda light: mu_law(light.clamp(min=0)))


_BY_TASK: Mapping[str, Measuring] = {
    "denoise": Measuring(levels=SIGMAS, name_of=lambda sigma: f"{sigma:g}", example=_noisy),
    "dark-enhance": Measuring(
        levels=RATIOS,
        name_of=lambda ratio: f"x{ratio:g}",
        example=_dark,
        scale=lambda weights: int(weights.config.scale),
    ),
    "hdr": Measuring(
        levels=SATURATED,
        name_of=lambda share: f"{100 * share:.3g}% saturated",
        example=_saturated,
    ),
}
