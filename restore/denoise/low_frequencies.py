"""Giving back the low frequencies that a network for camera noise took from a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.engine.tiles import Area

__all__ = ["LowFrequencies"]

Pixels = NDArray[np.float32]

_BLOCK = 32
# The filter of the blocks' means: a binomial one, close to a Gaussian of one block.
_SMOOTHING = (0.25, 0.5, 0.25)
_NEAR_CLIPPING = 0.5 / 255
# Shares of clipped samples: where noise is as it was, and where its mean tells nothing.
_FEW_CLIPPED, _MANY_CLIPPED = 0.01, 0.05
# What differs by more than so many times the mean difference nearby was replaced by a fault; of
# Gaussian noise it is one sample in 700. It is told by the next of a few limits, so that parts of
# a picture can be added in any way.
_FAR_OFF = 4
_LIMITS = (16 / 255, 48 / 255, 112 / 255, np.inf)


class LowFrequencies:
    """What a network took from each channel at the scale of 32 pixels and more.

    Noise has zero mean. A network trained on the noise of cameras nevertheless shifts colours
    slightly, mostly in shadows: there, clipping at black raises the mean of the noise, which it
    learned to take back, and it cannot always tell whether that happened. So the local mean of
    every channel is kept, unless more than a twentieth of the samples nearby are clipped. Impulses
    do not count: white dots, whose mean is not zero, would brighten what surrounds them.

    Args:
        channels: Number of channels of the picture.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        blocks = (channels, -(-height // _BLOCK), -(-width // _BLOCK))
        self._taken = np.zeros((len(_LIMITS), *blocks))
        self._changed = np.zeros(blocks)
        self._clipped = np.zeros(blocks)
        self._samples = np.zeros(blocks[1:])

    def add(self, part: Area, noisy: Pixels, restored: Pixels) -> None:
        """Accumulate a part of the picture, ``[C, h, w]``, before any is given back."""
        rows, columns = part
        first_block, last_block = columns.start // _BLOCK, (columns.stop - 1) // _BLOCK
        across = slice(first_block, last_block + 1)
        firsts = np.maximum(np.arange(first_block, last_block + 1) * _BLOCK, columns.start)
        firsts -= columns.start
        # In bands that stay in the cache from one step to the next.
        start = rows.start
        while start < rows.stop:
            down = start // _BLOCK
            stop = min((down + 1) * _BLOCK, rows.stop)
            band = slice(start - rows.start, stop - rows.start)
            theirs, ours = noisy[:, band], restored[:, band]
            widths = np.diff(firsts, append=columns.stop - columns.start)
            is_clipped = (theirs <= _NEAR_CLIPPING) | (theirs >= 1 - _NEAR_CLIPPING)
            taken = theirs - ours
            size = np.abs(taken)
            self._changed[:, down, across] += _by_block(size, firsts)
            for sums, limit in zip(self._taken, _LIMITS, strict=True):
                kept = taken if limit == np.inf else taken * (size <= limit)
                sums[:, down, across] += _by_block(kept, firsts)
            self._clipped[:, down, across] += _by_block(is_clipped, firsts)
            self._samples[down, across] += (stop - start) * widths
            start = stop

    def give_back(self, restored: Pixels, top: int = 0) -> None:
        """Add what was taken to all rows of the picture from ``top`` on, ``[C, h, W]``, in place.

        Raises:
            ValueError: parts of the picture were never added.
        """
        if not self._samples.all():
            raise ValueError("the low frequencies of the whole picture are not known yet")
        clipped = self._clipped / self._samples
        trust = np.clip((_MANY_CLIPPED - clipped) / (_MANY_CLIPPED - _FEW_CLIPPED), 0, 1)
        limits = np.searchsorted(_LIMITS, _FAR_OFF * self._changed / self._samples)
        taken = np.take_along_axis(self._taken, limits[None], axis=0)[0]
        taken, weight = _smooth(trust * taken), _smooth(trust * self._samples)
        means = trust * np.divide(taken, weight, out=np.zeros_like(taken), where=weight > 0)
        means = means.astype(np.float32)
        left, right, share = _neighbours(means.shape[2], np.arange(restored.shape[2]))
        for start in range(0, restored.shape[1], _BLOCK):
            band = restored[:, start : start + _BLOCK]
            above, below, down = _neighbours(
                means.shape[1], np.arange(top + start, top + start + band.shape[1])
            )
            down = down[:, None]
            lines = (1 - down) * means[:, above] + down * means[:, below]
            band += (1 - share) * lines[:, :, left] + share * lines[:, :, right]


def _by_block(band: NDArray[Any], firsts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sums ``[C, blocks]`` over a band ``[C, h, w]`` of blocks that begin at columns."""
    by_column = band.sum(axis=1, dtype=np.float64)
    sums: NDArray[np.float64] = np.add.reduceat(by_column, firsts, axis=1)
    return sums


def _smooth(blocks: NDArray[np.float64]) -> NDArray[np.float64]:
    for axis in (1, 2):
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        padded = np.moveaxis(np.pad(blocks, padding), axis, 0)
        before, here, after = (padded[:-2], padded[1:-1], padded[2:])
        mixed = _SMOOTHING[0] * before + _SMOOTHING[1] * here + _SMOOTHING[2] * after
        blocks = np.moveaxis(mixed, 0, axis)
    return blocks


def _neighbours(
    blocks: int, places: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Pixels]:
    """Return, for linear interpolation, the blocks around each place and the second one's share.

    Beyond the centres of the outermost blocks, those blocks hold.
    """
    centred = np.clip((places + 0.5) / _BLOCK - 0.5, 0, blocks - 1)
    first = centred.astype(np.int64)
    second = np.minimum(first + 1, blocks - 1)
    return first, second, (centred - first).astype(np.float32)
