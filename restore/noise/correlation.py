"""How far the noise of a picture is correlated, measured where the picture is smoothest."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from restore.noise.estimate import window_places

__all__ = ["MOST_REACH", "NoiseCorrelation", "measure_correlation"]

MOST_REACH = 6
"""Largest reach that is told apart, in pixels."""

_SIDE = 32
_MOST_BLOCKS = 256
_SMOOTHEST, _FEWEST = 0.02, 12
_MOST_CLIPPED = 0.1
_LAGS = 12
_CORRELATED = 0.12
"""Correlation above which neighbours count as correlated: what texture leaves behind is less."""

_ALIKE = 0.05
"""Difference of correlations below which they count as the same."""

_LEAST_POWER = 1e-3
"""Least power in units of the most: correlations that end early leave less than none."""


@dataclass(frozen=True, kw_only=True)
class NoiseCorrelation:
    """The correlation of noise with that of its neighbours.

    Attributes:
        sigma: standard deviation of the noise, in the units of the pixels.
        down: correlation with the noise 1, 2, ... pixels below.
        across: correlation with the noise 1, 2, ... pixels to the right.
        blocks: number of blocks that were measured; 0 where a picture is too small to tell.
    """

    sigma: float
    down: tuple[float, ...]
    across: tuple[float, ...]
    blocks: int

    @property
    def reach(self) -> tuple[int, int]:
        """How many pixels below and to the right noise is correlated, up to ``MOST_REACH``."""
        return _reach(self.down), _reach(self.across)

    @property
    def is_white(self) -> bool:
        """Whether the noise of neighbouring pixels is independent."""
        return self.reach == (0, 0)

    @property
    def is_alike(self) -> bool:
        """Whether rows and columns have about the same correlations, as far as they reach."""
        (down, across), pairs = self.reach, zip(self.down, self.across, strict=True)
        return down == across and all(abs(a - b) < _ALIKE for a, b in itertools.islice(pairs, down))

    def spectrum(self, side: int, *, scale: int = 1) -> NDArray[np.float64]:
        """Return the power spectrum of noise with these correlations, as far as they reach.

        Down and across are taken to be independent, as they are where white noise was blurred or
        scaled.

        Args:
            side: height and width of the picture, in pixels after averaging.
            scale: pixels across the blocks that are averaged.

        Returns:
            ``[side, side // 2 + 1]``, as of ``numpy.fft.rfft2``; the mean over all frequencies is
            the variance, in units of that of the noise before averaging.
        """
        down, across = (
            _spectrum(each[:reach], side, scale)
            for each, reach in zip((self.down, self.across), self.reach, strict=True)
        )
        power: NDArray[np.float64] = np.outer(down, across[: side // 2 + 1])
        return power

    def __str__(self) -> str:
        if not self.blocks:
            return "taken for white: the pictures are too small to measure it"
        if self.is_white:
            return f"white (correlation of neighbours {self._most:.2f})"
        down, across = self.reach
        return (
            f"correlated over {across} pixels along rows and {down} along columns "
            f"(correlation of neighbours {self._most:.2f})"
        )

    @property
    def _most(self) -> float:
        return max(self.down[0], self.across[0])


def measure_correlation(pictures: Iterable[NDArray[np.float32]]) -> NoiseCorrelation:
    """Measure the autocorrelation of the noise in pictures of one kind.

    Of all blocks of 32 by 32 pixels the smoothest count, each without a quadratic surface that is
    fitted to it. What the autocovariance is at lags of 7 to 12 pixels is texture, and subtracted.

    Args:
        pictures: ``[C, H, W]`` of one scale; blocks with values that are clipped or not finite are
            left out.
    """
    every = [_residuals(channel) for picture in pictures for channel in picture]
    residuals = np.concatenate([np.empty((0, _SIDE, _SIDE)), *every])
    if not len(residuals):
        return NoiseCorrelation(sigma=0.0, down=(0.0,), across=(0.0,), blocks=0)
    energies = np.square(residuals).sum(axis=(1, 2))
    count = min(len(residuals), max(_FEWEST, int(_SMOOTHEST * len(residuals))))
    means = _autocovariances(residuals[np.argsort(energies, kind="stable")[:count]])
    texture = np.clip(means[:, MOST_REACH + 1 :].mean(axis=1), 0, None)
    noise = means - texture[:, None]
    variance = float(noise[:, 0].mean())
    if variance <= 0:
        return NoiseCorrelation(sigma=0.0, down=(0.0,), across=(0.0,), blocks=count)
    down, across = (
        tuple(round(float(each), 4) for each in row[1 : MOST_REACH + 1] / variance) for row in noise
    )
    return NoiseCorrelation(sigma=variance**0.5, down=down, across=across, blocks=count)


def _reach(correlations: tuple[float, ...]) -> int:
    """Return how many correlations in a row, from the first, count."""
    return sum(1 for _ in itertools.takewhile(lambda each: abs(each) > _CORRELATED, correlations))


def _spectrum(correlations: tuple[float, ...], side: int, scale: int) -> NDArray[np.float64]:
    """Return the power spectrum along one axis, ``[side]``."""
    known = np.array([*correlations[::-1], 1.0, *correlations])
    # The autocorrelation of the average, of which every scale-th lag is left.
    box = np.convolve(np.ones(scale), np.ones(scale)) / scale**2
    averaged = np.convolve(known, box)
    lags = np.arange(len(averaged)) - len(averaged) // 2
    kept = lags % scale == 0
    phases = np.cos(2 * np.pi * np.outer(np.arange(side), lags[kept] // scale) / side)
    power = phases @ averaged[kept]
    positive: NDArray[np.float64] = np.maximum(power, _LEAST_POWER * power.max())
    return positive


def _quadratics() -> NDArray[np.float64]:
    """Return an orthonormal basis of the quadratic surfaces over a block, ``[1024, 6]``."""
    rows, columns = np.indices((_SIDE, _SIDE)).reshape(2, -1) / (_SIDE / 2) - 1
    surfaces = [rows**0, rows, columns, rows**2, rows * columns, columns**2]
    return np.linalg.qr(np.stack(surfaces, axis=1))[0]


_QUADRATICS = _quadratics()


def _residuals(channel: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return blocks without their quadratic surfaces, ``[N, 32, 32]``."""
    if min(channel.shape) < _SIDE:
        return np.empty((0, _SIDE, _SIDE))
    places = window_places(*channel.shape, side=_SIDE, most=_MOST_BLOCKS)
    windows = sliding_window_view(channel, (_SIDE, _SIDE))
    blocks = windows[places].reshape(-1, _SIDE**2).astype(np.float64)
    blocks = blocks[np.isfinite(blocks).all(axis=1)]
    is_least = blocks == blocks.min(axis=1, keepdims=True)
    is_most = blocks == blocks.max(axis=1, keepdims=True)
    clipped = np.maximum(is_least.mean(axis=1), is_most.mean(axis=1))
    blocks = blocks[clipped < _MOST_CLIPPED]
    residuals: NDArray[np.float64] = blocks - blocks @ _QUADRATICS @ _QUADRATICS.T
    return residuals.reshape(-1, _SIDE, _SIDE)


def _autocovariances(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean autocovariances down and across, ``[2, lags]``."""
    lags = range(_LAGS + 1)
    down = [(blocks[:, : _SIDE - lag] * blocks[:, lag:]).mean() for lag in lags]
    across = [(blocks[..., : _SIDE - lag] * blocks[..., lag:]).mean() for lag in lags]
    return np.array([down, across])
