"""Pictures prepared for training: in memory up to a limit, or memory-mapped in a cache of files.

A file of the cache is one line of JSON, padded to a multiple of 64 bytes, and the samples of its
arrays, each padded likewise. Its name is the hash of what it was made from: paths, sizes and times
of the last change of the pictures, and how they were prepared.
"""

import json
import math
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.arguments import argument
from restore.errors import InputError, OutputError, TrainingError, UsageError
from restore.files import open_atomically
from restore.image.damage import checked_damage, keeps_damaged, noting_damage

__all__ = ["MOST_BYTES", "Mapped", "PictureStore", "Samples", "StoreFull", "unstacked"]

MOST_BYTES = 4 << 30
"""Limit on the memory for training pictures, in bytes."""

_VERSION = 2
"""Rises when pictures are prepared in another way."""
_SUFFIX = ".pixels"
_LINE = 64
_LONGEST_HEADER = 1 << 16
_DTYPES = ("|u1", "<u2", "<f4", "|b1")
_MOST_DIMENSIONS = 8
_MOST_OPEN = 2048
"""Files mapped at a time: systems have a limit on mappings, 65,530 on Linux."""
_BLOCK = 1 << 22

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class StoreFull(Exception):
    """The memory for training pictures is full."""


class Samples(Protocol):
    """A picture ``(C, H, W)`` to cut crops from: a tensor, or ``Mapped``."""

    @property
    def shape(self) -> torch.Size:
        """Sizes of the dimensions."""

    def __getitem__(self, index: Any, /) -> Tensor:
        """Return a part; ``[:]`` is everything."""


@dataclass(frozen=True)
class Mapped:
    """An array in a file of the cache, of which only what is cut out comes into memory.

    Attributes:
        path: the file.
        offset: of the first sample, in bytes.
        dtype: name of NumPy's.
        sizes: sizes of the dimensions.
    """

    path: Path
    offset: int
    dtype: str
    sizes: tuple[int, ...]

    @property
    def shape(self) -> torch.Size:
        """Sizes of the dimensions."""
        return torch.Size(self.sizes)

    @property
    def array(self) -> NDArray[Any]:
        """The mapped samples.

        Raises:
            TrainingError: the file is gone, or cut short.
        """
        return _mapped(self)

    def __getitem__(self, index: Any, /) -> Tensor:
        """Return a part, which must not be written to."""
        return torch.from_numpy(self.array[index])

    @property
    def bytes(self) -> int:
        """Size of the samples."""
        return math.prod(self.sizes) * np.dtype(self.dtype).itemsize


def unstacked(stack: Samples) -> Sequence[Samples]:
    """Return the planes ``(C, H, W)`` of a stack ``(N, C, H, W)``."""
    if not isinstance(stack, Mapped):
        return stack[:].unbind()
    size = stack.bytes // stack.sizes[0]
    return [
        replace(stack, offset=stack.offset + index * size, sizes=stack.sizes[1:])
        for index in range(stack.sizes[0])
    ]


@lru_cache(_MOST_OPEN)
def _mapped(place: Mapped) -> NDArray[Any]:
    try:
        # Private to this process, not read-only, of which PyTorch warns.
        return np.memmap(place.path, place.dtype, "c", place.offset, place.sizes)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{place.path}: this file of the cache is gone or cut short; start the training again "
            f"with {argument('resume', True)}"
        ) from error


