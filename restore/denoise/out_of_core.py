"""Denoising pictures that do not fit into memory: tile by tile to disk, then read by rows."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.batch.out_of_core import ReadRows
from restore.denoise.low_frequencies import LowFrequencies
from restore.denoise.pixels import (
    DETAIL_REACH,
    Change,
    decoded,
    encoded_for_network,
    finish,
    reach_of,
)
from restore.denoise.stripes import rows_out_of_core, without_stripes
from restore.engine.runner import PerTile, Runner
from restore.engine.tiles import Area
from restore.errors import OutputError
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture, ReadRegion
from restore.noise.estimate_rows import estimate_noise_of_rows
from restore.noise.level import NoiseLevel
from restore.noise.line_offsets import LineOffsets

__all__ = ["Scratch", "denoise_out_of_core", "noise_out_of_core"]

Pixels = NDArray[np.float32]


def noise_out_of_core(source: OutOfCorePicture, stripes: LineOffsets | None) -> NoiseLevel:
    """Return the noise that ``estimate_noise`` finds in the whole picture without its stripes."""
    with source.opened() as read:
        return estimate_noise_of_rows(
            rows_out_of_core(source, read, stripes), source.height, source.width
        )


def denoise_out_of_core(
    source: OutOfCorePicture,
    runner: Runner,
    per_tile: PerTile,
    *,
    stripes: LineOffsets | None,
    keeps_low_frequencies: bool,
    strength: float,
    chroma: float,
    detail: float,
) -> tuple[Callable[[], AbstractContextManager[ReadRows]], Change]:
    """Run the network over ``source``, and return a function that opens the result once.

    The network's result goes to a working file, since its low frequencies are known only at its
    end; all other steps are done while the result is read.

    Args:
        source: what to denoise.
        runner: runner of the network.
        per_tile: function that denoises a tile.
        stripes: what is taken away before the network, if anything.
        keeps_low_frequencies: whether to give them back, see ``LowFrequencies``.
        strength: as for ``finish``; where it and ``chroma`` are 0, the result is the source.
        chroma: as for ``finish``.
        detail: as for ``finish``.

    Returns:
        The function, and how much the network changed.

    Raises:
        InputError: the file is damaged.
        OutputError: there is no room for the working file.
    """
    if max(strength, chroma) == 0:
        return partial(_opened_unchanged, source), Change()
    channels = source.like.channels
    scratch = Scratch(source.workplace, channels, source.height, source.width)
    low_frequencies: LowFrequencies | None = None
    change = Change()

    def begin() -> Callable[[Area, Pixels, Pixels], None]:
        nonlocal low_frequencies, change
        change = compared = Change()
        seen = LowFrequencies(channels, source.height, source.width)
        low_frequencies = seen if keeps_low_frequencies else None

        def take(part: Area, noisy: Pixels, restored: Pixels) -> None:
            compared.add(noisy, restored)
            if keeps_low_frequencies:
                seen.add(part, noisy, restored)
            scratch.write(part, restored)

        return take

    try:
        with source.opened() as read:
            runner.by_tiles(
                partial(_encoded, source, read, stripes),
                begin,
                per_tile,
                height=source.height,
                width=source.width,
            )
    except BaseException:
        scratch.close()
        raise

    def finishing(restored: Pixels, encoded: Pixels, even: Pixels) -> None:
        finish(restored, encoded, strength=strength, chroma=chroma, detail=detail, even=even)

    reach = DETAIL_REACH + reach_of(source.like) if detail > 0 else 0
    return partial(_opened, source, scratch, low_frequencies, stripes, finishing, reach), change


@contextmanager
def _opened_unchanged(source: OutOfCorePicture) -> Iterator[ReadRows]:
    with source.opened() as read:
        yield partial(_rows, source, read)


class Scratch:
    """A float32 picture ``[C, H, W]`` on disk, deleted when it is closed or the program ends.

    Args:
        folder: Folder of the unnamed temporary file.
        channels: Number of channels.
        height: Height in pixels.
        width: Width in pixels.

    Raises:
        OutputError: the folder does not have enough room.
    """

    def __init__(self, folder: Path, channels: int, height: int, width: int) -> None:
        self._folder, self._channels, self._width = folder, channels, width
        needed = height * self._row_bytes
        try:
            free = shutil.disk_usage(folder).free
            if free < needed:
                raise OutputError(
                    f"{folder}: a working file needs {needed / 1e9:.3g} GB here, "
                    f"and {free / 1e9:.3g} GB are free"
                )
            self._file = TemporaryFile(dir=folder)  # noqa: SIM115
            try:
                _reserve(self._file, needed)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise self._failure(error) from error

    def write(self, part: Area, pixels: Pixels) -> None:
        """Keep the pixels ``[C, h, w]`` of a part.

        Raises:
            OutputError: the file cannot be mapped into memory.
        """
        rows, columns = part
        self._mapped(rows.start, rows.stop)[:, :, columns] = pixels.swapaxes(0, 1)

    def read(self, start: int, stop: int) -> Pixels:
        """Return the rows from ``start`` to, exclusive, ``stop`` as ``[C, h, W]``.

        Raises:
            OutputError: the file cannot be mapped into memory.
        """
        return np.array(self._mapped(start, stop)).swapaxes(0, 1)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    @property
    def _row_bytes(self) -> int:
        return self._channels * self._width * np.dtype(np.float32).itemsize

    def _mapped(self, start: int, stop: int) -> Pixels:
        """Map only these rows, as ``[h, C, W]``, since pages once touched stay in memory."""
        try:
            return np.memmap(
                self._file,
                np.float32,
                "r+",
                offset=start * self._row_bytes,
                shape=(stop - start, self._channels, self._width),
            )
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(f"{self._folder}: no working file can be written here: {reason}")


def _reserve(file: BinaryIO, size: int) -> None:
    """Allocate ``size`` bytes: writing to a mapped hole on a full disk would kill the process.

    Raises:
        OSError: the disk is full.
    """
    if hasattr(os, "posix_fallocate"):
        try:
            return os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # file systems that cannot
                raise
    zeros = bytes(1 << 20)
    for start in range(0, size, len(zeros)):
        file.write(zeros[: size - start])
    return file.flush()


@contextmanager
def _opened(
    source: OutOfCorePicture,
    scratch: Scratch,
    low_frequencies: LowFrequencies | None,
    stripes: LineOffsets | None,
    finishing: Callable[[Pixels, Pixels, Pixels], None],
    reach: int,
) -> Iterator[ReadRows]:
    """Yield a function that reads finished rows, and delete the working file afterwards."""

    def rows(start: int, stop: int) -> Picture:
        top, bottom = max(0, start - reach), min(source.height, stop + reach)
        part = (slice(top, bottom), slice(0, source.like.width))
        picture = read(part)
        encoded, known = encoded_for_network(picture)
        restored = scratch.read(top, bottom)
        if low_frequencies is not None:
            low_frequencies.give_back(restored, top)
        finishing(restored, encoded, without_stripes(encoded, stripes, part))
        return decoded(picture, restored, known).rows(start - top, stop - top)

    try:
        with source.opened() as read:
            yield rows
    finally:
        scratch.close()


def _encoded(
    source: OutOfCorePicture, read: ReadRegion, stripes: LineOffsets | None, part: Area
) -> Pixels:
    """Return a part as the network gets it."""
    reach = reach_of(source.like)
    rows, columns = part
    top, left = max(0, rows.start - reach), max(0, columns.start - reach)
    around = (
        slice(top, min(source.height, rows.stop + reach)),
        slice(left, min(source.width, columns.stop + reach)),
    )
    encoded, _ = encoded_for_network(read(around))
    inside = encoded[
        :, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return without_stripes(inside, stripes, part)


def _rows(source: OutOfCorePicture, read: ReadRegion, start: int, stop: int) -> Picture:
    return read((slice(start, stop), slice(0, source.width)))
