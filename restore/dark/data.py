"""Training examples from pairs of a short and a long exposure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.dark.darkening import Darkened
from restore.errors import InputError, TrainingError, UnsupportedImage, UsageError
from restore.image.develop import gains_of
from restore.image.raw import Look, develop_raw, read_raw
from restore.image.raw_picture import phase_of
from restore.models.layers import srgb_encoded
from restore.training.picture_store import Mapped, PictureStore
from restore.training.state import Randomness

__all__ = ["PairCrops", "RawPair", "Scene", "open_scenes", "read_pairs"]

_D = TypeVar("_D", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A pair of exposures in memory-mapped files, so that data sets of any size can be trained on.

    Attributes:
        mosaic: uint16 ``[H, W]``, the short exposure.
        target: uint16 ``[3, H, W]``, the long one as LibRaw develops it.
        cfa: colour filter array over the mosaic's first pixels, see ``RawPicture``.
        black_level: digital numbers of no light, for red, green, blue and second green.
        white_level: digital number at which the sensor saturates.
        gains: factors of red, green and blue, which include the ratio.
        short: path of the short exposure.
        long: path of the long exposure, which other pairs may share.
    """

    mosaic: Mapped
    target: Mapped
    cfa: NDArray[np.uint8]
    black_level: tuple[float, float, float, float]
    white_level: float
    gains: NDArray[np.float32]
    short: Path
    long: Path


@dataclass(frozen=True)
class RawPair:
    """A dark exposure and a bright one.

    Attributes:
        short, long: RAW files.
        ratio: ratio of the exposure times, at most 300, as in the paper.
    """

    short: Path
    long: Path
    ratio: float


def open_scenes(
    pairs: Sequence[RawPair],
    store: PictureStore,
    *,
    head: str,
    xtrans: bool,
    warn: Callable[[str], None],
) -> list[Scene]:
    """Decode pairs into files, once each, and map them into memory.

    Args:
        pairs: what to decode; several may share a long exposure.
        store: with a cache, where the decoded files are kept.
        head: camera or srgb, see ``IspUNetConfig``; with srgb, mosaics are not white balanced.
        xtrans: whether X-Trans sensors are wanted instead of Bayer ones.
        warn: called with one line about every pair that is left out.

    Raises:
        TrainingError: there is no usable pair.
    """
    look: Look = "camera" if head == "camera" else "libraw"
    scenes = []
    for pair in pairs:
        try:
            scenes.append(_scene(pair, store, look, xtrans=xtrans))
        except InputError as error:
            warn(f"{error}; left out")
    if not scenes:
        raise TrainingError("no usable pair to train on")
    return scenes


