"""The stages of every task from picture to picture: decode, restore, encode, write."""

import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from restore.batch.plan import Existing, Item, Plan
from restore.batch.stream import Outcome, Status, Stopping
from restore.errors import InputError, OutputError, OutputExists, RestoreError, UsageError
from restore.files import remove_stale_parts, write_atomically
from restore.image.compare import compare_png, viewable
from restore.image.decode import DEFAULT_MAX_PIXELS, decode
from restore.image.encode import encode
from restore.image.formats import DEFAULT_SUFFIX, format_of_suffix
from restore.image.picture import ImageFormat, Picture

__all__ = [
    "Kind",
    "Loaded",
    "PictureStages",
    "Pictures",
    "Restored",
    "Result",
    "prepare_folders",
    "readable",
    "size_of",
]

_CHUNK = 4 << 20


class Restored(Protocol):
    """What a task returns for a picture."""

    @property
    def picture(self) -> Picture:
        """The result."""

    @property
    def record(self) -> Mapping[str, object]:
        """How it came about, in values that JSON knows."""


class Source(Protocol):
    """What is decoded from an input."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""


S = TypeVar("S", bound=Source)
R = TypeVar("R", bound=Restored)
R_in = TypeVar("R_in", bound=Restored, contravariant=True)


class Kind(Protocol[S, R_in]):
    """How a kind of input is read, and how what a task makes of it is written."""

    def read(self, source: Path | bytes, *, max_pixels: int) -> S:
        """Decode a file, or a file's bytes."""

    def before(self, source: S, restored: R_in) -> NDArray[np.uint8]:
        """Return the input as a picture to compare the result with, ``[H, W, C]``."""

    def encode(
        self,
        restored: R_in,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""


class Pictures:
    """Finished pictures, to be restored to pictures."""

    def read(self, source: Path | bytes, *, max_pixels: int) -> Picture:
        """Decode a file, or a file's bytes."""
        return decode(source, max_pixels=max_pixels)

    def before(self, source: Picture, _restored: Restored) -> NDArray[np.uint8]:
        """Return the picture as it came."""
        return viewable(source)

    def encode(
        self,
        restored: Restored,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""
        return encode(
            restored.picture,
            image_format,
            bit_depth=bit_depth,
            quality=quality,
            strip_metadata=strip_metadata,
        )


@dataclass(frozen=True)
class Loaded(Generic[S]):
    """An item and what was read of its source."""

    item: Item
    source: S


@dataclass(frozen=True)
class Result(Generic[R]):
    """What the task made, and what it was made of where that is to be shown."""

    restored: R
    before: NDArray[np.uint8] | None


@dataclass(frozen=True, kw_only=True)
class PictureStages(Generic[S, R]):
    """Decodes an item's source, hands it to ``restore``, encodes and writes the result.

    Attributes:
        kind: of input.
        restore: the task.
        existing: how the plan treats outputs that are there already.
        bit_depth, quality, strip_metadata: as ``encode`` takes them.
        max_pixels: larger pictures are refused.
        beside: returns the bytes of a file to write beside the result, by its kind.
        closed: folders that cannot be written, as ``prepare_folders`` returns them.
        standard_input, standard_output: where items without a file read and write.
    """

    kind: Kind[S, R]
    restore: Callable[[S], R]
    existing: Existing = Existing.REFUSE
    bit_depth: int | None = None
    quality: int | None = None
    strip_metadata: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    beside: Callable[[R, str], bytes] | None = None
    closed: Mapping[Path, str] = field(default_factory=dict)
    standard_input: BinaryIO | None = None
    standard_output: BinaryIO | None = None

    def file_size(self, item: Item) -> float:
        """Return the bytes that will be read; infinity if unknown."""
        return size_of(item)

    def load(self, item: Item) -> Loaded[S]:
        """Decode."""
        self.check_folder(item)
        source = self.kind.read(readable(item, self.standard_input), max_pixels=self.max_pixels)
        return Loaded(item, source)

    def check_folder(self, item: Item) -> None:
        """Refuse items whose results cannot be written.

        Raises:
            OutputError: the folder is one of those that are closed.
        """
        if item.destination and item.destination.parent in self.closed:
            raise OutputError(self.closed[item.destination.parent])

    def megapixels(self, loaded: Loaded[S]) -> float:
        """Return how large the loaded picture is."""
        return loaded.source.width * loaded.source.height / 1e6

    def process(self, loaded: Loaded[S]) -> Result[R]:
        """Do the task's work, and keep what a before/after picture will need."""
        try:
            restored = self.restore(loaded.source)
        except RestoreError as error:
            # Those of tasks that read further files name the file.
            name = f"{loaded.item.source_name}: "
            raise type(error)(name + str(error).removeprefix(name)) from error
        before = self.kind.before(loaded.source, restored) if loaded.item.compare else None
        return Result(restored, before)

    def save(self, item: Item, result: Result[R], stopping: Callable[[], bool]) -> Outcome:
        """Encode and write; the before/after picture first, so that a result means all is done."""
        if item.compare and result.before is not None:
            self._save_compare(item.compare, result.before, result.restored.picture, stopping)
        for kind, path in item.beside:
            self._save_beside(kind, path, result.restored, stopping)
        data = self._encoded(item, result.restored)
        if item.destination is None:
            _write_stream(self.standard_output, data)
        else:
            try:
                self._write(item.destination, data, stopping)
            except OutputExists:
                if self.existing is not Existing.SKIP:
                    raise
                return Outcome(item=item, status=Status.SKIPPED)  # another process was faster
        return Outcome(item=item, status=Status.DONE, record=result.restored.record)

    def _encoded(self, item: Item, restored: R) -> bytes:
        try:
            return self.kind.encode(
                restored,
                item.format or _output_format(item, restored.picture),
                bit_depth=self.bit_depth,
                quality=self.quality,
                strip_metadata=self.strip_metadata,
            )
        except (OutputError, UsageError) as error:
            raise OutputError(f"{item.source_name}: {error}") from error

    def _save_compare(
        self,
        path: Path,
        before: NDArray[np.uint8],
        picture: Picture,
        stopping: Callable[[], bool],
    ) -> None:
        if self.existing is Existing.SKIP and os.path.lexists(path):
            return
        self._write(path, compare_png(before, viewable(picture), picture), stopping)

    def _save_beside(
        self, kind: str, path: Path, restored: R, stopping: Callable[[], bool]
    ) -> None:
        there = self.existing is Existing.SKIP and os.path.lexists(path)
        if self.beside is not None and not there:
            self._write(path, self.beside(restored, kind), stopping)

    def _write(self, path: Path, data: bytes, stopping: Callable[[], bool]) -> None:
        overwrite = self.existing is Existing.OVERWRITE
        write_atomically(path, _chunks(data, stopping), overwrite=overwrite)


def prepare_folders(plan: Plan) -> dict[Path, str]:
    """Create the folders that ``plan`` writes to and clear away what killed runs left in them.

    Returns:
        The folders that cannot be written, each with a sentence that says why.

    Raises:
        OutputError: none of the folders can be written.
    """
    closed: dict[Path, str] = {}
    for folder in plan.folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            closed[folder] = f"{folder}: this folder cannot be made: {error.strerror or error}"
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            remove_stale_parts(folder)
        else:
            closed[folder] = f"{folder}: this folder cannot be written"
    if closed and len(closed) == len(plan.folders):
        raise OutputError(next(iter(closed.values())))
    return closed


def _output_format(item: Item, picture: Picture) -> ImageFormat:
    """Return the container of the input's content, else what the name says."""
    by_name = format_of_suffix(item.destination.suffix) if item.destination else None
    for candidate in (picture.format, by_name):
        if candidate in DEFAULT_SUFFIX:
            return candidate
    return ImageFormat.PNG


def _chunks(data: bytes, stopping: Callable[[], bool]) -> Iterator[memoryview]:
    """Cut ``data`` so that writing a large file can be broken off."""
    view = memoryview(data)
    for start in range(0, len(view), _CHUNK):
        if stopping():
            raise Stopping
        yield view[start : start + _CHUNK]


def _write_stream(stream: BinaryIO | None, data: bytes) -> None:
    if stream is None:
        raise OutputError("standard output: not available here")
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"standard output: cannot be written: {reason}") from error


def size_of(item: Item) -> float:
    """Return the bytes that will be read; infinity if unknown."""
    try:
        status = os.stat(item.source) if item.source else None
    except OSError:
        return 0.0
    return status.st_size if status and stat.S_ISREG(status.st_mode) else math.inf


def readable(item: Item, standard_input: BinaryIO | None) -> Path | bytes:
    """Return the file of an item, or the bytes of what cannot be searched, as decoders do.

    Raises:
        InputError: the file cannot be opened.
    """
    try:
        if item.source is None:
            return standard_input.read() if standard_input else b""
        # A pipe cannot be searched.
        is_file = stat.S_ISREG(item.source.stat().st_mode)
        return item.source if is_file else item.source.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{item.source_name}: cannot be read: {reason}") from error
