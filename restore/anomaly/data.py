"""Pictures of good parts: reading and splitting."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from restore.anomaly.alignment import Alignment, Registration
from restore.anomaly.calibration import held_out_count
from restore.anomaly.copies import Fingerprint, besides, copies_among, told_copies
from restore.anomaly.part import Part, check_range, read_part
from restore.anomaly.roi import RegionOfInterest
from restore.anomaly.scale import shrunk
from restore.anomaly.view import WHOLE, View
from restore.batch.inputs import pictures_in
from restore.errors import InputError, TrainingError, TrainingStopped, UsageError
from restore.training.picture_store import PictureStore, Samples, StoreFull
from restore.words import counted

__all__ = ["LEAST_PARTS", "Fold", "Parts", "load_parts"]

T = TypeVar("T")

LEAST_PARTS = 10

_LEAST_READ = 2
_MOST_JUDGES = 20
_MEAN_OF = 100
"""Parts that the mean good part is made from."""


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
        paths: Paths of all usable pictures, in random order; of copies, one.
        channels: Number of channels of every picture.
        bit_depth: Largest bit depth of any picture.
        usable: Number of usable pictures, including those that did not fit into memory.
        view: What of a part is inspected.
        training_inside: Where on each of ``training`` defects count, bool ``(H, W)``; empty for
            everywhere.
        judging_inside: The same for ``judging``.
    """

    training: list[Samples]
    judging: list[Samples]
    calibrating: list[Path]
    paths: list[Path]
    channels: int
    bit_depth: int
    usable: int
    view: View = WHOLE
    training_inside: list[Samples] = field(default_factory=list)
    judging_inside: list[Samples] = field(default_factory=list)