class PairCrops:
    """The same random crops of short and long exposures, in all orientations that fit the filter.

    Args:
        scenes: scenes to draw from with equal probability.
        patch: side of the crops in pixels.
        batch: crops per call.
        head: camera or srgb.
        packs: see ``Darkened``.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        *,
        patch: int,
        batch: int,
        head: str,
        packs: bool = True,
    ) -> None:
        self.scenes = list(scenes)
        self.patch, self.batch, self.head, self.packs = patch, batch, head, packs

    def __call__(self, rng: Randomness) -> Darkened:
        """Draw one batch."""
        indices = torch.randint(len(self.scenes), (self.batch,), generator=rng.host).tolist()
        places = torch.rand((self.batch, 2), generator=rng.host, dtype=torch.float64).tolist()
        orientations = torch.randint(8, (self.batch,), generator=rng.host).tolist()
        crops = [
            self.crop(self.scenes[index], (y, x), orientation)
            for index, (y, x), orientation in zip(indices, places, orientations, strict=True)
        ]
        mosaics, targets = (rng.moved(torch.stack(list(part))) for part in zip(*crops, strict=True))
        return self._darkened(mosaics, targets)

    def middles(self) -> list[Darkened]:
        """Return the middle of every scene, as batches of one."""
        parts = (self.crop(scene, (0.5, 0.5), 0) for scene in self.scenes)
        return [self._darkened(mosaic[None], target[None]) for mosaic, target in parts]

    def _darkened(self, mosaics: Tensor, targets: Tensor) -> Darkened:
        return Darkened(
            mosaics=mosaics,
            clean=targets if self.head == "srgb" else srgb_encoded(targets),
            side=len(self.scenes[0].cfa),
            packs=self.packs,
        )

    def crop(
        self, scene: Scene, place: tuple[float, float], orientation: int
    ) -> tuple[Tensor, Tensor]:
        """Return a mosaic ``(P, P)`` in reference phase, amplified, and its target ``(3, P, P)``.

        Args:
            scene: scene to crop.
            place: position ``(y, x)`` as fractions of the possible range.
            orientation: 0 to 7; a turned crop is shifted until its filter is in phase. If it can
                never be in phase, the crop is not turned.
        """
        side = len(scene.cfa)
        around = self.patch + side
        top, left = (
            int(fraction * (size - around + 1)) // side * side
            for fraction, size in zip(place, scene.mosaic.shape, strict=True)
        )
        window = (slice(top, top + around), slice(left, left + around))
        cfa = _turned(scene.cfa, orientation)
        try:
            down, right = phase_of(cfa)
        except UnsupportedImage:
            orientation, cfa = 0, scene.cfa
            down, right = phase_of(cfa)
        rows, columns = (
            slice(-shift % side, -shift % side + self.patch) for shift in (down, right)
        )
        mosaic = _turned(_amplified(scene, window), orientation)[rows, columns]
        target = _turned(scene.target.array[:, *window], orientation)[:, rows, columns]
        light = np.divide(target, 65535, dtype=np.float32)
        return torch.from_numpy(mosaic.copy()), torch.from_numpy(light)


def _scene(pair: RawPair, store: PictureStore, look: Look, *, xtrans: bool) -> Scene:
    raw = read_raw(pair.short)
    if raw.is_xtrans != xtrans:
        kinds = ("a Bayer", "an X-Trans")
        raise UnsupportedImage(f"{pair.short}: is from {kinds[raw.is_xtrans]} sensor")
    target = _mapped(store, pair.long, f"RAW in {look} look", lambda: develop_raw(pair.long, look))
    if target.shape[1:] != raw.mosaic.shape:
        raise UnsupportedImage(f"{pair.short} and {pair.long} differ in size")
    balance = read_raw(pair.long).white_balance if look == "camera" else (1.0, 1.0, 1.0)
    return Scene(
        mosaic=_mapped(store, pair.short, "mosaic", lambda: raw.mosaic),
        target=target,
        cfa=raw.cfa,
        black_level=raw.black_level,
        white_level=raw.white_level,
        gains=gains_of(balance) * np.float32(pair.ratio),
        short=pair.short,
        long=pair.long,
    )


def _mapped(
    store: PictureStore, path: Path, kind: str, make: Callable[[], NDArray[np.uint16]]
) -> Mapped:
    (mapped,) = store.kept([path], kind, lambda: [make()])
    assert isinstance(mapped, Mapped)
    return mapped


def _amplified(scene: Scene, window: tuple[slice, slice]) -> NDArray[np.float32]:
    """Return a window of the mosaic aligned to the filter, amplified, black at 0, clipped at 1."""
    side = len(scene.cfa)
    result: NDArray[np.float32] = scene.mosaic.array[window].astype(np.float32)
    colours = np.minimum(scene.cfa, 3)
    for y in range(side):
        for x in range(side):
            colour = colours[y, x]
            black = scene.black_level[colour]
            gain = scene.gains[1 if colour == 3 else colour] / (scene.white_level - black)
            result[y::side, x::side] = (result[y::side, x::side] - black) * gain
    return np.minimum(result, 1)


def _turned(plane: NDArray[_D], orientation: int) -> NDArray[_D]:
    rotated = np.rot90(plane, orientation % 4, axes=(-2, -1))
    return rotated[..., ::-1] if orientation >= 4 else rotated


_MOST_RATIO = 300.0
_SECONDS = re.compile(r"_(\d+(?:\.\d+)?)s\.\w+$")


def read_pairs(path: Path) -> list[RawPair]:
    """Read a list of pairs: on each line the short file, the long file, and anything else.

    Paths are relative to the list. File names state exposure times, as in ``00001_00_0.1s.ARW``.

    Raises:
        UsageError: the list is missing or empty, or a line is invalid.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as a list of pairs: {error}") from error
    pairs = [_pair(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise UsageError(f"{path}: holds no pairs")
    return pairs


def _pair(path: Path, number: int, line: str) -> RawPair:
    short, long, *_ = [*line.split(), "", ""]
    times = [_SECONDS.search(name) for name in (short, long)]
    seconds = [float(match[1]) for match in times if match]
    if len(seconds) != 2 or min(seconds) <= 0:
        raise UsageError(
            f"{path}, line {number}: give a short and a long RAW file with their exposure times in "
            "their names, as in night_0.1s.ARW night_10s.ARW"
        )
    folder = path.parent
    return RawPair(folder / short, folder / long, min(seconds[1] / seconds[0], _MOST_RATIO))
