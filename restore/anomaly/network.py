"""Running an anomaly network: pixels in, reconstruction and score map out, at its own scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.task import TASK
from restore.engine.placement import Placement
from restore.engine.runner import Run, Runner
from restore.weights.store import Weights

__all__ = ["NO_EDGES", "EdgeProfile", "InspectionNetwork", "Scored", "enlarged_scores", "shrunk"]

_TILE = 1024
"""Two networks in sequence have a wide halo: small tiles would mostly be halo."""
_WINDOWS = 16
"""Windows of an autoencoder at once, with tiles of that size; fewer where they must be smaller."""
_STRIDE = 4
"""Windows of an autoencoder overlap so that every pixel lies in the middle of one."""
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Scored:
    """The result of a network for a part.

    Attributes:
        reconstruction: ``[C, h, w]`` in [0, 1], at the network's scale.
        scores: ``[h, w]``, never negative, higher where a pixel is less like those of good parts.
    """

    reconstruction: NDArray[np.float32]
    scores: NDArray[np.float32]

    @property
    def score(self) -> float:
        """Score of the whole part: the highest in the map."""
        return float(self.scores.max())


Scores = NDArray[np.float32]


@dataclass(frozen=True)
class EdgeProfile:
    """How many times higher good parts score near the edges of a picture than in its middle.

    A part's outline, its corners and its shadow lie along the edges and vary from picture to
    picture; without this profile they alone would set the threshold of the whole picture.

    Attributes:
        factors: factors of bands of 4 pixels from the edge inwards, at least 1, never rising.
    """

    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse factors that would raise scores, or that rise inwards."""
        if not all(1 <= factor < np.inf for factor in self.factors):
            raise ValueError("factors of edges must be finite and at least 1")
        if list(self.factors) != sorted(self.factors, reverse=True):
            raise ValueError("factors of edges must not rise inwards")

    @classmethod
    def of(cls, maps: Sequence[Scores]) -> "EdgeProfile":
        """Measure the profile.

        The level of a band is the 90 % quantile over parts of the highest score in it; factors are
        these levels relative to that of the middle.

        Args:
            maps: scores ``[H, W]`` of good parts; those without a middle are left out.
        """
        reach = _BANDS * _BAND_PX
        highest = [_highest_in_bands(each) for each in maps if min(each.shape) > 2 * reach]
        if not highest:
            return cls()
        levels = np.quantile(np.array(highest), _QUANTILE, axis=0)
        if levels[-1] <= 0:
            return cls()
        ratios = np.maximum(levels[:-1] / levels[-1], 1)
        falling = np.maximum.accumulate(ratios[::-1])[::-1]
        return cls(tuple(round(float(ratio), 4) for ratio in falling))

    def relieve(self, scores: Scores) -> None:
        """Divide scores ``[H, W]`` of a whole picture, in place, by the factors of their places."""
        if not self.factors:
            return
        down, across = (self._along(size) for size in scores.shape)
        # Row by row: a factor for each pixel of a large picture would take as much memory as it.
        for row, factor in zip(scores, down, strict=True):
            row /= np.maximum(factor, across)

    def _along(self, size: int) -> NDArray[np.float32]:
        """Return the factor of each pixel along a side, interpolated between bands."""
        places = np.arange(size)
        distances = np.minimum(places, places[::-1])
        count = len(self.factors)
        # The factors of the middles of bands; nothing beyond the last band.
        known = _BAND_PX * np.array([*(np.arange(count) + 0.5), count])
        factors = np.interp(distances, known, [*self.factors, 1.0])
        return factors.astype(np.float32)


NO_EDGES = EdgeProfile()
"""Leaves scores as they are."""


class InspectionNetwork:
    """Runs one anomaly network; may be called from several threads.

    Args:
        weights: Weights of the network.
        placement: Device, precision and tile size.
        scale: Integer factor by which pictures are scaled down first.
        edges: Profile by which scores near the edges of pictures are divided.

    Raises:
        UsageError: an option is invalid.
        DeviceError: the device is not on this machine.
        WeightsError: the tensors do not fit the architecture.
    """

    def __init__(
        self,
        weights: Weights,
        placement: Placement,
        *,
        scale: int = 1,
        edges: EdgeProfile = NO_EDGES,
    ) -> None:
        self.weights, self.scale, self.edges = weights, scale, edges
        self.runner = Runner(weights, placement, method=TASK.method, auto_tile=_TILE)

    def __call__(self, pixels: NDArray[np.float32]) -> Scored:
        """Score a part.

        Args:
            pixels: ``[C, H, W]`` in [0, 1] with the network's channels; any size.

        Raises:
            DeviceError: not even a small tile fits the device's memory.
        """
        small = _shrunk(pixels, self.scale)
        channels, window = len(small) + 1, self.runner.traits.window
        if window is None:
            result = self.runner.tiled(small, _inspected, channels=channels)
        else:
            result = self.runner.overlapping(
                small, _clean, stride=window // _STRIDE, windows=_WINDOWS, channels=channels
            )
        self.edges.relieve(result[-1])
        return Scored(result[:-1], result[-1])