def load_parts(
    folder: Path,
    *,
    scale: int,
    target_fpr: float,
    seed: int,
    view: View = WHOLE,
    align: str = "off",
    fold: Fold | None = None,
    store: PictureStore,
    warn: Callable[[str], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> Parts:
    """Read a folder of good parts and split them.

    If memory does not hold all training pictures, a random subset of them is used.

    Args:
        folder: Folder tree of pictures of any sizes and bit depths.
        scale: Integer factor by which pictures are scaled down.
        target_fpr: False-alarm rate; a low one needs more parts for calibration.
        seed: Seed of the split.
        view: What of a part is inspected, before parts are aligned.
        align: How parts are registered to the mean of those trained on: off, translation or
            rotation.
        fold: Share that is kept for calibration; None for as many parts as the rate needs.
        store: Where training pictures are kept.
        warn: Called with one line about everything left out.
        should_stop: Called before every picture.

    Raises:
        UsageError: no folder of pictures, or a region of interest that is not for them.
        TrainingError: there are too few usable pictures, or they cannot be aligned.
        TrainingStopped: ``should_stop`` returned True.
    """
    reader = _Reader(scale, store, should_stop)
    channels: dict[Path, int] = {}
    fingerprints: dict[Path, Fingerprint] = {}
    depths: list[int] = []
    for path in pictures_in(folder, recursive=True, warn=warn):
        try:
            part = reader.survey(path)
        except InputError as error:
            warn(f"{error}; left out")
            continue
        channels[path] = part.channels
        fingerprints[path] = Fingerprint.of(part.pixels)
        depths.append(part.bit_depth)
    most = Counter(channels.values()).most_common(1)
    count = most[0][0] if most else 0
    for path in [path for path, number in channels.items() if number != count]:
        warn(f"{path}: has {channels.pop(path)} channels, most have {count}; left out")
    if view.roi:
        for path in _beyond(view.roi, {path: reader.sizes[path] for path in channels}, warn):
            del channels[path]
    copies = copies_among({path: fingerprints[path] for path in channels})
    if copies:
        warn(f"{told_copies(copies, len(channels))}; one of each is used")
    _check_count(folder, len(channels) - len(copies), copies=len(copies))
    for path in copies:
        del channels[path]
    order = np.random.default_rng(seed).permutation(len(channels))
    shuffled = [list(channels)[index] for index in order]
    held = set(
        shuffled[: held_out_count(len(shuffled), target_fpr)] if fold is None else fold.of(shuffled)
    )
    others = [path for path in shuffled if path not in held]
    if align != "off":
        view = replace(view, alignment=reader.aligned_to_mean(align, others))
        lost = {path for path in shuffled if not reader.placed(path).found}
        for path in sorted(lost):
            warn(f"{path}: {reader.placed(path).reason}; left out")
        held -= lost
        shuffled, others = (
            [path for path in paths if path not in lost] for paths in (shuffled, others)
        )
        _check_count(folder, len(shuffled))
    tensors, inside = reader.read(others, view)
    if len(tensors) < len(others):
        warn(store.told(len(others) - len(tensors), f"of {len(others)} pictures"))
    judges = min(_MOST_JUDGES, max(1, len(shuffled) // 20), len(tensors) // 2)
    return Parts(
        training=tensors[judges:],
        judging=tensors[:judges],
        calibrating=sorted(held),
        paths=shuffled,
        channels=count,
        bit_depth=max(depths),
        usable=len(shuffled),
        view=view,
        training_inside=inside[judges:],
        judging_inside=inside[:judges],
    )


def _check_count(folder: Path, usable: int, *, copies: int = 0) -> None:
    if usable < LEAST_PARTS:
        raise TrainingError(
            f"{folder}: {counted(usable, 'usable picture')} of good parts{besides(copies)}; "
            f"training and calibration take at least {LEAST_PARTS}, and a hundred or more are "
            "better"
        )


def _beyond(
    roi: RegionOfInterest, sizes: dict[Path, tuple[int, int]], warn: Callable[[str], None]
) -> list[Path]:
    """Return the pictures that a region of interest is not for; refuse one that fits hardly any."""
    misfits: dict[Path, str] = {}
    for path, size in sizes.items():
        try:
            roi.inside(*size, str(path))
        except InputError as error:
            misfits[path] = str(error)
    if len(sizes) - len(misfits) < LEAST_PARTS and misfits:
        raise UsageError(next(iter(misfits.values())))
    for message in misfits.values():
        warn(f"{message}; left out")
    return list(misfits)


class _Reader:
    """Reads pictures as a network sees them, and caches them as long as all fit into memory."""

    def __init__(self, scale: int, store: PictureStore, should_stop: Callable[[], bool]) -> None:
        self._scale, self._store, self._should_stop = scale, store, should_stop
        self._kept: dict[Path, NDArray[np.float32]] = {}
        self._bytes = 0
        self._alignment: Alignment | None = None
        self._placed: dict[Path, Registration] = {}
        self.sizes: dict[Path, tuple[int, int]] = {}

    def survey(self, path: Path) -> Part:
        """Read a picture, and cache it for ``read``."""
        part = self._clean(path)
        self.sizes[path] = (part.pixels.shape[1], part.pixels.shape[2])
        part = replace(part, pixels=shrunk(part.pixels, self._scale))
        self._bytes += part.pixels.nbytes
        if self._bytes <= self._store.most_bytes and self._store.cache is None:
            self._kept[path] = part.pixels
        else:
            self._kept.clear()
        return part

    def aligned_to_mean(self, mode: str, paths: Sequence[Path]) -> Alignment:
        """Return the mean of pictures, to which all that are read from now on are registered."""
        self._kept.clear()
        sample = [self._clean(path).pixels for path in paths[:_MEAN_OF]]
        self._alignment = Alignment.of(mode, sample)
        return self._alignment

    def placed(self, path: Path) -> Registration:
        """Return where the part lies in a picture."""
        assert self._alignment is not None
        if path not in self._placed:
            self._placed[path] = self._alignment.register(self._clean(path).pixels)
        return self._placed[path]

    def _inside(self, path: Path, view: View) -> NDArray[np.bool_]:
        """Return where on a picture defects count, ``(H, W)`` at its scale."""
        placed = self.placed(path) if self._alignment else None
        whole = view.inside(self.sizes[path], placed, str(path))
        if whole is None:
            whole = np.ones(self.sizes[path], np.bool_)
        inside: NDArray[np.bool_] = shrunk(whole[None].astype(np.float32), self._scale)[0] >= 0.5
        return inside

    def read(self, paths: Sequence[Path], view: View) -> tuple[list[Samples], list[Samples]]:
        """Return the first of ``paths`` for which there is room, and no less than two.

        The second list has where on them defects count, bool ``(H, W)``; it is empty for
        everywhere.
        """
        is_part = view.roi is not None or view.alignment is not None
        seen = sha256(json.dumps(view.as_mapping(), sort_keys=True).encode()).hexdigest()
        read: list[Sequence[Samples]] = []
        for path in paths:

            def arrays(path: Path = path) -> list[NDArray[Any]]:
                return [self._seen(path), *([self._inside(path, view)] if is_part else [])]

            try:
                read.append(self._store.kept([path], f"part at 1/{self._scale}, {seen}", arrays))
            except StoreFull:
                if len(read) >= _LEAST_READ:
                    break
                read.append([torch.from_numpy(each) for each in arrays()])
        return [each[0] for each in read], [each[1] for each in read] if is_part else []

    def _seen(self, path: Path) -> NDArray[np.float32]:
        if path in self._kept:
            return self._kept[path]
        pixels = self._clean(path).pixels
        if self._alignment and self.placed(path).is_moved:
            pixels = self._alignment.aligned(pixels, self.placed(path))
        return shrunk(pixels, self._scale)

    def _clean(self, path: Path) -> Part:
        if self._should_stop():
            raise TrainingStopped("stopped while pictures were read")
        part = read_part(path)
        check_range(part, str(path))
        return replace(part, pixels=np.clip(np.nan_to_num(part.pixels), 0, 1))
