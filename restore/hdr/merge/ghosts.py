"""What moved between the frames of a bracket, found sample by sample."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.hdr.merge.frames import Frame, variance

__all__ = ["DEVIATIONS", "Estimate", "moved_share"]

DEVIATIONS = 4.0
"""Deviations of the noise beyond which a sample disagrees, unless another number is given."""

_CELL = 2
_SLACK_LINEAR, _SLACK_CURVE = 0.05, 0.15
_WEAK = 0.5
_GROWN_CELLS, _SOFT_CELLS, _WHOLLY = 3, 4.0, 0.8
_CERTAIN_SATURATED = 0.75
_MOST_CORRECTION = 2**0.5
_LEAST_COMPARED, _BRIGHT = 200, 0.02


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What the frames so far say, on the reference.

    Attributes:
        total: Weighted sums of linear light ``[3, H, W]``, 1 the reference's white.
        weights: Sums of the weights ``[H, W]``, proportional to the inverse of the variance.
        use: ``[H, W]``, 0 where every frame so far saturates; see ``Frame``.
    """

    total: NDArray[np.float32]
    weights: NDArray[np.float32]
    use: NDArray[np.float32]


def moved_share(
    frame: Frame,
    exposure: float,
    estimate: Estimate,
    *,
    deviations: float,
    unit_variance: float,
    is_linear: bool,
) -> NDArray[np.float32]:
    """Return how far a frame shows something else than the estimate, ``[H, W]`` in [0, 1].

    Means over cells of 2x2 pixels are compared. A cell disagrees where its light lies further
    outside the range of the estimate's 3x3 cells around it (edges may be registered a pixel apart)
    than ``deviations`` of the noise of both, and than a share of the light for errors of the
    exposure times and the response. Where the estimate saturates, a frame disagrees that is
    clearly darker than the saturation. Single cells are dropped, the others grown to the less
    certain cells that they touch, and the edges softened: the weight map of Granados et al.,
    "Automatic noise modeling for ghost-free HDR reconstruction", SIGGRAPH Asia 2013, without its
    energy minimisation.

    Args:
        frame: Frame that lies on the reference.
        exposure: Its exposure over that of the reference.
        estimate: What it is compared with.
        deviations: Standard deviations that the noise may explain.
        unit_variance: Variance of the estimate where its weight is 1.
        is_linear: Whether the frame's samples were linear.
    """
    height, width = frame.use.shape
    if min(height, width) < 3 * _CELL:
        return np.zeros((height, width), dtype=np.float32)
    sees = _cells(frame.use) > 0
    known = _cells(estimate.use, least=True) > 0
    weights = np.maximum(_cells(estimate.weights), np.finfo(np.float32).tiny)
    expected = [_cells(plane) / weights for plane in estimate.total]
    light = [_cells(plane) / np.float32(exposure) for plane in frame.light]
    correction = np.float32(_correction(light[1], expected[1], sees & known))
    slack = _SLACK_LINEAR if is_linear else _SLACK_CURVE
    noise = _cells(variance(frame)) / np.float32(exposure**2)
    noise += np.float32(unit_variance) / weights
    noise = np.sqrt(noise / _CELL**2) * np.float32(deviations)
    # A camera's rendering of saturated colours mixes the channels.
    brightest = None if is_linear else np.maximum.reduce([*light, *expected])
    excess = np.zeros(sees.shape, dtype=np.float32)
    for plane, reference in zip(light, expected, strict=True):
        plane /= correction
        low, high = (extreme(reference, size=3) for extreme in _EXTREMES)
        distance = np.maximum(low - plane, plane - high)
        size = np.maximum(np.abs(low), np.abs(plane)) if brightest is None else brightest
        tolerated = noise + np.float32(slack) * size
        hidden = _CERTAIN_SATURATED * reference - plane
        np.copyto(distance, hidden, where=~known)
        np.maximum(excess, distance / tolerated, out=excess)
    excess *= sees
    return _softened(_grown(excess), (height, width))


_EXTREMES = (ndimage.minimum_filter, ndimage.maximum_filter)


def _correction(
    light: NDArray[Any], expected: NDArray[Any], comparable: NDArray[np.bool_]
) -> float:
    """Return the factor by which a frame's exposure differs from what is stated.

    Cameras round times and apertures; half a stop at most is put down to that.
    """
    bright = comparable & (expected > _BRIGHT) & (light > _BRIGHT)
    if np.count_nonzero(bright) < _LEAST_COMPARED:
        return 1.0
    ratio = float(np.median(light[bright] / expected[bright]))
    return ratio if 1 / _MOST_CORRECTION < ratio < _MOST_CORRECTION else 1.0


def _grown(excess: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the places that disagree, with the doubtful ones that they touch."""
    certain: NDArray[np.bool_] = ndimage.binary_opening(
        excess > 1, structure=np.ones((2, 2), dtype=bool)
    )
    if not certain.any():
        return certain
    doubtful = (excess > _WEAK) | certain
    whole = ndimage.binary_propagation(certain, mask=doubtful)
    # Wide enough for the edge to be softened outside of what differs.
    iterations = _GROWN_CELLS + round(2 * _SOFT_CELLS)
    grown: NDArray[np.bool_] = ndimage.binary_dilation(whole, iterations=iterations)
    return grown


def _softened(cells: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a map of all pixels, 1 in the places and falling to 0 around them."""
    height, width = size
    if not cells.any():
        return np.zeros(size, dtype=np.float32)
    soft = ndimage.gaussian_filter(cells.astype(np.float32), _SOFT_CELLS, truncate=2)
    # Nothing of a longer exposure, whose weight is many times that of the reference.
    soft = np.minimum(soft / np.float32(_WHOLLY), 1)
    pixels = soft.repeat(_CELL, axis=0).repeat(_CELL, axis=1)
    missing = ((0, max(0, height - pixels.shape[0])), (0, max(0, width - pixels.shape[1])))
    return np.pad(pixels, missing, mode="edge")[:height, :width]


def _cells(plane: NDArray[np.float32], *, least: bool = False) -> NDArray[np.float32]:
    """Return the mean, or the least value, of each cell; an odd last row or column is left out."""
    height, width = (size // _CELL * _CELL for size in plane.shape)
    cells = plane[:height, :width].reshape(height // _CELL, _CELL, width // _CELL, _CELL)
    result: NDArray[np.float32] = (
        cells.min(axis=(1, 3)) if least else cells.mean(axis=(1, 3), dtype=np.float32)
    )
    return result
