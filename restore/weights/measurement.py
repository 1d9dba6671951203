"""How the networks of a task are measured, and the clean pictures that they are measured on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from restore.errors import UsageError
from restore.image.colour import REC601_LUMA
from restore.image.decode import decode
from restore.image.picture import Picture, Transfer
from restore.weights.file import weights_folder
from restore.weights.store import Network, Weights
from restore.weights.task import Task

__all__ = [
    "Example",
    "Measurement",
    "crops_for",
    "levels_of",
    "measurement_of",
    "measuring_crops",
    "multiple_for",
]

_CROP = 192
_LEAST_CROP = 32


def _unchanged(result: Tensor) -> Tensor:
    return result


@dataclass(frozen=True)
class Example:
    """A network's inputs and the expected result ``clean``, ``(C, H, W)``.

    ``seen`` maps the network's result and ``clean`` to [0, 1], where they are compared.
    """

    inputs: tuple[Tensor, ...]
    clean: Tensor
    seen: Callable[[Tensor], Tensor] = _unchanged


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How weights are measured.

    Attributes:
        levels: default levels of degradation.
        name_of: returns a level as it is written in weight files.
        example: makes an example for the weights from a clean picture ``(C, H, W)``, a level and a
            seed.
        scale: output pixels per input pixel, in each direction.
        channels: channels of the clean pictures; None for those of the network.
    """

    levels: tuple[float, ...]
    name_of: Callable[[float], str]
    example: Callable[[Weights, Tensor, float, int], Example]
    scale: int = 1
    channels: int | None = None


def measurement_of(weights: Weights, task: Task) -> Measurement:
    """Return how ``weights`` are measured.

    Raises:
        UsageError: the weights cannot be measured: the network restores no pictures, or its
            expected results depend on the camera.
    """
    measurement = task.measurement_of(weights)
    if measurement is None:
        raise UsageError(f"{weights.name}: there is no reference to measure its results against")
    return measurement


def levels_of(weights: Weights, task: Task, levels: Sequence[float] | None = None) -> list[str]:
    """Return the names of the levels that ``weights`` are measured at, or an empty list."""
    measurement = task.measurement_of(weights)
    if measurement is None:
        return []
    return [measurement.name_of(level) for level in levels or measurement.levels]


def multiple_for(weights: Weights, task: Task, network: nn.Module) -> int:
    """Return the multiple for the sides of the pictures that a network is measured on."""
    measurement = task.measurement_of(weights)
    return cast(Network, network).multiple * (measurement.scale if measurement else 1)


def crops_for(
    weights: Weights, task: Task, network: nn.Module, paths: Sequence[Path] | None = None
) -> list[Tensor]:
    """Return ``measuring_crops`` with the channels and of sizes that fit a network."""
    measurement = task.measurement_of(weights)
    channels = (measurement.channels if measurement else None) or weights.channels
    return measuring_crops(channels, multiple_for(weights, task, network), paths)


def measuring_crops(
    channels: int, multiple: int = 1, paths: Sequence[Path] | None = None
) -> list[Tensor]:
    """Return the centres of pictures, at most 192x192, as ``(C, H, W)``.

    Args:
        channels: 1 turns colour pictures into luma, 3 repeats gray ones.
        multiple: height and width are cut to multiples of this.
        paths: clean, gamma-encoded pictures; None for the four that come with the package.

    Raises:
        UsageError: no pictures, or one that is too small.
        InputError: one cannot be read.
    """
    if paths is None:
        folder = weights_folder() / "measure"
        paths = sorted(folder.glob("*.png"))
        if not paths:
            raise UsageError(f"{folder}: no pictures to measure on")
    return [_centre(decode(path), path, channels, multiple) for path in paths]


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
