"""Large pictures through small memory: cut with a halo, run, and keep the cores."""

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
_SHARED = 768
"""Side from which on a picture of a single tile is cut in two, for two lanes to share."""

Area = tuple[slice, slice]
"""Rows and columns of a picture."""


@dataclass(frozen=True)
class Window:
    """What a tile reads and what of its result is kept, as slices of rows and columns.

    Attributes:
        read: rows and columns of the picture that the tile needs, inside the picture.
        keep: rows and columns of the picture that the tile decides.
    """

    read: Area
    keep: Area


def windows(height: int, width: int, *, tile: int, halo: int, multiple: int) -> Iterator[Window]:
    """Cut a picture into tiles of about one size, whose kept cores cover it exactly once.

    What they read is a multiple of 16 pixels wide wherever the picture is: the matrix units of
    processors take up to three times as long for odd widths.

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
    if down == across == 1 and max(height, width) > _SHARED:
        down, across = (2, 1) if height > width else (1, 2)
    for rows, kept_rows in _spans(height, down, margin, multiple):
        for columns, kept_columns in _spans(width, across, margin, multiple):
            columns = _widened(columns, width, multiple)
            yield Window(read=(rows, columns), keep=(kept_rows, kept_columns))


def _spans(size: int, count: int, margin: int, multiple: int) -> Iterator[tuple[slice, slice]]:
    # Tiles of one size take no more memory than they must, and keep lanes equally busy.
    core = -(-size // (count * multiple)) * multiple
    for start in range(0, size, core):
        stop = min(start + core, size)
        yield slice(max(0, start - margin), min(size, stop + margin)), slice(start, stop)


def _widened(columns: slice, width: int, multiple: int) -> slice:
    """Return more columns, a multiple of 16 of them if there are as many."""
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
        read: returns a part of the picture as ``[C, h, w]``; asked for tiles row by row, in the
            thread that takes the results.
        height: rows of the picture, from 1.
        width: columns of the picture, from 1.
        tile: side of the kept core of a tile in pixels, rounded up to ``multiple``.
        halo: radius of the network's receptive field in pixels.
        multiple: what the network's input sides must be multiples of; the picture is mirrored
            at its lower and right edges to reach one.
        scale: how much larger the network's result is.
        workers: threads that ``network`` is called from; the result does not depend on it. For
            each there are at most two tiles in memory.

    Returns:
        An iterator over a part of the result, what it was made of, and its pixels
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

    Windows start at multiples, so only those that touch the picture's edge are padded, and the
    halo holds the rows that are mirrored: every tile sees the edge that the whole picture has.
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


A = TypeVar("A")
B = TypeVar("B")

_AHEAD = 2
"""Calls for each worker that may be under way or done before the first of them is taken."""


def in_order(
    function: Callable[[A], B], arguments: Iterable[A], *, workers: int = 1
) -> Iterator[B]:
    """Yield what ``function`` makes of each argument.

    Arguments are drawn in the thread that asks for results, and only a few calls ahead of it, so
    that memory does not grow with their number. Once this ends, in whatever way, no call is under
    way any more.

    Args:
        function: called from several threads where there are several workers.
        arguments: drawn one by one.
        workers: threads; with one, each call is made in the thread that asks, when it asks.

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
