"""Pictures of good parts: reading, splitting and cropping."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.anomaly.calibration import held_out_count
from restore.anomaly.part import Part, read_part
from restore.anomaly.scale import shrunk
from restore.batch.inputs import pictures_in
from restore.errors import InputError, TrainingError, TrainingStopped
from restore.training.state import Randomness

__all__ = ["LEAST_PARTS", "Fold", "PartCrops", "Parts", "load_parts"]

T = TypeVar("T")

LEAST_PARTS = 10

_MOST_BYTES = 4 << 30
_LEAST_READ = 2
_MOST_JUDGES = 20
_GAIN = 0.25
_BEYOND = 0.25
"""Share of a crop by which it may be placed beyond the picture before it is moved back inside."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One of ``count`` equal shares of the parts.

    Attributes:
        index: Index of the share, from 0; ``count`` itself selects no parts.
        count: Number of shares.
    """

    index: int
    count: int

    def of(self, parts: Sequence[T]) -> Sequence[T]:
        """Return this share of ``parts``."""
        return parts[self.index :: self.count] if self.index < self.count else []


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Good parts, split into disjoint sets for training, validation and calibration.

    Attributes:
        training: Pictures ``(C, H, W)`` in [0, 1] that the network is trained on.
        judging: Pictures ``(C, H, W)`` in [0, 1] that validation puts synthetic defects on.
        calibrating: Paths of the pictures whose scores set the threshold.
        channels: Number of channels of every picture.
        bit_depth: Largest bit depth of any picture.
        usable: Number of usable pictures, including those that did not fit into memory.
    """

    training: list[Tensor]
    judging: list[Tensor]
    calibrating: list[Path]
    channels: int
    bit_depth: int
    usable: int


