"""Stripes are taken away before the network sees a picture, since it leaves them as texture."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.denoise.pixels import encoded_for_network, only_known
from restore.engine.tiles import Area
from restore.image.tiff_regions import OutOfCorePicture, ReadRegion
from restore.noise.line_offsets import LineOffsets, line_offsets

__all__ = [
    "rows_out_of_core",
    "stripes_of",
    "stripes_out_of_core",
    "told_of_stripes",
    "without_stripes",
]

Pixels = NDArray[np.float32]


def stripes_of(encoded: Pixels, known: NDArray[np.bool_] | None) -> LineOffsets | None:
    """Return the stripes of a picture as ``encoded_for_network`` returns it, or None."""

    def read(top: int, bottom: int) -> Pixels:
        rows = slice(top, bottom)
        return only_known(encoded[:, rows], None if known is None else known[:, rows])

    return line_offsets(read, *encoded.shape)


def stripes_out_of_core(source: OutOfCorePicture) -> LineOffsets | None:
    """Return what ``stripes_of`` finds in the whole picture.

    Raises:
        InputError: the file is damaged.
    """
    with source.opened() as read:
        return line_offsets(
            rows_out_of_core(source, read), source.like.channels, source.height, source.like.width
        )


def rows_out_of_core(
    source: OutOfCorePicture, read: ReadRegion, stripes: LineOffsets | None = None
) -> Callable[[int, int], Pixels]:
    """Return a function that reads rows as noise is measured in them, NaN where it is unknown.

    Args:
        source: the picture.
        read: what opening it gave.
        stripes: what is taken away.
    """

    def rows(start: int, stop: int) -> Pixels:
        part = (slice(start, stop), slice(0, source.like.width))
        encoded, known = encoded_for_network(read(part))
        return only_known(without_stripes(encoded, stripes, part), known)

    return rows


def without_stripes(encoded: Pixels, stripes: LineOffsets | None, part: Area) -> Pixels:
    """Return a part of the picture, ``[C, h, w]``, without the stripes that were found."""
    return encoded if stripes is None else stripes.removed_from(encoded, part)


def told_of_stripes(stripes: LineOffsets | None) -> tuple[dict[str, object], list[str]]:
    """Return what the record holds of stripes, and the remarks on them."""
    if stripes is None:
        return {}, []
    levels = {"rows": 255 * stripes.sigma_rows, "columns": 255 * stripes.sigma_columns}
    found = " and ".join(f"{level:.2g} along {kind}" for kind, level in levels.items() if level)
    remark = f"stripes of {found} were taken away; {argument('keep_stripes', True)} leaves them"
    return {f"stripes_{kind}": round(level, 3) for kind, level in levels.items()}, [remark]
