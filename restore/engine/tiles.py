"""Tiling: a picture is cut into tiles with a halo, and the cores of the results are kept."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from restore.errors import UsageError

__all__ = ["Area", "Window", "each_tile", "in_order", "run_overlapping", "windows"]

Pixels = NDArray[np.float32]

_ALIGNED = 16
_SPLIT_ABOVE = 768
"""Side above which a picture of a single tile is split in two, for two lanes to share."""

Area = tuple[slice, slice]
"""Rows and columns of a picture."""


@dataclass(frozen=True)
class Window:
    """The area that a tile reads, and the area of its result that is kept.

    Attributes:
        read: area of the picture that the tile reads, with its halo.
        keep: area of the picture that the tile's result fills.
    """

    read: Area
    keep: Area


def windows(height: int, width: int, *, tile: int, halo: int, multiple: int) -> Iterator[Window]:
    """Cut a picture into tiles of about equal size, whose kept cores cover it exactly once.

    The width that a tile reads is a multiple of 16 pixels where the picture is wide enough: the
    matrix units of CPUs take up to three times as long for other widths.

    Cores start at multiples of ``multiple``, so that a network that halves its resolution sees
    the same grid in every tile and in the whole picture.

    Raises:
        UsageError: ``tile`` is not positive.
    """
    if tile < 1:
        raise UsageError(f"tile {tile}: give a size of at least 1 pixel, or auto")
    core = -(-tile // multiple) * multiple
    margin = -(-halo // multiple) * multiple
    down, across = -(-height // core), -(-width // core)
    if down == across == 1 and max(height, width) > _SPLIT_ABOVE:
        down, across = (2, 1) if height > width else (1, 2)
    for rows, kept_rows in _spans(height, down, margin, multiple):
        for columns, kept_columns in _spans(width, across, margin, multiple):
            columns = _widened(columns, width, multiple)
            yield Window(read=(rows, columns), keep=(kept_rows, kept_columns))


def _spans(size: int, count: int, margin: int, multiple: int) -> Iterator[tuple[slice, slice]]:
    # Equal tiles need the least memory and keep all lanes equally busy.
    core = -(-size // (count * multiple)) * multiple
    for start in range(0, size, core):
        stop = min(start + core, size)
        yield slice(max(0, start - margin), min(size, stop + margin)), slice(start, stop)


def _widened(columns: slice, width: int, multiple: int) -> slice:
    """Extend ``columns`` to a multiple of 16, as far as the picture allows."""
    missing = (columns.start - columns.stop) % _ALIGNED
    stop = min(width, columns.stop + missing)
    missing = (columns.start - stop) % _ALIGNED // multiple * multiple
    return slice(max(0, columns.start - missing), stop)


def each_tile(
    network: Callable[[Pixels], Pixels],
    read: Callable[[Area], Pixels],
    height: int,
    width: int,
    *,
    tile: int,
    halo: int,
    multiple: int,
    scale: int = 1,
    workers: int = 1,
) -> "map[tuple[Area, Pixels, Pixels]]":
    """Apply ``network`` to a picture tile by tile; equals applying it to the whole picture.

    Args:
        network: maps ``[C, h, w]``, h and w multiples of ``multiple``, to
            ``[channels, scale * h, scale * w]``.
        read: returns an area of the picture as ``[C, h, w]``; called for tiles row by row, in the
            consumer's thread.
        height: height of the picture in pixels, at least 1.
        width: width of the picture in pixels, at least 1.
        tile: side of the kept core of a tile in pixels, rounded up to ``multiple``.
        halo: radius of the network's receptive field in pixels.
        multiple: height and width of the network's input must be multiples of this; the picture is
            mirrored at its lower and right edges to reach one.
        scale: output pixels per input pixel, in each direction.
        workers: number of threads that call ``network``; it does not affect the result. At most two
            tiles per thread are in memory.

    Returns:
        An iterator over the area of a part of the result, its input pixels, and its output pixels
        ``[channels, h, w]``; every pixel once, in the same order for any number of workers.
    """

    def run(cut: tuple[Window, Pixels]) -> tuple[Window, Pixels, Pixels]:
        window, patch = cut
        return window, patch, network(_padded(patch, multiple))

    def kept(done: tuple[Window, Pixels, Pixels]) -> tuple[Area, Pixels, Pixels]:
        window, patch, restored = done
        own = [
            (keep.start - read.start, keep.stop - read.start)
            for read, keep in zip(window.read, window.keep, strict=True)
        ]
        rows, columns = (_scaled(keep.start, keep.stop, scale) for keep in window.keep)
        made_of = patch[:, *(slice(*each) for each in own)]
        return (rows, columns), made_of, restored[:, *(_scaled(*each, scale) for each in own)]

    cuts = (
        (window, read(window.read))
        for window in windows(height, width, tile=tile, halo=halo, multiple=multiple)
    )
    return map(kept, in_order(run, cuts, workers=workers))


def _scaled(start: int, stop: int, scale: int) -> slice:
    return slice(scale * start, scale * stop)


def _padded(patch: Pixels, multiple: int) -> Pixels:
    """Mirror the lower and right edges until both sides are multiples of ``multiple``.

    Windows start at multiples, so only those at the picture's edge are padded. Their halo holds the
    rows that are mirrored, so every tile sees the same edge as the whole picture.
    """
    missing = [-size % multiple for size in patch.shape[1:]]
    if not any(missing):
        return patch
    return np.pad(patch, ((0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")


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

    A window's weight falls from its middle to almost zero at its edge, so that no seam shows.

    Args:
        network: maps ``[B, C, window, window]`` to ``[B, channels, window, window]``.
        pixels: ``[C, H, W]``, any size; if smaller than a window, mirrored at the lower and right
            edges.
        window: side of a window in pixels.
        stride: distance between windows in pixels, at most half of ``window``.
        channels: number of output channels.
        batch: number of windows per call of ``network``.
        workers: number of threads that call ``network``; it does not affect the result.

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
    """Return the top left corners of windows that cover ``shape``, the last flush with its edge."""
    starts = [[*range(0, size - window, stride), size - window] for size in shape]
    return ((y, x) for y in starts[0] for x in starts[1])


A = TypeVar("A")
B = TypeVar("B")

_AHEAD = 2
"""Calls per worker that are started before the oldest result is taken."""


def in_order(
    function: Callable[[A], B], arguments: Iterable[A], *, workers: int = 1
) -> Iterator[B]:
    """Yield ``function``'s result for each argument, in order.

    Arguments are drawn in the consumer's thread, and only a few calls ahead, so that memory does
    not grow with their number. Once this ends, for whatever reason, no call is still running.

    Args:
        function: function to apply; called from several threads if there are several workers.
        arguments: arguments of the calls, drawn one by one.
        workers: number of threads; with one, each call runs on demand in the consumer's thread.

    Raises:
        Exception: whatever the first call that fails raises.
    """
    if workers == 1:
        yield from map(function, arguments)
        return
    pool = ThreadPoolExecutor(workers, "tile")
    ahead: deque[Future[B]] = deque()
    try:
        for argument in arguments:
            ahead.append(pool.submit(function, argument))
            if len(ahead) == _AHEAD * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
