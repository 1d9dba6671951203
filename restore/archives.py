"""Zip archives and NumPy arrays from strangers: what they state is checked before it is read."""

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["checked_size", "open_archive", "read_array"]

_LONGEST_DIRECTORY = 1 << 20
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class _Reluctant(io.FileIO):
    """A file that gives only so many bytes at once while ``most`` is set."""

    most: int | None = _LONGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and (size is None or not 0 <= size <= self.most):
            if size is not None and size >= 0:
                raise ValueError("a zip archive with too long a directory")
            size = self.most
        return super().read(-1 if size is None else size)


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose directory of members is of a sensible length.

    Raises:
        ValueError: not a zip archive, a damaged one, or one with too many members.
        OSError: the file cannot be opened.
    """
    with _Reluctant(path) as file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # a damaged file can raise anything
            raise ValueError(f"not a zip archive, or a damaged one ({error})") from error
        file.most = None
        with archive:
            yield archive


def checked_size(member: zipfile.ZipInfo, *, most_bytes: int, most_ratio: float = math.inf) -> int:
    """Return the size of a member in bytes, more than which cannot be read from it.

    Args:
        member: member of an archive.
        most_bytes: largest size.
        most_ratio: largest ratio of its size to its compressed size; up to 1 MiB any is good.

    Raises:
        ValueError: it is encrypted or too large.
    """
    if member.flag_bits & 1:
        raise ValueError("an encrypted archive")
    size = member.file_size
    if size > most_bytes or size > max(1 << 20, most_ratio * member.compress_size):
        raise ValueError(f"{size:,} bytes from {member.compress_size:,}, which is too much")
    return size


def read_array(file: IO[bytes], size: int) -> NDArray[Any]:
    """Read an ``.npy`` file of plain numbers.

    Args:
        file: file at its beginning, such as a member of an archive.
        size: number of bytes that it holds.

    Raises:
        ValueError: damaged, something other than numbers, or more than ``size`` bytes of them.
    """
    try:
        shape, is_column_major, dtype = _HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # a damaged file can raise anything
        raise ValueError("not an .npy file, or a damaged one") from error
    stated = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or stated > size:
        raise ValueError(f"an array {list(shape)} of {dtype} in {size:,} bytes")
    data = file.read(stated)
    if len(data) < stated:
        raise ValueError("an array that is cut short")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape[::-1]).T if is_column_major else flat.reshape(shape)