def load_parts(
    folder: Path,
    *,
    scale: int,
    target_fpr: float,
    seed: int,
    fold: Fold | None = None,
    warn: Callable[[str], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Parts:
    """Read a folder of good parts and split them.

    Training pictures are kept in memory, up to 4 GiB; of more, a random subset is used.

    Args:
        folder: Folder tree of pictures of any sizes and bit depths.
        scale: Integer factor by which pictures are scaled down.
        target_fpr: False-alarm rate; a low one needs more parts for calibration.
        seed: Seed of the split.
        fold: Share that is kept for calibration; None for as many parts as the rate needs.
        warn: Called with one line about everything left out.
        should_stop: Called before every picture.

    Raises:
        UsageError: no folder of pictures.
        TrainingError: there are too few usable pictures.
        TrainingStopped: ``should_stop`` returned True.
    """
    reader = _Reader(scale, should_stop)
    channels: dict[Path, int] = {}
    depths: list[int] = []
    for path in pictures_in(folder, recursive=True):
        try:
            part = reader.survey(path)
        except InputError as error:
            warn(f"{error}; left out")
            continue
        channels[path] = part.channels
        depths.append(part.bit_depth)
    most = Counter(channels.values()).most_common(1)
    count = most[0][0] if most else 0
    for path in [path for path, number in channels.items() if number != count]:
        warn(f"{path}: has {channels.pop(path)} channels, most have {count}; left out")
    if len(channels) < LEAST_PARTS:
        raise TrainingError(
            f"{folder}: {len(channels)} usable pictures of good parts; training and calibration "
            f"take at least {LEAST_PARTS}, and a hundred or more are better"
        )
    order = np.random.default_rng(seed).permutation(len(channels))
    shuffled = [list(channels)[index] for index in order]
    held = set(
        shuffled[: held_out_count(len(shuffled), target_fpr)] if fold is None else fold.of(shuffled)
    )
    others = [path for path in shuffled if path not in held]
    tensors = reader.read(others)
    if len(tensors) < len(others):
        warn(
            f"{len(others) - len(tensors)} of {len(others)} pictures, chosen at random, are not "
            f"trained on: {_MOST_BYTES >> 20} MiB are full"
        )
    judges = min(_MOST_JUDGES, max(1, len(shuffled) // 20), len(tensors) // 2)
    return Parts(
        training=tensors[judges:],
        judging=tensors[:judges],
        calibrating=sorted(held),
        channels=count,
        bit_depth=max(depths),
        usable=len(shuffled),
    )


class _Reader:
    """Reads pictures as a network sees them, and caches them as long as all fit into memory."""

    def __init__(self, scale: int, should_stop: Callable[[], bool]) -> None:
        self._scale, self._should_stop = scale, should_stop
        self._kept: dict[Path, NDArray[np.float32]] = {}
        self._bytes = 0

    def survey(self, path: Path) -> Part:
        """Read a picture, and cache it for ``read``."""
        part = self._part(path)
        self._bytes += part.pixels.nbytes
        if self._bytes <= _MOST_BYTES:
            self._kept[path] = part.pixels
        else:
            self._kept.clear()
        return part

    def read(self, paths: Sequence[Path]) -> list[Tensor]:
        """Return the first of ``paths`` that fit in memory, and no less than two."""
        tensors: list[Tensor] = []
        used = 0
        for path in paths:
            pixels = self._kept.get(path)
            if pixels is None:
                pixels = self._part(path).pixels
            used += pixels.nbytes
            if used > _MOST_BYTES and len(tensors) >= _LEAST_READ:
                break
            tensors.append(torch.from_numpy(pixels))
        return tensors

    def _part(self, path: Path) -> Part:
        if self._should_stop():
            raise TrainingStopped("stopped while pictures were read")
        part = read_part(path)
        return replace(part, pixels=shrunk(np.clip(np.nan_to_num(part.pixels), 0, 1), self._scale))


class PartCrops:
    """Random crops of good parts, randomly mirrored and brightened or darkened.

    Positions are drawn from an area larger than the picture and then moved inside, so that edges
    are seen as often as the middle. With uniform positions, few crops would contain an outermost
    row, and parts would cause false alarms along their edges.

    Args:
        pictures: float32 ``(C, H, W)`` in [0, 1]; those smaller than ``patch`` are extended by
            mirroring at the right and bottom edges.
        patch: side of the square crops in pixels.
        batch: crops per call.
    """

    def __init__(self, pictures: Sequence[Tensor], *, patch: int, batch: int) -> None:
        self.pictures = [_at_least(picture, patch) for picture in pictures]
        self.patch = patch
        self.batch = batch

    def __call__(self, rng: Randomness) -> Tensor:
        """Return float32 ``(B, C, P, P)`` in [0, 1] on the run's device."""
        crops = []
        for _ in range(self.batch):
            index = int(torch.randint(len(self.pictures), (), generator=rng.host))
            y, x, down, right, gain = torch.rand(5, generator=rng.host).tolist()
            crop = _crop(self.pictures[index], y, x, self.patch)
            turned = [axis for axis, chance in ((1, down), (2, right)) if chance < 0.5]
            crops.append(crop.flip(turned) * (1 + _GAIN * (2 * gain - 1)))
        return rng.moved(torch.stack(crops)).clamp_(0, 1)


def _crop(picture: Tensor, y: float, x: float, patch: int) -> Tensor:
    top, left = (
        _start(share, size - patch + 1, round(_BEYOND * patch))
        for share, size in zip((y, x), picture.shape[1:], strict=True)
    )
    return picture[:, top : top + patch, left : left + patch]


def _start(share: float, places: int, beyond: int) -> int:
    return min(max(int(share * (places + 2 * beyond)) - beyond, 0), places - 1)


def _at_least(picture: Tensor, side: int) -> Tensor:
    missing = [max(0, side - size) for size in picture.shape[1:]]
    if not any(missing):
        return picture
    padded = np.pad(picture.numpy(), ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")
    return torch.from_numpy(padded)