def _inspected(run: Run, patch: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = run(_clean(patch[None]))[0]
    return result


def _shrunk(pixels: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Scale pixels down after cleaning: a single invalid pixel must not spoil its square."""
    if scale == 1:
        return pixels
    step = scale * max(1, _ROWS_AT_ONCE // scale)
    bands = (pixels[:, top : top + step] for top in range(0, pixels.shape[1], step))
    return np.concatenate([shrunk(_clean(band), scale) for band in bands], axis=1)


def _clean(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    # Called on parts: a cleaned copy of a whole large picture would take too much memory.
    return np.ascontiguousarray(np.clip(np.nan_to_num(crops, posinf=1), 0, 1))


_BAND_PX = 4
_BANDS = 8
_QUANTILE = 0.9


def _highest_in_bands(scores: Scores) -> list[float]:
    """Return the highest score of every band from the edge inwards, and of the middle."""
    highest = []
    for _ in range(_BANDS):
        inner = scores[_BAND_PX:-_BAND_PX, _BAND_PX:-_BAND_PX]
        sides = (
            scores[:_BAND_PX],
            scores[-_BAND_PX:],
            scores[:, :_BAND_PX],
            scores[:, -_BAND_PX:],
        )
        highest.append(max(float(side.max()) for side in sides))
        scores = inner
    return [*highest, float(scores.max())]


def shrunk(pixels: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Scale down to the means of squares of ``factor`` pixels, so that no detail is skipped.

    Squares at the far edges may be cut off.

    Args:
        pixels: ``[C, H, W]``.
        factor: at least 1.

    Returns:
        ``[C, ceil(H / factor), ceil(W / factor)]``.
    """
    if factor == 1:
        return pixels
    result = pixels
    for axis in (1, 2):
        starts = np.arange(0, pixels.shape[axis], factor)
        counts = np.diff(np.append(starts, pixels.shape[axis]))
        shape = [1, 1, 1]
        shape[axis] = len(counts)
        sums = np.add.reduceat(result, starts, axis=axis)
        result = np.divide(sums, counts.reshape(shape), dtype=np.float32)
    return result


def enlarged_scores(
    scores: NDArray[np.float32], factor: int, size: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the scores of a ``shrunk`` picture at its own size, interpolated.

    Every score is kept exactly in the middle of its square, and so is the highest: plain bilinear
    interpolation lowers a peak that is one pixel wide by up to half.

    Args:
        scores: ``[ceil(H / factor), ceil(W / factor)]``.
        factor: factor by which the picture was scaled down.
        size: ``(H, W)``.

    Returns:
        ``[H, W]``.
    """
    if factor == 1:
        return scores
    for axis, length in enumerate(size):
        scores = _between(scores, _places(scores.shape[axis], factor, length), axis)
    return scores


def _places(count: int, factor: int, length: int) -> NDArray[np.float64]:
    """Return for ``length`` pixels where they lie among the ``count`` squares they came from."""
    first = np.arange(count) * factor + (factor - 1) // 2
    # Where the factor is even, the middle is between two pixels: both are given it.
    middles = np.stack([first, first + (factor + 1) % 2], axis=1).ravel()
    inside = np.minimum(middles, length - 1)
    return np.interp(np.arange(length), inside, np.repeat(np.arange(count), 2))


def _between(
    values: NDArray[np.float32], places: NDArray[np.float64], axis: int
) -> NDArray[np.float32]:
    lower = places.astype(np.intp)
    upper = np.minimum(lower + 1, values.shape[axis] - 1)
    share = np.expand_dims((places - lower).astype(np.float32), 1 - axis)
    result, rise = values.take(lower, axis), values.take(upper, axis)
    rise -= result
    rise *= share
    result += rise
    return result
