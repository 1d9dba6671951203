"""The stages of every task on files: read, restore, encode, write."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.batch.kinds import FileKind, Input, Output
from restore.batch.plan import BatchPlan, Existing, Item
from restore.batch.sources import readable, size_of, write_stream
from restore.batch.stream import Outcome, Status, Stopping
from restore.batch.views import views_of
from restore.errors import (
    OutputError,
    OutputExists,
    RestoreError,
    UsageError,
)
from restore.files import remove_stale_parts, write_atomically
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import CODECS, WRITTEN, ImageFormat, format_of_suffix
from restore.image.compare import compare_png
from restore.image.damage import noting_damage
from restore.image.losses import losses, note_remark, remarks
from restore.image.picture import Picture
from restore.remote.paths import shown

__all__ = [
    "Loaded",
    "PictureStages",
    "Result",
    "damage_record",
    "note_misnamed",
    "noted_record",
    "prepare_folders",
    "stoppable",
]

_CHUNK = 4 << 20


@dataclass(frozen=True)
class Loaded(Generic[Input]):
    """An item, its decoded source, and what is damaged in it, as ``noting_damage`` has it."""

    item: Item
    source: Input
    damaged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result(Generic[Output]):
    """A task's result, the picture to compare it with if that is to be shown, and damage.

    ``damaged`` is what is damaged in the sources, by name, as ``noting_damage`` has it.
    """

    restored: Output
    before: NDArray[np.uint8] | None
    damaged: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PictureStages(Generic[Input, Output]):
    """Decodes an item's source, hands it to ``restore``, encodes and writes the result.

    Attributes:
        kind: kind of the files.
        restore: function of the task.
        existing: how the plan treats outputs that exist already.
        options: how files are written.
        closed: folders that cannot be written, as ``prepare_folders`` returns them.
        standard_input, standard_output: where items without a file read and write.
        is_shown: whether outcomes have views, for a page.
    """

    kind: FileKind[Input, Output]
    restore: Callable[[Input], Output]
    existing: Existing = Existing.REFUSE
    options: WriteOptions = AS_IT_CAME
    closed: Mapping[Path, str] = field(default_factory=dict)
    standard_input: BinaryIO | None = None
    standard_output: BinaryIO | None = None
    is_shown: bool = False

    def file_size(self, item: Item) -> float:
        """Return the bytes that will be read; infinity if unknown."""
        return size_of(item)

    def load(self, item: Item) -> Loaded[Input]:
        """Decode."""
        self.check_folder(item)
        with noting_damage() as damaged:
            source = self.kind.read(readable(item, self.standard_input))
        return Loaded(item, source, damaged)

    def check_folder(self, item: Item) -> None:
        """Refuse items whose results cannot be written.

        Raises:
            OutputError: the folder is one of those that are closed.
        """
        if item.destination and item.destination.parent in self.closed:
            raise OutputError(self.closed[item.destination.parent])

    def megapixels(self, loaded: Loaded[Input]) -> float:
        """Return how large the loaded picture is."""
        return loaded.source.width * loaded.source.height / 1e6

    def process(self, loaded: Loaded[Input]) -> Result[Output]:
        """Run the task, and keep the input where it is to be shown beside the result."""
        try:
            with noting_damage() as damaged:  # of further files
                restored = self.restore(loaded.source)
        except RestoreError as error:
            # Tasks that read further files already name the file.
            name = f"{loaded.item.source_name}: "
            raise type(error)(name + shown(str(error)).removeprefix(name)) from error
        before = self.shown_before(loaded, restored)
        return Result(restored, before, {**loaded.damaged, **damaged})

    def shown_before(self, loaded: Loaded[Input], restored: Output) -> NDArray[np.uint8] | None:
        """Return the input as it is shown beside the result, if it is to be."""
        if not (self.is_shown or loaded.item.compare):
            return None
        return self.kind.before(loaded.source, restored)

    def save(self, item: Item, result: Result[Output], stopping: Callable[[], bool]) -> Outcome:
        """Encode and write; the result comes last, so that its presence means all is done."""
        views = None
        if result.before is not None:
            after, picture = self.kind.after(result.restored), result.restored.picture
            if item.compare:
                self._save_compare(item.compare, result.before, after, picture, stopping)
            if self.is_shown:
                error = self.kind.error(result.restored)
                views = views_of(result.before, after, picture, error)
        for kind, path in item.beside:
            self._save_beside(kind, path, result.restored, stopping)
        with losses() as lost, remarks() as remarked:
            data = self._encoded(item, result.restored)
        if item.destination is None:
            write_stream(self.standard_output, data)
        else:
            try:
                self._write(item.destination, data, stopping)
            except OutputExists:
                if self.existing is not Existing.SKIP:
                    raise
                return Outcome(item=item, status=Status.SKIPPED)  # another process was faster
        record = {
            **noted_record(result.restored.record, lost, remarked),
            **damage_record(item, result.damaged),
        }
        return Outcome(item=item, status=Status.DONE, record=record, views=views)

    def _encoded(self, item: Item, restored: Output) -> bytes:
        try:
            image_format = item.format or _output_format(item, restored.picture)
            note_misnamed(item, image_format)
            return restored.encoded(image_format, self.options)
        except (OutputError, UsageError) as error:
            raise OutputError(f"{item.source_name}: {error}") from error

    def _save_compare(
        self,
        path: Path,
        before: NDArray[np.uint8],
        after: NDArray[np.uint8],
        picture: Picture,
        stopping: Callable[[], bool],
    ) -> None:
        if self.existing is Existing.SKIP and os.path.lexists(path):
            return
        self._write_beside(path, compare_png(before, after, picture), stopping)

    def _save_beside(
        self, kind: str, path: Path, restored: Output, stopping: Callable[[], bool]
    ) -> None:
        there = self.existing is Existing.SKIP and os.path.lexists(path)
        if self.kind.beside is not None and not there:
            self._write_beside(path, self.kind.beside(restored, kind), stopping)

    def _write_beside(self, path: Path, data: bytes, stopping: Callable[[], bool]) -> None:
        try:
            self._write(path, data, stopping)
        except OutputExists:
            if self.existing is not Existing.SKIP:
                raise  # else another process was faster

    def _write(self, path: Path, data: bytes, stopping: Callable[[], bool]) -> None:
        overwrite = self.existing is Existing.OVERWRITE
        write_atomically(path, stoppable(data, stopping), overwrite=overwrite)


def prepare_folders(plan: BatchPlan) -> dict[Path, str]:
    """Create the folders that ``plan`` writes to and remove temporary files of killed runs.

    Returns:
        The folders that cannot be written, each with a sentence that says why.

    Raises:
        OutputError: none of the folders can be written.
    """
    closed: dict[Path, str] = {}
    folders = plan.folders
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            closed[folder] = f"{folder}: this folder cannot be made: {error.strerror or error}"
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            remove_stale_parts(folder)
        else:
            closed[folder] = f"{folder}: this folder cannot be written"
    if closed and len(closed) == len(folders):
        raise OutputError(next(iter(closed.values())))
    return closed


def _output_format(item: Item, picture: Picture) -> ImageFormat:
    """Return the input's own container, else that of the output's suffix, else PNG."""
    by_name = format_of_suffix(item.destination.suffix) if item.destination else None
    for candidate in (picture.format, by_name):
        if candidate in WRITTEN:
            return candidate
    return ImageFormat.PNG


def stoppable(data: bytes, stopping: Callable[[], bool]) -> Iterator[memoryview]:
    """Split ``data`` so that writing it can be given up, with ``Stopping``, before every part."""
    view = memoryview(data)
    for start in range(0, len(view), _CHUNK):
        if stopping():
            raise Stopping
        yield view[start : start + _CHUNK]


def note_misnamed(item: Item, image_format: ImageFormat) -> None:
    """Note that a result has another format than its name states, as its input has.

    Args:
        item: The item.
        image_format: Format of the result.
    """
    suffix = item.destination.suffix.lower() if item.destination else ""
    stated = format_of_suffix(suffix)
    if stated is not None and suffix not in CODECS[image_format].suffixes:
        note_remark(
            f"is {CODECS[image_format].name}, though its name ends in {suffix}, and so is the "
            f"result; {argument('image_format', str(stated))} converts it"
        )


def noted_record(
    record: Mapping[str, object], lost: Sequence[str], remarked: Sequence[str]
) -> dict[str, Any]:
    """Return a result's record with what was noted while it was written.

    Args:
        record: The record.
        lost: What ``losses`` collected.
        remarked: What ``remarks`` collected, which follows the record's own remarks.
    """
    noted: dict[str, Any] = dict(record)
    if lost:
        noted["lost"] = list(lost)
    if remarked:
        noted["remarks"] = [*noted.get("remarks", ()), *remarked]
    return noted


def damage_record(item: Item, damaged: Mapping[str, str]) -> dict[str, str]:
    """Return what a record says of damaged sources: nothing, or ``damaged`` in a sentence.

    Args:
        item: The item.
        damaged: What is damaged, by the names of files, as ``noting_damage`` has it.
    """
    own = (item.source_name, str(item.source))
    sentences = [text if name in own else f"{name}: {text}" for name, text in damaged.items()]
    return {"damaged": "; ".join(sentences)} if sentences else {}
