"""How strong noise is in the dark and in the light, measured where pictures are smoothest."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["NoiseBySignal", "measure_noise_by_signal"]

Floats = NDArray[np.float64]

_SIDE = 16
_CELLS = (_SIDE // 2) ** 2
_RANGES = (0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 0.95, 1)
"""Shares of the blocks between which those of a range of brightness lie."""
_KNOT_ERROR = 0.05
"""Relative error of a measured variance."""
_SURELY = 3.0
"""Errors of a slope that it must exceed for a curve to go on beyond what was measured."""
_LEAST_SHARE, _BRIGHTEST = 0.25, 100.0
"""How far it goes on: in the dark down to this share of the first variance, in the light for so
many times the range of signals that were measured."""
_SMOOTHEST, _FEWEST = 0.03, 12
_MOST_CLIPPED = 0.1
_FILLED = 1e-4
"""Share of the usual variance of a channel below which it has no noise in a block, as where samples
were unknown."""

_MOST_TEXTURE = 1.5
_MOST_BLOCKS = 1024
_HEAVY_TAILS = 0.5


@dataclass(frozen=True, kw_only=True)
class NoiseBySignal:
    """The variance of noise by the signal, which pictures of one kind share.

    Attributes:
        signal: samples at which the variance was measured, ``[C, K]``, ascending; but for the
            first and the last, which it was extrapolated to.
        variance: variance of the noise there, ``[C, K]``; between them it is linear.
        correlation: correlation of the noise of the channels, ``[C, C]``.
        excess_kurtosis: that of differences or means of four pixels: 0 for Gaussian noise.
        is_white: whether it is white; then texture can be told from it.
    """

    signal: Floats
    variance: Floats
    correlation: Floats
    excess_kurtosis: float
    is_white: bool = True

    @property
    def is_gaussian(self) -> bool:
        """Whether Gaussian noise is a stand-in for it: not for spots and single counts."""
        return self.excess_kurtosis < _HEAVY_TAILS

    @property
    def sigma(self) -> float:
        """Standard deviation, root mean square over the brightnesses that were measured."""
        return float(np.sqrt(self.variance[:, 1:-1].mean()))

    def factor(self, picture: NDArray[np.float32]) -> float:
        """Return the variance in one picture in units of this one.

        It is 1 where it cannot be measured: where noise is correlated or hidden by texture, or
        there are too few blocks.

        Args:
            picture: ``[C, H, W]``, as those that were measured.
        """
        if not self.is_white:
            return 1.0
        blocks = _blocks(picture, is_white=True)
        if len(blocks.means) < _FEWEST:
            return 1.0
        expected = self.at(blocks.means)
        coarse, fine = blocks.coarse / expected, blocks.variance / expected
        chosen = _smoothest(coarse.sum(axis=1))
        if coarse[chosen].mean() > _MOST_TEXTURE * fine[chosen].mean():
            return 1.0
        return float(fine[chosen].mean())

    def at(self, samples: Floats) -> Floats:
        """Return the variances at samples ``[N, C]``."""
        return _interpolated(samples, self.signal, self.variance)


@dataclass(frozen=True)
class _Blocks:
    """Blocks of a picture, and what varies in them at two scales.

    Attributes:
        means: mean of each, ``[N, C]``.
        coarse: variance of the means of two by two pixels around a quadratic surface, times 4: of
            white noise, that of its pixels, ``[N, C]``.
        noise: what noise is measured in: diagonal differences within two by two pixels of white
            noise, these means of correlated noise, ``[N, C, 64]``.
    """

    means: Floats
    coarse: Floats
    noise: Floats

    @property
    def variance(self) -> Floats:
        """Variance of the noise, ``[N, C]``."""
        variances: Floats = np.square(self.noise).mean(axis=2)
        return variances

    def __getitem__(self, index: NDArray[np.int64]) -> "_Blocks":
        return _Blocks(self.means[index], self.coarse[index], self.noise[index])


def measure_noise_by_signal(
    pictures: Iterable[NDArray[np.float32]], *, variance: float | None = None
) -> NoiseBySignal | None:
    """Measure the noise in pictures of one kind.

    Means of two by two pixels tell which blocks of 16 by 16 are smooth, and the diagonal
    differences within them, ``(a - b - c + d) / 2``, how noisy these are: of white noise, the two
    are independent, so that the choice does not favour blocks that are quiet by chance. Each
    channel is measured in seven ranges of brightness.

    Where noise is correlated, little of it may be left in the differences. It is measured in the
    means themselves, in units of what is known of the smoothest blocks.

    Args:
        pictures: ``[C, H, W]`` of one scale; blocks with values that are clipped or not finite are
            left out.
        variance: variance of the noise in the smoothest blocks where it is correlated; None for
            white noise.

    Returns:
        None where there are too few blocks, or no noise in them.
    """
    is_white = variance is None
    found = [_blocks(picture, is_white=is_white) for picture in pictures]
    if sum(len(blocks.means) for blocks in found) < _FEWEST:
        return None
    every = _Blocks(*(np.concatenate(part) for part in zip(*map(_parts, found), strict=True)))
    curves = [_extended(*_curve(every, channel)) for channel in range(every.means.shape[1])]
    signal, differences = _stacked(curves)
    if not differences.min() > 0:
        return None
    smoothest = every[_smoothest(every.coarse.sum(axis=1))]
    smooth = smoothest.noise
    unit = 1.0
    if variance is not None:
        unit = float(_interpolated(smoothest.means, signal, differences).mean()) / variance
    # By block, so that what differs between dark and light does not pass for heavy tails.
    own = np.square(smooth).mean(axis=2)
    kurtosis = (smooth**4).mean(axis=2) / np.square(own) * (1 + 2 / _CELLS) - 3
    by_channel = (smooth / np.sqrt(own)[..., None]).transpose(1, 0, 2).reshape(own.shape[1], -1)
    return NoiseBySignal(
        signal=signal,
        variance=differences / unit,
        correlation=by_channel @ by_channel.T / by_channel.shape[1],
        excess_kurtosis=float(kurtosis.mean()),
        is_white=is_white,
    )


def _parts(blocks: _Blocks) -> tuple[Floats, Floats, Floats]:
    return blocks.means, blocks.coarse, blocks.noise


def _curve(blocks: _Blocks, channel: int) -> tuple[Floats, Floats]:
    """Return mean signals and variances of one channel in ranges of brightness."""
    means, coarse = blocks.means[:, channel], blocks.coarse[:, channel]
    variance = blocks.variance[:, channel]
    order = np.argsort(means, kind="stable")
    bounds = [0]
    for share in _RANGES[1:-1]:
        bound = round(share * len(order))
        if min(bound - bounds[-1], len(order) - bound) >= _FEWEST:
            bounds.append(bound)
    points = []
    for first, last in pairwise([*bounds, len(order)]):
        part = order[first:last]
        chosen = part[_smoothest(coarse[part])]
        points.append([each[chosen].mean() for each in (means, variance, coarse)])
    signal, variances, rough = np.array(points).T
    # Where the smoothest are still textured, the other ranges say more about the noise.
    texture = rough / np.maximum(variances, np.finfo(float).tiny)
    plain = texture <= _MOST_TEXTURE * texture.min()
    signal, variances = signal[plain], variances[plain]
    # Of equal means, as in an empty picture, one is as good as another.
    return np.maximum.accumulate(signal), variances


def _extended(signal: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return a curve with an end on either side, up to which it goes on as it is on the whole.

    What is brightest is rarely smooth. Shot noise goes on rising there.
    """
    slope = 0.0
    weights = 1 / np.square(_KNOT_ERROR * np.maximum(variance, _LEAST_SHARE * variance.mean()))
    centred = signal - np.average(signal, weights=weights)
    spread = float((weights * np.square(centred)).sum())
    if spread > 0:
        fitted = float((weights * centred * variance).sum()) / spread
        slope = fitted if fitted > _SURELY / spread**0.5 else 0.0
    brighter = _BRIGHTEST * float(np.ptp(signal))
    darker = (1 - _LEAST_SHARE) * float(variance[0]) / slope if slope else 0.0
    return (
        np.array([signal[0] - darker, *signal, signal[-1] + brighter]),
        np.array([variance[0] - slope * darker, *variance, variance[-1] + slope * brighter]),
    )


