"""A memory of good parts' textures: parts whose grain as a whole is unusual score higher.

A defect such as other light or other grinding all over a part is faint everywhere, and no pixel of
it is conspicuous. Its texture is described by local level, contrast and energies of differences in
four directions at four octaves, with their means and deviations over the part. The distance to the
most similar good parts, after whitening, is compared with that of good parts from each other; the
score map is multiplied by a power of the ratio. Parts that have no texture in common, such as
circuits of different layouts, do without.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from restore.anomaly.defects import KINDS, make_visible_defect
from restore.anomaly.metrics import auroc
from restore.anomaly.packing import number, packed, unpacked
from restore.anomaly.perlin import Dice
from restore.errors import WeightsError
from restore.training.picture_store import Samples
from restore.training.schedule import raise_if_stopped

__all__ = [
    "BLOCK_PX",
    "LARGEST_RATIO",
    "LEAST_SIDE_PX",
    "MARGIN_PX",
    "NEIGHBOURS",
    "TextureMemory",
    "described",
    "summarised",
]

Vector = NDArray[np.float64]
Box = tuple[int, int, int, int]

BLOCK_PX = 16
"""Sides are cut to multiples of it; texture is measured in squares of two by two blocks."""
LEAST_SIDE_PX = 2 * BLOCK_PX
"""Smaller pictures are continued by mirroring."""
MARGIN_PX = 8
"""Pixels beyond the right and the bottom that differences look at."""
NEIGHBOURS = 3
"""Good parts that a part is compared with, so that a copy among them does not count for all."""
LARGEST_RATIO = 10.0
"""Largest ratio of distances, and inverse of the smallest."""

_OCTAVES = 4
_FAINTEST = 1e-5
"""Added to variances and energies; (0.8 / 255) squared."""
_MOST_SEPARATE = 3
"""Channels that are described one by one; of more, their mean is."""
_PER_CHANNEL = 2 * (2 + 4 * _OCTAVES)
_MOST_PARTS, _LEAST_PARTS = 500, 20
_FOLDS = 5
_SHRINKAGE = 0.1
_LEAST_DEVIATION = 1e-4
_WEIGHT = 0.5
"""Spread of the factor's logarithm against that of good parts' scores."""
_LEAST_SHOWN, _FULLY_SHOWN = 0.55, 0.7
"""AUROC of large made defects by distance alone, from which on the memory counts, and fully."""
_MOST_SPOILT, _MOST_PX, _SEED_OFFSET = 60, 60_000_000, 30_011
_LARGEST_POWER = 4.0
_HIGH = 0.95
_ROWS_AT_ONCE = 512


def described(padded: Tensor) -> Tensor:
    """Return the local texture of pictures.

    Args:
        padded: ``(B, C, H + MARGIN_PX, W + MARGIN_PX)`` in [0, 1], H and W multiples of
            ``BLOCK_PX``.

    Returns:
        ``(B, K, H / BLOCK_PX, W / BLOCK_PX)``: mean, mean square and mean squared differences of
        every block.
    """
    height, width = padded.shape[2] - MARGIN_PX, padded.shape[3] - MARGIN_PX
    if padded.shape[1] > _MOST_SEPARATE:
        padded = padded.mean(dim=1, keepdim=True)
    inner = padded[:, :, :height, :width]
    blocks = [F.avg_pool2d(values, BLOCK_PX) for values in (inner, inner * inner)]
    for octave in range(_OCTAVES):
        side = 2**octave
        rows, columns = height // side, width // side
        here = padded[:, :, :rows, :columns]
        beside = padded[:, :, :rows, 1 : columns + 1]
        below = padded[:, :, 1 : rows + 1, :columns]
        across = padded[:, :, 1 : rows + 1, 1 : columns + 1]
        changes = (beside - here, below - here, across - here, beside - below)
        blocks += [F.avg_pool2d(change * change, BLOCK_PX // side) for change in changes]
        padded = F.avg_pool2d(padded, 2)
    return torch.cat(blocks, dim=1)


def summarised(blocks: Tensor) -> Tensor:
    """Return means and standard deviations over whole pictures, ``(B, D)``, of ``described``."""
    squares = F.avg_pool2d(blocks, 2, stride=1)
    channels = blocks.shape[1] // (2 + 4 * _OCTAVES)
    level, square = squares[:, :channels], squares[:, channels : 2 * channels]
    energies = squares[:, 2 * channels :]
    variance = (square - level * level).clamp_min(0)
    spreads = 0.5 * torch.log(torch.cat([variance, energies], dim=1) + _FAINTEST)
    features = torch.cat([level, spreads], dim=1).flatten(2)
    return torch.cat([features.mean(dim=2), features.std(dim=2, correction=0)], dim=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class TextureMemory:
    """Textures of good parts that a detector was trained on.

    Attributes:
        box: What of a picture is described: left, top, width, height, at the network's scale; None
            for all.
        mean: Mean description, ``[D]``.
        whitening: Matrix after which descriptions of good parts vary alike in every direction,
            ``[D, D]``.
        places: Whitened descriptions of good parts, ``[N, D]``.
        usual: Median distance of good parts from a memory without them.
        power: Power of the ratio of distances by which scores are multiplied.
    """

    box: Box | None
    mean: Vector
    whitening: Vector
    places: Vector
    usual: float
    power: float

    @classmethod
    def of(
        cls,
        pictures: Sequence[Samples],
        peaks: Sequence[float],
        *,
        box: Box | None = None,
        seed: int = 0,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> "TextureMemory | None":
        """Learn the textures of good parts.

        None if there are too few, or where textures differ so much from part to part that large
        defects made on parts left out of a fit do not show.

        Args:
            pictures: ``(C, H, W)`` in [0, 1], in random order; the first 500 are used.
            peaks: Highest scores of some of them, with which the factor's power is set.
            box: What of them is described.
            seed: Seed of the made defects.
            should_stop: Called before every picture.

        Raises:
            TrainingStopped: ``should_stop`` returned True.
        """
        positive = [peak for peak in peaks if peak > 0]
        if min(len(pictures), len(positive)) < _LEAST_PARTS:
            return None
        inside = [_boxed(each[:].numpy(), box) for each in pictures[:_MOST_PARTS]]
        rows = []
        for pixels in inside:
            raise_if_stopped(should_stop)
            rows.append(_look(pixels))
        looks = np.array(rows)
        spoilt = _spoilt_looks(inside, seed, should_stop)
        distances, far = _distances(looks, spoilt)
        spread, usual = _log_spread(distances), float(np.median(distances))
        shown = auroc(distances, far) if far else None
        worth = ((shown or 0) - _LEAST_SHOWN) / (_FULLY_SHOWN - _LEAST_SHOWN)
        if min(spread, usual, worth) <= 0:
            return None
        power = min(worth, 1) * _WEIGHT * _log_spread(positive) / spread
        mean, whitening = _fit(looks)
        return cls(
            box=box,
            mean=mean,
            whitening=whitening,
            places=((looks - mean) @ whitening).astype(np.float16).astype(np.float64),
            usual=usual,
            power=round(min(_LARGEST_POWER, power), 4),
        )

    def factor(self, pixels: NDArray[np.float32]) -> np.float32:
        """Return what the scores of a picture ``[C, H, W]`` at the network's scale are times."""
        place = (_look(_boxed(pixels, self.box)) - self.mean) @ self.whitening
        ratio = _distance(place, self.places) / self.usual
        return np.float32(np.clip(ratio, 1 / LARGEST_RATIO, LARGEST_RATIO) ** self.power)

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a weight file."""
        return {
            "mean": packed(self.mean),
            "whitening": packed(self.whitening),
            "places": packed(self.places, half=True),
            "usual": self.usual,
            "power": self.power,
        } | ({"box": list(self.box)} if self.box else {})

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], channels: int) -> "TextureMemory":
        """Return the memory that ``as_mapping`` described.

        Args:
            values: Plain values.
            channels: Channels of the network's pictures.

        Raises:
            WeightsError: the values are invalid.
        """
        size = _PER_CHANNEL * (1 if channels > _MOST_SEPARATE else channels)
        try:
            box = values.get("box")
            memory = cls(
                box=None if box is None else _box(box),
                mean=unpacked(values["mean"]),
                whitening=unpacked(values["whitening"], columns=size),
                places=unpacked(values["places"], columns=size, half=True),
                usual=number(values["usual"]),
                power=number(values["power"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(f"its memory of textures is invalid: {error}") from error
        shapes = (memory.mean.shape, memory.whitening.shape)
        is_sound = memory.usual > 0 and 0 <= memory.power <= _LARGEST_POWER
        if shapes != ((size,), (size, size)) or len(memory.places) < NEIGHBOURS or not is_sound:
            raise WeightsError("its memory of textures is invalid")
        return memory


def _box(values: Any) -> Box:
    left, top, width, height = values
    box = (left, top, width, height)
    if any(type(each) is not int or each < 0 for each in box) or 0 in box[2:]:
        raise ValueError("no box")
    return box


def _boxed(pixels: NDArray[np.float32], box: Box | None) -> NDArray[np.float32]:
    if box is None:
        return pixels
    left, top, width, height = box
    inside = pixels[:, top : top + height, left : left + width]
    return inside if inside.size else pixels


def _spoilt_looks(
    pictures: Sequence[NDArray[np.float32]], seed: int, should_stop: Callable[[], bool]
) -> dict[int, Vector]:
    """Return the descriptions of some parts with a large made defect, by the index of the part."""
    rng = torch.Generator().manual_seed(seed + _SEED_OFFSET)
    dice = Dice(rng, rng)
    pixels = sum(part[0].size for part in pictures) / len(pictures)
    looks = {}
    for index in range(min(len(pictures), _MOST_SPOILT, max(_LEAST_PARTS, int(_MOST_PX / pixels)))):
        raise_if_stopped(should_stop)
        part = torch.from_numpy(pictures[index])
        spoilt, mask = make_visible_defect(part, part.flip(1)[None], KINDS["area"], dice, tries=5)
        if mask.any():
            looks[index] = _look(spoilt.numpy())
    return looks


def _distances(looks: Vector, spoilt: Mapping[int, Vector]) -> tuple[list[float], list[float]]:
    """Return distances of good parts ``[N, D]``, and of spoilt ones, from fits without them.

    Parts that a fit has not seen are farther from it, as those to be inspected are.
    """
    distances, far = [], []
    for fold in range(_FOLDS):
        kept = looks[np.arange(len(looks)) % _FOLDS != fold]
        mean, whitening = _fit(kept)
        places = (kept - mean) @ whitening
        for index in range(fold, len(looks), _FOLDS):
            distances.append(_distance((looks[index] - mean) @ whitening, places))
            if index in spoilt:
                far.append(_distance((spoilt[index] - mean) @ whitening, places))
    return distances, far


def _look(pixels: NDArray[np.float32]) -> Vector:
    """Return the description ``[D]`` of a picture, made in bands: large ones stay in memory."""
    height, width = (max(size, LEAST_SIDE_PX) // BLOCK_PX * BLOCK_PX for size in pixels.shape[1:])
    bands = []
    for start in range(0, height, _ROWS_AT_ONCE):
        rows = min(height - start, _ROWS_AT_ONCE)
        band = pixels[:, start : start + rows + MARGIN_PX]
        clean = np.clip(np.nan_to_num(band, posinf=1), 0, 1)
        for axis, least in ((1, rows), (2, width)):
            clean = _extended(clean, least, axis)
        bands.append(described(torch.from_numpy(clean)[None]))
    return summarised(torch.cat(bands, dim=2))[0].numpy().astype(np.float64)


def _extended(pixels: NDArray[np.float32], size: int, axis: int) -> NDArray[np.float32]:
    """Return pixels with a side of ``size`` and the margin: mirrored, then repeated at the end."""
    lacking = [(0, 0)] * 3
    lacking[axis] = (0, max(0, size - pixels.shape[axis]))
    pixels = np.pad(pixels, lacking, mode="symmetric")
    kept = pixels.take(range(min(pixels.shape[axis], size + MARGIN_PX)), axis)
    lacking[axis] = (0, size + MARGIN_PX - kept.shape[axis])
    return np.pad(kept, lacking, mode="edge")


def _fit(looks: Vector) -> tuple[Vector, Vector]:
    """Return the mean of descriptions ``[N, D]`` and a whitening matrix, as a file holds them."""
    mean, deviation = looks.mean(axis=0), looks.std(axis=0) + _LEAST_DEVIATION
    alike = np.cov(((looks - mean) / deviation).T)
    size = len(alike)
    # Directions of which few parts tell nothing must not dominate.
    alike += _SHRINKAGE * size / len(looks) * np.eye(size)
    variances, directions = np.linalg.eigh(alike)
    return _rounded(mean), _rounded(directions / np.sqrt(variances) / deviation[:, None])


def _distance(place: Vector, good: Vector) -> float:
    """Return the mean distance of ``[D]`` from the nearest of ``[N, D]``."""
    nearest = np.sort(np.square(good - place).sum(axis=1))[:NEIGHBOURS]
    return float(np.sqrt(nearest).mean())


def _log_spread(values: Sequence[float]) -> float:
    middle, high = np.quantile(np.log(np.maximum(values, 1e-12)), [0.5, _HIGH])
    return float(high - middle)


def _rounded(values: Vector) -> Vector:
    """Return values as a weight file holds them."""
    return values.astype(np.float32).astype(np.float64)