class PictureStore:
    """Keeps prepared pictures, so that they need not be decoded for every crop.

    Args:
        cache: folder to keep them in, shared by any number of runs; None for memory.
        most_bytes: limit on the memory.

    Raises:
        UsageError: there is a file where the folder should be.
        OutputError: the folder cannot be made.
    """

    def __init__(self, cache: Path | None = None, *, most_bytes: int | None = None) -> None:
        self.cache = cache
        self.most_bytes = MOST_BYTES if most_bytes is None else most_bytes
        self._used = 0
        if cache is not None:
            try:
                cache.mkdir(parents=True, exist_ok=True)
            except FileExistsError as error:
                raise UsageError(
                    f"{cache}: is a file, and decoded pictures need a folder; name one as "
                    f"{argument('cache')}"
                ) from error
            except OSError as error:
                raise OutputError(f"{cache}: cannot be made: {error.strerror or error}") from error

    def remove(self) -> None:
        """Remove what was kept in the folder, and the folder if nothing else is in it."""
        if self.cache is None:
            return
        for path in self.cache.glob(f"*{_SUFFIX}"):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # it holds other files
            self.cache.rmdir()

    def kept(
        self, sources: Sequence[Path], kind: str, prepare: Callable[[], Sequence[NDArray[Any]]]
    ) -> tuple[Samples, ...]:
        """Return the arrays that ``prepare`` returns, unless the cache has them already.

        Args:
            sources: the files that they are made from.
            kind: how; others have other names.
            prepare: makes them, of uint8, uint16, float32 or bool; its ``InputError`` passes.

        Raises:
            StoreFull: without a cache: they do not fit into memory beside what is kept.
            OutputError: they cannot be written to the cache.
        """
        if self.cache is None:
            arrays = prepare()
            used = self._used + sum(array.nbytes for array in arrays)
            if self._used and used > self.most_bytes:
                raise StoreFull
            self._used = used
            return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
        origin = {
            "version": _VERSION,
            "kind": kind,
            "damaged": keeps_damaged(),
            "sources": [_state(path) for path in sources],
        }
        name = sha256(json.dumps(origin).encode()).hexdigest()[:32]
        path = self.cache / f"{name}{_SUFFIX}"
        known = _read(path, origin)
        if known is not None:
            for name, damaged in known.damaged.items():
                checked_damage(name, damaged)  # said in every run
            return known.arrays
        with noting_damage() as damage:
            arrays = prepare()
        _write(path, origin, arrays, damage)
        known = _read(path, origin)
        if known is None:
            raise OutputError(f"{path}: reads otherwise than it was written; check this disk")
        return known.arrays

    def gathered(
        self,
        items: Sequence[K],
        keep: Callable[[K], V],
        warn: Callable[[str], None],
        *,
        what: str = "pictures",
    ) -> dict[K, V]:
        """Return ``keep`` of each item, in their order: of all, or of as many as memory holds.

        Without a cache they are taken in random order, the same in every run, so that what does
        not fit is not the end of the alphabet.

        Args:
            items: paths, or what else ``keep`` takes.
            keep: returns what is kept of one.
            warn: called with a line about each item whose ``keep`` raises ``InputError``, and about
                what does not fit.
            what: plural of what one of them is.

        Raises:
            TrainingError: nothing usable is left.
        """
        order = range(len(items))
        if self.cache is None:
            order = np.random.default_rng(0).permutation(len(items)).tolist()
        found: dict[int, V] = {}
        for number, index in enumerate(order):
            try:
                found[index] = keep(items[index])
            except InputError as error:
                warn(f"{error}; left out")
            except StoreFull:
                warn(self.told(len(items) - number, f"of {len(items)} {what}"))
                break
        if not found:
            raise TrainingError(f"no usable {what.removesuffix('s')} to train on")
        return {items[index]: found[index] for index in sorted(found)}

    def told(self, count: int, what: str) -> str:
        """Return the line about ``count`` of what did not fit into memory."""
        return (
            f"{count} {what}, chosen at random, left out: {self.most_bytes >> 20} MiB of memory "
            f"are full; with a folder as {argument('cache')}, none is left out"
        )


def _state(path: Path) -> tuple[str, int, int]:
    """Return a file's path, size in bytes, and time of its last change in nanoseconds.

    Raises:
        InputError: it is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return str(path.resolve()), status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class _Entry:
    """What a file of the cache holds, and what is damaged in the pictures that it is made from."""

    arrays: tuple[Mapped, ...]
    damaged: Mapping[str, str]


def _write(
    path: Path,
    origin: Mapping[str, Any],
    arrays: Sequence[NDArray[Any]],
    damaged: Mapping[str, str],
) -> None:
    arrays = [np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for array in arrays]
    stored = [
        {"dtype": array.dtype.str, "shape": array.shape, "crc32": crc32(_bytes_of(array))}
        for array in arrays
    ]
    header = json.dumps({**origin, "arrays": stored, "noted": damaged}).encode()
    try:
        # Runs that share the cache may make the same file: the last to finish wins.
        with open_atomically(path, overwrite=True) as file:
            file.write(header + b" " * (-(len(header) + 1) % _LINE) + b"\n")
            for array in arrays:
                file.write(_bytes_of(array))
                file.write(bytes(-array.nbytes % _LINE))
    except OutputError as error:
        raise OutputError(f"{error}; name a folder with room as {argument('cache')}") from error


def _bytes_of(array: NDArray[Any]) -> memoryview:
    return array.data.cast("B")


def _read(path: Path, origin: Mapping[str, Any]) -> _Entry | None:
    """Return what is in a file; None if it is missing, damaged or not about ``origin``."""
    try:
        with path.open("rb") as file:
            line, size = file.readline(_LONGEST_HEADER), os.fstat(file.fileno()).st_size
            fields = json.loads(line)
            stored, noted = fields.pop("arrays"), dict(fields.pop("noted"))
            if fields != json.loads(json.dumps(origin)):
                return None
            places = []
            for each in stored:
                place = Mapped(path, file.tell(), each["dtype"], tuple(each["shape"]))
                if not _is_sound(place, size) or _sum_of(file, place.bytes) != each["crc32"]:
                    return None
                file.seek(-place.bytes % _LINE, 1)
                places.append(place)
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError):
        return None
    return _Entry(tuple(places), noted)


def _is_sound(place: Mapped, file_size: int) -> bool:
    """Return whether an array can be what a run has written: others may write to the folder."""
    if place.dtype not in _DTYPES or len(place.sizes) > _MOST_DIMENSIONS:
        return False
    if not all(type(each) is int and 0 <= each <= file_size for each in place.sizes):
        return False
    return place.offset + place.bytes <= file_size


def _sum_of(file: BinaryIO, size: int) -> int | None:
    """Return the checksum of the next ``size`` bytes, if there are so many."""
    value = 0
    while size:
        block = file.read(min(size, _BLOCK))
        if not block:
            return None
        value, size = crc32(block, value), size - len(block)
    return value
