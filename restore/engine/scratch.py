"""A file without a name for pixels that do not fit into memory."""

import shutil
from io import RawIOBase
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from restore.engine.tiles import Part
from restore.errors import OutputError

__all__ = ["Scratch"]

_SAMPLE = np.dtype(np.float32)


class Scratch:
    """Holds a picture ``[C, H, W]`` in float32 on disk; gone when it is closed, or the program is.

    Args:
        folder: where there is room.
        channels: of the picture.
        height: of the picture.
        width: of the picture.

    Raises:
        OutputError: the folder has not enough room.
    """

    def __init__(self, folder: Path, channels: int, height: int, width: int) -> None:
        self._folder, self._channels, self._width = folder, channels, width
        needed = channels * height * width * _SAMPLE.itemsize
        try:
            free = shutil.disk_usage(folder).free
            if free < needed:
                raise OutputError(
                    f"{folder}: a working file needs {needed / 1e9:.3g} GB here, "
                    f"and {free / 1e9:.3g} GB are free"
                )
            # Unbuffered: what is written are rows of tiles, far from each other.
            self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise self._failure(error) from error

    def write(self, part: Part, pixels: NDArray[np.float32]) -> None:
        """Keep the pixels ``[C, h, w]`` of a part.

        Raises:
            OutputError: the disk is full.
        """
        rows, columns = part
        try:
            for row, lines in zip(range(rows.start, rows.stop), pixels.swapaxes(0, 1), strict=True):
                for channel, line in enumerate(lines):
                    self._file.seek(self._place(row, channel, columns.start))
                    _write_all(self._file, np.ascontiguousarray(line, _SAMPLE).view(np.uint8).data)
        except OSError as error:
            raise self._failure(error) from error

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the rows from ``start`` to, exclusive, ``stop`` as ``[C, h, W]``.

        Raises:
            OutputError: the disk does not give them back.
        """
        lines = np.empty((stop - start, self._channels, self._width), _SAMPLE)
        view = lines.reshape(-1).view(np.uint8).data
        try:
            self._file.seek(self._place(start, 0, 0))
            while len(view):
                count = self._file.readinto(view)
                if not count:
                    raise OutputError(f"{self._folder}: the working file was cut short")
                view = view[count:]
        except OSError as error:
            raise self._failure(error) from error
        return lines.swapaxes(0, 1)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def _place(self, row: int, channel: int, column: int) -> int:
        return ((row * self._channels + channel) * self._width + column) * _SAMPLE.itemsize

    def _failure(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(f"{self._folder}: no working file can be written here: {reason}")


def _write_all(file: RawIOBase, data: memoryview) -> None:
    while len(data):
        data = data[file.write(data) or 0 :]
