"""Denoising pictures that do not fit into memory: tile by tile to disk, and from there by rows."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from restore.engine.backend import Backend
from restore.engine.large import ReadRows
from restore.engine.scratch import Scratch
from restore.engine.tiles import Part
from restore.image.large import LargePicture, ReadPart
from restore.image.picture import Picture
from restore.noise.estimate_rows import estimate_sigma_of_rows
from restore.tasks.denoise_steps import (
    DETAIL_REACH,
    Midtones,
    decoded,
    encoded_for_network,
    finish,
    only_finite,
)

__all__ = ["denoise_large", "sigma_of_large"]

Pixels = NDArray[np.float32]


def sigma_of_large(source: LargePicture) -> float:
    """Return the noise level in [0, 1] that ``estimate_sigma`` finds in the whole picture."""
    with source.opened() as read:

        def encoded(start: int, stop: int) -> Pixels:
            return only_finite(*encoded_for_network(_rows(source, read, start, stop)))

        return estimate_sigma_of_rows(encoded, source.height, source.width)


def denoise_large(
    source: LargePicture, backend: Backend, sigma: float, *, strength: float, detail: float
) -> Callable[[], AbstractContextManager[ReadRows]]:
    """Run the network over ``source``, and return what opens the result for reading, once.

    The network's result goes to a working file, since the shift of the midtones is known only at
    its end; all other steps are done while the result is read.

    Args:
        source: what to denoise.
        backend: the network.
        sigma: noise level in [0, 1].
        strength: as for ``finish``; at 0 the result is the source.
        detail: as for ``finish``.

    Raises:
        InputError: the file is damaged.
        OutputError: there is no room for the working file.
    """
    if strength == 0:
        return partial(_opened_unchanged, source)
    channels = source.like.channels
    scratch = Scratch(source.workplace, channels, source.height, source.width)
    midtones = Midtones(channels)

    def begin() -> Callable[[Part, Pixels, Pixels], None]:
        nonlocal midtones
        midtones = seen = Midtones(channels)

        def take(part: Part, noisy: Pixels, restored: Pixels) -> None:
            if backend.is_for_cameras:
                seen.add(noisy, restored)
            scratch.write(part, restored)

        return take

    try:
        with source.opened() as read:
            backend.by_tiles(
                lambda part: encoded_for_network(read(part))[0],
                begin,
                height=source.height,
                width=source.width,
                sigma=sigma,
            )
    except BaseException:
        scratch.close()
        raise
    finishing = partial(finish, strength=strength, detail=detail)
    reach = DETAIL_REACH if detail > 0 else 0
    return partial(_opened, source, scratch, midtones.shifts(), finishing, reach)


@contextmanager
def _opened_unchanged(source: LargePicture) -> Iterator[ReadRows]:
    with source.opened() as read:
        yield partial(_rows, source, read)


@contextmanager
def _opened(
    source: LargePicture,
    scratch: Scratch,
    shifts: Pixels,
    finishing: Callable[[Pixels, Pixels], None],
    reach: int,
) -> Iterator[ReadRows]:
    """Return what reads the finished rows; the working file is gone afterwards."""

    def rows(start: int, stop: int) -> Picture:
        top, bottom = max(0, start - reach), min(source.height, stop + reach)
        picture = _rows(source, read, top, bottom)
        encoded, finite = encoded_for_network(picture)
        restored = scratch.read(top, bottom)
        restored += shifts
        finishing(restored, encoded)
        return decoded(picture, restored, finite).rows(start - top, stop - top)

    try:
        with source.opened() as read:
            yield rows
    finally:
        scratch.close()


def _rows(source: LargePicture, read: ReadPart, start: int, stop: int) -> Picture:
    return read((slice(start, stop), slice(0, source.width)))