def _interpolated(samples: Floats, signal: Floats, variance: Floats) -> Floats:
    curves = zip(samples.T, signal, variance, strict=True)
    variances: Floats = np.stack([np.interp(*each) for each in curves], axis=1)
    return variances


def _stacked(curves: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Return the curves of the channels, of as many points each, ``[C, K]``.

    What is repeated for it is the last point that was measured, not the end beyond.
    """
    most = max(len(signal) for signal, _ in curves)
    signal, variance = (
        np.stack([np.insert(part, -1, [part[-2]] * (most - len(part))) for part in parts])
        for parts in zip(*curves, strict=True)
    )
    return signal, variance


def _smoothest(coarse: Floats) -> NDArray[np.int64]:
    count = min(len(coarse), max(_FEWEST, int(_SMOOTHEST * len(coarse))))
    return np.argsort(coarse, kind="stable")[:count]


def _quadratics() -> Floats:
    """Return an orthonormal basis of the quadratic surfaces over a block, ``[64, 6]``."""
    rows, columns = np.indices((_SIDE // 2, _SIDE // 2)).reshape(2, -1) / (_SIDE / 4) - 1
    surfaces = [rows**0, rows, columns, rows**2, rows * columns, columns**2]
    return np.linalg.qr(np.stack(surfaces, axis=1))[0]


_QUADRATICS = _quadratics()


def _blocks(picture: NDArray[np.float32], *, is_white: bool) -> _Blocks:
    channels, height, width = picture.shape
    down, across = height // _SIDE, width // _SIDE
    cut = picture[:, : down * _SIDE, : across * _SIDE].reshape(channels, down, _SIDE, across, _SIDE)
    pixels = cut.transpose(1, 3, 0, 2, 4).reshape(-1, channels, _SIDE, _SIDE)
    pixels = pixels[:: max(1, -(-len(pixels) // _MOST_BLOCKS))].astype(np.float64)
    flat = pixels.reshape(*pixels.shape[:2], _SIDE**2)
    usable = np.isfinite(flat).all(axis=(1, 2))
    ends = [flat == end(flat, axis=2, keepdims=True) for end in (np.min, np.max)]
    usable &= (np.maximum(*(end.mean(axis=2) for end in ends)) < _MOST_CLIPPED).all(axis=1)
    first, second, third, fourth = (
        pixels[usable][:, :, row::2, column::2].reshape(-1, channels, _CELLS)
        for row in (0, 1)
        for column in (0, 1)
    )
    means = (first + second + third + fourth) / 4
    rough = means - means @ _QUADRATICS @ _QUADRATICS.T
    found = _Blocks(
        means=means.mean(axis=2),
        coarse=4 * np.square(rough).sum(axis=2) / (_CELLS - _QUADRATICS.shape[1]),
        noise=(first - second - third + fourth) / 2 if is_white else 2 * rough,
    )
    if not len(found.means):
        return found
    variance = found.variance
    has_noise = variance > _FILLED * np.median(variance, axis=0)
    return found[np.flatnonzero(has_noise.all(axis=1))]
