"""Noisy pictures to learn from: read, brought to one range, and grouped by scene."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.batch.inputs import pictures_in
from restore.denoise.noisy_recipe import AUTO
from restore.denoise.sample_range import SampleRange, kind_of
from restore.errors import InputError, TrainingError
from restore.image.colour import REC601_LUMA
from restore.image.decode import decode_all
from restore.image.fill import filled
from restore.image.gray import is_gray_as_rgb
from restore.image.picture import Picture
from restore.image.stack import Stack
from restore.noise.correlation import NoiseCorrelation, measure_correlation
from restore.training.crops import MOST_BYTES

__all__ = ["NoisyPictures", "as_floats", "open_noisy_pictures"]

_MOST_UNKNOWN = 0.5
_MOST_MEASURED = 24
_BLOCK = 8
_SAME_SCENE = 0.95


@dataclass(frozen=True, kw_only=True)
class NoisyPictures:
    """Noisy pictures in memory.

    Attributes:
        scenes: frames of each scene, ``(C, H, W)`` each: uint8, or float32 in the range.
        method: one of ``METHODS``.
        channels: 1 gray, 3 colour.
        samples: range of the samples.
        correlation: correlation of the noise.
    """

    scenes: list[list[Tensor]]
    method: str
    channels: int
    samples: SampleRange
    correlation: NoiseCorrelation

    @property
    def pictures(self) -> int:
        """Number of pictures."""
        return sum(map(len, self.scenes))


def open_noisy_pictures(
    folders: Sequence[Path],
    *,
    method: str,
    channels: int,
    patch: int,
    warn: Callable[[str], None],
) -> NoisyPictures:
    """Read noisy pictures of one kind, and choose how to learn from them.

    Args:
        folders: folders (trees); those with several frames of one scene, and nothing else, are
            bursts.
        method: one of ``METHODS``, or auto.
        channels: 1 gray, 3 colour; 0 for colour unless all pictures are gray.
        patch: side of the crops in pixels; smaller pictures are left out.
        warn: called with one line about what was found, and about everything left out.

    Raises:
        TrainingError: nothing usable is left.
        UsageError: there is no such folder.
    """
    read = _read(folders, patch, warn)
    channels = channels or max(picture.channels for picture in read.values())
    fitting = {}
    for path, picture in read.items():
        if picture.channels < channels:
            warn(f"{path}: gray, and the network is for colour; left out")
        else:
            fitting[path] = _reduced(picture, channels)
    samples = SampleRange.of(list(fitting.values()))
    frames = {path: _normalised(picture, samples) for path, picture in fitting.items()}
    shown = list(frames.values())[:: max(1, len(frames) // _MOST_MEASURED)]
    correlation = measure_correlation(map(as_floats, shown))
    if not correlation.blocks and method == AUTO:
        warn("the pictures are too small or too clipped to measure how their noise is correlated")
    bursts = _bursts(frames, stacks=method == "bursts")
    if method == AUTO:
        method = "bursts" if bursts else "neighbours" if correlation.is_white else "blind-spot"
    scenes = bursts if method == "bursts" else [[frame] for frame in frames.values()]
    if not scenes:
        raise TrainingError(
            "no folder holds several frames of one scene and size; --method bursts needs them"
        )
    if unused := len(frames) - sum(map(len, scenes)):
        warn(f"{unused} pictures are no frames of a burst; left out")
    warn(f"noise: {correlation}; learned by {_SENTENCES[method]}")
    return NoisyPictures(
        scenes=scenes,
        method=method,
        channels=channels,
        samples=samples,
        correlation=correlation,
    )


_SENTENCES = {
    "neighbours": "predicting pixels from their neighbours (Neighbor2Neighbor)",
    "blind-spot": "predicting masked pixels (Noise2Void)",
    "bursts": "predicting one frame of a burst from another (Noise2Noise)",
}


def as_floats(frame: Tensor) -> NDArray[np.float32]:
    """Return a frame with samples from 0 to 1."""
    floats: NDArray[np.float32] = frame.numpy().astype(np.float32)
    return floats / np.float32(255) if frame.dtype == torch.uint8 else floats


def _read(folders: Sequence[Path], patch: int, warn: Callable[[str], None]) -> dict[Path, Picture]:
    """Return pictures of the kind of the first one, up to the limit on memory.

    Planes of a stack have their number behind its path.
    """
    read: dict[Path, Picture] = {}
    used, kind = 0, ""
    for path, picture in _planes(folders, warn):
        if min(picture.height, picture.width) < patch:
            warn(f"{path}: smaller than the {patch}-pixel crops of --patch; left out")
            continue
        kind = kind or kind_of(picture)
        if kind_of(picture) != kind:
            warn(f"{path}: {_said(kind_of(picture))}, the first one {_said(kind)}; left out")
            continue
        if picture.is_float and not np.isfinite(picture.pixels).mean() > _MOST_UNKNOWN:
            warn(f"{path}: most samples are not finite; left out")
            continue
        used += picture.pixels.nbytes
        if read and used > MOST_BYTES:
            warn(f"{path} and all that follow are left out: {MOST_BYTES >> 20} MiB are full")
            break
        read[path] = picture
    if not read:
        raise TrainingError("no usable picture to train on")
    return read


def _planes(folders: Sequence[Path], warn: Callable[[str], None]) -> Iterator[tuple[Path, Picture]]:
    for path in (
        path for folder in folders for path in pictures_in(folder, recursive=True, warn=warn)
    ):
        try:
            found = decode_all(path)
        except InputError as error:
            warn(f"{error}; left out")
            continue
        if isinstance(found, Stack):
            for index, plane in enumerate(found.planes):
                yield path / str(index), _gray_if_gray(plane)
        else:
            yield path, _gray_if_gray(found)


def _gray_if_gray(picture: Picture) -> Picture:
    return replace(picture, pixels=picture.pixels[:1]) if is_gray_as_rgb(picture) else picture


def _said(kind: str) -> str:
    return "floating point" if kind == "float" else f"of {kind} bits"


def _reduced(picture: Picture, channels: int) -> Picture:
    """Return a picture with as many channels as the network, or more."""
    if picture.channels == channels:
        return picture
    pixels = np.tensordot(REC601_LUMA, picture.pixels, axes=1)[None].astype(np.float32)
    return replace(picture, pixels=pixels)


def _normalised(picture: Picture, samples: SampleRange) -> Tensor:
    pixels = picture.pixels
    if samples.kind == "8":
        return torch.from_numpy(np.rint(pixels * 255).astype(np.uint8))
    pixels = (pixels - np.float32(samples.black)) / np.float32(samples.white - samples.black)
    known = np.isfinite(pixels)
    if not known.all():
        pixels = filled(np.where(known, pixels, np.float32(0)), known)
    return torch.from_numpy(pixels)


def _bursts(frames: dict[Path, Tensor], *, stacks: bool) -> list[list[Tensor]]:
    """Return the frames of each folder that shows one scene; none if a folder shows several.

    Args:
        frames: all frames by their paths.
        stacks: whether planes of a stack may be frames, as of a time series; those of others lie
            at different depths and only look alike.
    """
    bursts = []
    by_folder = sorted(frames, key=lambda path: (path.parent, path))
    for folder, paths in groupby(by_folder, key=lambda path: path.parent):
        own = [frames[path] for path in paths]
        if len(own) == 1 or (folder.is_file() and not stacks):
            continue
        if not all(_is_same_scene(own[0], other) for other in own[1:]):
            return []
        bursts.append(own)
    return bursts


def _is_same_scene(one: Tensor, other: Tensor) -> bool:
    """Return whether the means of blocks are alike but for noise."""
    if one.shape != other.shape:
        return False
    means = []
    for frame in (one, other):
        blocks = torch.nn.functional.avg_pool2d(frame.float(), _BLOCK)
        means.append((blocks - blocks.mean()).flatten())
    first, second = means
    return float(first @ second) > _SAME_SCENE * float(first.norm() * second.norm())
