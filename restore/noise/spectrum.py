"""The spectrum of the noise in the smoothest blocks of a channel."""

import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from restore.noise.estimate import ClippingLimits, window_places

__all__ = ["BLOCK_SIDE", "SHARES", "SPECTRUM_BANDS", "block_places", "blocks_of", "smooth_spectra"]

BLOCK_SIDE = 16
"""Height and width of the blocks in pixels."""

SHARES = (0.01, 0.03, 0.1, 0.3)
"""Shares of the blocks, the smoothest first, whose mean spectra are returned."""

_MOST_BLOCKS = 4096
_FEWEST_BLOCKS = 64
_FEWEST_CHOSEN = 8
_MOST_CLIPPED = 0.05

# Radii in units of half a period per block. The last band ends at the highest diagonal frequency.
_EDGES = (1.2, 3.0, 4.5, 6.5, 9.0, 12.0, 15.5, 22.0)
_CHOOSING = (2.0, 9.0)

SPECTRUM_BANDS = len(_EDGES) - 1
"""Number of bands, from coarse to fine."""


def _cosines() -> NDArray[np.float32]:
    """Return the matrix of the orthonormal cosine transform (DCT-II)."""
    order = np.arange(BLOCK_SIDE)
    waves = np.cos(np.pi * (2 * order + 1) * order[:, None] / (2 * BLOCK_SIDE))
    waves *= np.sqrt(2 / BLOCK_SIDE)
    waves[0] /= np.sqrt(2)
    return waves.astype(np.float32)


def _averages() -> NDArray[np.float32]:
    """Return the matrix from the energies of a block to the means of bands, ``[256, 2, 8]``.

    Coefficients are split like the fields of a checkerboard. For each half there are the means of
    the bands and, last, the mean that chooses blocks. Rows and columns of order 0 are left out:
    ramps and straight edges along the axes leave everything there.
    """
    rows, columns = np.indices((BLOCK_SIDE, BLOCK_SIDE))
    radius = np.hypot(rows, columns)
    is_inner = (rows > 0) & (columns > 0)
    limits = [*itertools.pairwise(_EDGES), _CHOOSING]
    averages = np.zeros((BLOCK_SIDE**2, 2, len(limits)), np.float32)
    for half in (0, 1):
        for index, (low, high) in enumerate(limits):
            is_in = is_inner & ((rows + columns) % 2 == half) & (radius >= low) & (radius < high)
            averages[is_in.ravel(), half, index] = 1 / np.count_nonzero(is_in)
    return averages


_COSINES, _AVERAGES = _cosines(), _averages()


def block_places(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows, in ascending order, and the columns at which blocks begin.

    Args:
        height: height of the picture in pixels, at least ``BLOCK_SIDE``.
        width: width of the picture in pixels, at least ``BLOCK_SIDE``.
    """
    return window_places(height, width, side=BLOCK_SIDE, most=_MOST_BLOCKS)


def blocks_of(channel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return at most 4,096 blocks of ``[H, W]``, spread evenly, as ``[N, 16, 16]``."""
    if min(channel.shape) < BLOCK_SIDE:
        return np.empty((0, BLOCK_SIDE, BLOCK_SIDE), np.float32)
    windows = sliding_window_view(channel, (BLOCK_SIDE, BLOCK_SIDE))
    return np.asarray(windows[block_places(*channel.shape)])


def smooth_spectra(
    blocks: NDArray[np.float32], limits: ClippingLimits
) -> NDArray[np.float64] | None:
    """Return the mean spectra of the smoothest blocks, or None if there are too few blocks.

    Blocks are sorted by one half of the coefficients of their cosine transforms and measured by the
    other half, and the other way round. The coefficients of noise are independent, so that this
    choice does not bias its spectrum (Ponomarenko et al., "An automatic approach to lossy
    compression of AVIRIS images", IGARSS 2007; Colom and Buades, "Analysis and extension of the
    Ponomarenko et al. method", IPOL 2013).

    Args:
        blocks: ``[N, 16, 16]``; those with values that are not finite are left out, and those with
            more than 5 % of clipped values unless hardly any others remain.
        limits: clipping limits of the channel that they are from.

    Returns:
        Variances, white noise of deviation sigma having sigma^2 everywhere, as ``[share, band]``:
        of the smoothest 1, 3, 10 and 30 % of blocks.
    """
    blocks = blocks[np.isfinite(blocks).all(axis=(1, 2))]
    if len(blocks) < _FEWEST_BLOCKS:
        return None
    clipped = ((blocks <= limits.low) | (blocks >= limits.high)).mean(axis=(1, 2))
    accepted = max(
        _MOST_CLIPPED, float(np.partition(clipped, _FEWEST_BLOCKS - 1)[_FEWEST_BLOCKS - 1])
    )
    blocks = blocks[clipped <= accepted]
    coefficients = _COSINES @ blocks @ _COSINES.T
    energies = np.square(coefficients, out=coefficients).reshape(len(blocks), -1)
    means = (energies @ _AVERAGES.reshape(BLOCK_SIDE**2, -1)).reshape(len(blocks), 2, -1)
    spectra = np.zeros((len(SHARES), SPECTRUM_BANDS))
    for half in (0, 1):
        order = np.argsort(means[:, half, -1], kind="stable")
        measured = means[order, 1 - half, :-1].astype(np.float64)
        for index, share in enumerate(SHARES):
            spectra[index] += (
                measured[: max(_FEWEST_CHOSEN, int(share * len(blocks)))].mean(axis=0) / 2
            )
    return spectra
