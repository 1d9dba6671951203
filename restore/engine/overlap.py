"""Pictures through networks that take windows of one size: overlapping, and blended."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from restore.engine.in_order import in_order

__all__ = ["run_overlapping"]

Pixels = NDArray[np.float32]
Corner = tuple[int, int]


def run_overlapping(
    network: Callable[[Pixels], Pixels],
    pixels: Pixels,
    *,
    window: int,
    stride: int,
    channels: int,
    batch: int,
    workers: int = 1,
) -> Pixels:
    """Apply ``network`` to overlapping windows and return their weighted mean.

    A window counts most in its middle and next to nothing at its edge, so that no edge shows.

    Args:
        network: maps ``[B, C, window, window]`` to ``[B, channels, window, window]``.
        pixels: ``[C, H, W]``, any size; smaller pictures are mirrored at their far edges.
        window: side of a window in pixels.
        stride: from one window to the next, at most half of ``window``.
        channels: of the result.
        batch: windows that the network takes at once.
        workers: threads that ``network`` is called from; the result does not depend on it.

    Returns:
        ``[channels, H, W]``.
    """
    height, width = pixels.shape[1:]
    missing = [max(0, window - size) for size in (height, width)]
    padded = np.pad(pixels, ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")
    ramp = np.minimum(np.arange(1, window + 1), np.arange(window, 0, -1)) / (window / 2)
    weight = np.outer(ramp, ramp).astype(np.float32)
    total = np.zeros((channels, *padded.shape[1:]), np.float32)
    weights = np.zeros(padded.shape[1:], np.float32)

    def run(corners: list[Corner]) -> tuple[list[Corner], Pixels]:
        cut = np.stack([padded[:, y : y + window, x : x + window] for y, x in corners])
        return corners, network(cut)

    batches = _batches(_corners(padded.shape[1:], window, stride), batch)
    for corners, results in in_order(run, batches, workers=workers):
        for (y, x), result in zip(corners, results, strict=True):
            total[:, y : y + window, x : x + window] += weight * result
            weights[y : y + window, x : x + window] += weight
    total /= weights
    return total[:, :height, :width]


def _batches(corners: Iterator[Corner], count: int) -> Iterator[list[Corner]]:
    while batch := list(islice(corners, count)):
        yield batch


def _corners(shape: tuple[int, ...], window: int, stride: int) -> Iterator[Corner]:
    """Return the corners of windows that cover ``shape``, the last ones flush with its edges."""
    starts = [[*range(0, size - window, stride), size - window] for size in shape]
    return ((y, x) for y in starts[0] for x in starts[1])
