"""Noisy pictures to learn from: read, brought to one range, and grouped by scene."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.arguments import argument
from restore.batch.inputs import pictures_in
from restore.denoise.noisy_recipe import AUTO
from restore.denoise.sample_range import SampleRange, kind_of
from restore.errors import TrainingError
from restore.image.colour import REC601_LUMA
from restore.image.decode import decode_all
from restore.image.fill import filled
from restore.image.gray import is_gray_as_rgb
from restore.image.picture import Picture
from restore.image.stack import Stack
from restore.noise.by_signal import NoiseBySignal, measure_noise_by_signal
from restore.noise.correlation import MOST_REACH, NoiseCorrelation, measure_correlation
from restore.training.crops import check_crops_fit
from restore.training.picture_store import PictureStore, Samples, unstacked
from restore.words import counted

__all__ = ["NoisyPictures", "as_floats", "open_noisy_pictures"]

_MOST_UNKNOWN = 0.5
_MOST_MEASURED = 24
_BLOCK = 8
_SAME_SCENE = 0.95


@dataclass(frozen=True, kw_only=True)
class NoisyPictures:
    """Noisy pictures of one kind.

    Attributes:
        scenes: frames of each scene, ``(C, H, W)`` each: uint8, or float32 in the range.
        method: one of ``METHODS``.
        channels: 1 gray, 3 colour.
        samples: range of the samples.
        correlation: correlation of the noise.
        noise: strength of the noise of all pictures, for the method downscaled; else None.
        paths: files that they are from.
    """

    scenes: list[list[Samples]]
    method: str
    channels: int
    samples: SampleRange
    correlation: NoiseCorrelation
    noise: NoiseBySignal | None
    paths: list[Path]

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
    store: PictureStore,
    warn: Callable[[str], None],
) -> NoisyPictures:
    """Read noisy pictures of one kind, and choose how to learn from them.

    Args:
        folders: folders (trees); those with several frames of one scene, and nothing else, are
            bursts.
        method: one of ``METHODS``, or auto.
        channels: 1 gray, 3 colour; 0 for colour unless all pictures are gray.
        patch: side of the crops in pixels; smaller pictures are left out.
        store: where pictures are kept.
        warn: called with one line about what was found, and about everything left out.

    Raises:
        TrainingError: nothing usable is left.
        UsageError: there is no such folder.
    """
    paths = [path for folder in folders for path in pictures_in(folder, recursive=True, warn=warn)]

    def keep(path: Path) -> _Planes:
        return _kept(path, store, patch, as_gray=channels == 1)

    files = store.gathered(paths, keep, warn)
    fitting = _of_one_kind(files, channels, warn)
    if not fitting:
        raise TrainingError("no usable picture to train on")
    kind = next(iter(files.values())).kind
    known = (plane.known for plane in fitting.values())
    samples = SampleRange.of(kind, known, count=len(fitting))
    frames = {path: _in_range(plane.samples, samples) for path, plane in fitting.items()}
    shown = list(frames.values())[:: max(1, len(frames) // _MOST_MEASURED)]
    correlation = measure_correlation(map(as_floats, shown))
    bursts = _bursts(frames, stacks=method == "bursts")
    noise = None
    if method == "downscaled" or (method == AUTO and not bursts):
        variance = None if correlation.is_white else correlation.sigma**2
        noise = measure_noise_by_signal(map(as_floats, shown), variance=variance)
    if method == AUTO and bursts:
        method = "bursts"
    elif method == AUTO:
        method = _chosen(correlation, noise, warn)
    if method == "downscaled" and noise is None:
        raise TrainingError(
            "these pictures are too small or too clipped to measure their noise; use "
            f"{argument('method', 'neighbours')}"
        )
    scenes = bursts if method == "bursts" else [[frame] for frame in frames.values()]
    if not scenes:
        raise TrainingError(
            "no folder holds several frames of one scene and size; "
            f"{argument('method', 'bursts')} needs them"
        )
    if unused := len(frames) - sum(map(len, scenes)):
        warn(f"no frames of a burst: {counted(unused, 'picture')}, left out")
    strength = "" if noise is None else f", sigma {255 * noise.sigma:.3g} of 255"
    warn(f"noise: {correlation}{strength}; learned by {_SENTENCES[method]}")
    return NoisyPictures(
        scenes=scenes,
        method=method,
        channels=next(iter(frames.values())).shape[0],
        samples=samples,
        correlation=correlation,
        noise=noise if method == "downscaled" else None,
        paths=list(files),
    )


def _chosen(
    correlation: NoiseCorrelation, noise: NoiseBySignal | None, warn: Callable[[str], None]
) -> str:
    """Return the method that suits single pictures with such noise."""
    if not correlation.blocks:
        warn("the pictures are too small or too clipped to measure how their noise is correlated")
    elif noise is None:
        warn("the pictures are too small or too clipped to measure how strong their noise is")
    elif not noise.is_gaussian:
        warn("the noise is unlike Gaussian noise: pixels stand out from it")
    elif max(correlation.reach) == MOST_REACH:
        warn("the noise is correlated farther than can be measured")
    else:
        return "downscaled"
    return "neighbours" if correlation.is_white else "blind-spot"


_SENTENCES = {
    "downscaled": "making averages of pixels noisy again (Recorrupted-to-Recorrupted)",
    "neighbours": "predicting pixels from their neighbours (Neighbor2Neighbor)",
    "blind-spot": "predicting masked pixels (Noise2Void)",
    "bursts": "predicting one frame of a burst from another (Noise2Noise)",
}


def as_floats(frame: Samples) -> NDArray[np.float32]:
    """Return a frame with samples from 0 to 1."""
    whole = frame[:]
    floats: NDArray[np.float32] = whole.numpy().astype(np.float32)
    return floats / np.float32(255) if whole.dtype == torch.uint8 else floats


@dataclass(frozen=True)
class _Plane:
    """A picture, or a plane of a stack.

    Attributes:
        samples: ``(C, H, W)``: uint8, or float32 as in the file, where unknown ones were filled.
        finite: which samples are known, bool; None for all of them.
    """

    samples: Samples
    finite: Samples | None

    @property
    def known(self) -> NDArray[np.float32]:
        """The samples that are known, in any shape."""
        samples: NDArray[np.float32] = self.samples[:].numpy()
        return samples if self.finite is None else samples[self.finite[:].numpy()]

    @property
    def known_share(self) -> float:
        """Share of the samples that are known."""
        return 1.0 if self.finite is None else float(self.finite[:].float().mean())


@dataclass(frozen=True)
class _Planes:
    """The planes of one file, and their kind, see ``kind_of``."""

    planes: Sequence[_Plane]
    kind: str


_FLOAT = 0


def _kept(path: Path, store: PictureStore, patch: int, *, as_gray: bool) -> _Planes:
    """Return the planes of a file.

    Raises:
        InputError: it cannot be read, or is smaller than the crops.
        StoreFull: memory is full.
    """
    name = "noisy, in gray" if as_gray else "noisy"
    pixels, bits, *finite = store.kept([path], name, lambda: _decoded(path, patch, as_gray=as_gray))
    check_crops_fit(path, pixels.shape, patch)  # cached ones may be for smaller crops
    known = unstacked(finite[0]) if finite else [None] * pixels.shape[0]
    planes = [_Plane(*each) for each in zip(unstacked(pixels), known, strict=True)]
    depth = int(bits[:][0])
    return _Planes(planes, "float" if depth == _FLOAT else str(depth))


def _decoded(path: Path, patch: int, *, as_gray: bool) -> list[NDArray[Any]]:
    """Return samples ``(N, C, H, W)``, their bits, and which are finite unless all are."""
    found = decode_all(path)
    planes = found.planes if isinstance(found, Stack) else (found,)
    check_crops_fit(path, planes[0].pixels.shape, patch)
    if as_gray:
        planes = tuple(map(_in_gray, planes))
    elif all(len(plane.pixels) == 1 or is_gray_as_rgb(plane) for plane in planes):
        planes = tuple(replace(plane, pixels=plane.pixels[:1]) for plane in planes)
    kind = kind_of(planes[0])
    bits = np.array([_FLOAT if kind == "float" else int(kind)], np.uint8)
    pixels = np.stack([plane.pixels for plane in planes])
    if kind == "8":
        return [np.rint(pixels * 255).astype(np.uint8), bits]
    finite = np.isfinite(pixels)
    if finite.all():
        return [pixels, bits]
    return [np.stack([_filled(*each) for each in zip(pixels, finite, strict=True)]), bits, finite]


def _of_one_kind(
    files: dict[Path, _Planes], channels: int, warn: Callable[[str], None]
) -> dict[Path, _Plane]:
    """Return the planes that fit each other; those of a stack have their number behind its path."""
    kind = next(iter(files.values())).kind
    fitting = {}
    for path, file in files.items():
        if file.kind != kind:
            warn(f"{path}: {_said(file.kind)}, the first one {_said(kind)}; left out")
            continue
        for index, plane in enumerate(file.planes):
            own = path / str(index) if len(file.planes) > 1 else path
            if not plane.known_share > _MOST_UNKNOWN:
                warn(f"{own}: most samples are not finite; left out")
            else:
                fitting[own] = plane
    wanted = channels or max((plane.samples.shape[0] for plane in fitting.values()), default=0)
    for path in [path for path, plane in fitting.items() if plane.samples.shape[0] < wanted]:
        warn(f"{path}: gray, and the network is for colour; left out")
        del fitting[path]
    return fitting


def _said(kind: str) -> str:
    return "floating point" if kind == "float" else f"of {kind} bits"


def _in_gray(picture: Picture) -> Picture:
    if picture.channels == 1 or is_gray_as_rgb(picture):
        return replace(picture, pixels=picture.pixels[:1])
    pixels = np.tensordot(REC601_LUMA, picture.pixels, axes=1)[None].astype(np.float32)
    return replace(picture, pixels=pixels)


def _filled(pixels: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return samples of any range with plausible ones in place of those that are unknown."""
    if not known.any():
        return np.zeros_like(pixels)
    low, high = float(pixels[known].min()), float(pixels[known].max())
    span = np.float32(high - low if high > low else 1)
    inside = filled(np.where(known, (pixels - np.float32(low)) / span, np.float32(0)), known)
    return np.where(known, pixels, inside * span + np.float32(low))


@dataclass(frozen=True)
class _Ranged:
    """A picture whose samples are brought to a range as they are cut out."""

    picture: Samples
    samples: SampleRange

    @property
    def shape(self) -> torch.Size:
        return self.picture.shape

    def __getitem__(self, index: Any, /) -> Tensor:
        black, white = self.samples.black, self.samples.white
        return (self.picture[index] - black) / (white - black)


def _in_range(picture: Samples, samples: SampleRange) -> Samples:
    return picture if samples.kind == "8" else _Ranged(picture, samples)


def _bursts(frames: dict[Path, Samples], *, stacks: bool) -> list[list[Samples]]:
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


def _is_same_scene(one: Samples, other: Samples) -> bool:
    """Return whether the means of blocks are alike but for noise."""
    if one.shape != other.shape:
        return False
    means = []
    for frame in (one, other):
        blocks = torch.nn.functional.avg_pool2d(frame[:].float(), _BLOCK)
        means.append((blocks - blocks.mean()).flatten())
    first, second = means
    return float(first @ second) > _SAME_SCENE * float(first.norm() * second.norm())
