"""Stages around those of a task, for inputs and results that are in a store."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from restore.batch.plan import Existing, Item
from restore.batch.stages import Loaded, PictureStages, Result
from restore.batch.stream import Outcome, Status, Stopping
from restore.errors import OutputError, OutputExists
from restore.image.tiff_regions import OutOfCorePicture
from restore.remote.failures import FULL
from restore.remote.paths import is_remote, mount_of

__all__ = ["RemoteStages"]


@dataclass(frozen=True)
class RemoteStages:
    """Fetches what ``stages`` read before they do, and pushes what they have written.

    A file that was fetched is removed once it is decoded, or, where it is too large to be decoded
    at once, when its result is written. Results are written on disk and pushed whole, that which
    says that all is done last.
    """

    stages: PictureStages[Any, Any]
    _refused: dict[Path, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def file_size(self, item: Item) -> float:
        """Return the bytes that will be read; infinity if unknown."""
        mount = mount_of(item.source) if item.source else None
        if mount is None or item.source is None:
            return self.stages.file_size(item)
        entry = mount.entry(item.source)
        return math.inf if entry is None or entry.size is None else entry.size

    def load(self, item: Item) -> Loaded[Any]:
        """Fetch and decode.

        Raises:
            OutputError: the store has refused another result already.
        """
        if item.destination and item.destination.parent in self._refused:
            raise OutputError(self._refused[item.destination.parent])
        with self._released_unless_needed(item):
            for path in _sources(item):
                mount_of_source = mount_of(path)
                if mount_of_source is not None:
                    mount_of_source.fetch(path)
            loaded = self.stages.load(item)
        if not _is_read_later(item, loaded):
            _release(_sources(item))
        return loaded

    def megapixels(self, loaded: Loaded[Any]) -> float:
        """Return how large the loaded picture is."""
        return self.stages.megapixels(loaded)

    def process(self, loaded: Loaded[Any]) -> Result[Any]:
        """Run the task."""
        with self._released_unless_needed(loaded.item):
            result = self.stages.process(loaded)
        if loaded.item.also and not isinstance(loaded.source, OutOfCorePicture):
            _release(_sources(loaded.item))
        return result

    def save(self, item: Item, result: Result[Any], stopping: Callable[[], bool]) -> Outcome:
        """Encode, write, and push.

        Raises:
            OutputError: the store refuses a result.
            Stopping: ``stopping()`` became true before all was pushed.
        """
        try:
            with _telling_of_full_disks(item):
                outcome = self.stages.save(item, result, stopping)
            if outcome.status is Status.DONE and not self._push(item, stopping):
                return Outcome(item=item, status=Status.SKIPPED)  # another process was faster
            return outcome
        finally:
            _release((*_sources(item), *item.outputs))

    def _push(self, item: Item, stopping: Callable[[], bool]) -> bool:
        """Push what is beside the result, then the result; False if that is there already."""
        existing = self.stages.existing
        for path in (*item.outputs[1:], *item.outputs[:1]):
            mount = mount_of(path)
            if mount is None or not path.exists():
                continue
            if stopping():
                raise Stopping
            try:
                mount.push(path, overwrite=existing is Existing.OVERWRITE)
            except OutputExists:
                if existing is not Existing.SKIP:
                    raise
                if path == item.destination:
                    return False
            except OutputError as error:
                if isinstance(error.__cause__, PermissionError):
                    with self._lock:
                        self._refused[path.parent] = str(error)
                raise
        return True

    @contextmanager
    def _released_unless_needed(self, item: Item) -> Iterator[None]:
        """Remove what was fetched for an item if the block fails."""
        try:
            yield
        except BaseException:
            _release(_sources(item))
            raise


@contextmanager
def _telling_of_full_disks(item: Item) -> Iterator[None]:
    """Say that it is the disk here that is full, not the store.

    Raises:
        OutputError: as the block.
    """
    try:
        yield
    except OutputError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in FULL and is_remote(item.destination):
            raise OutputError(
                f"{error}; results are on this disk until they are sent: let TMPDIR name a folder "
                "with room"
            ) from cause
        raise


def _sources(item: Item) -> tuple[Path, ...]:
    return (item.source, *item.also) if item.source else ()


def _is_read_later(item: Item, loaded: Loaded[Any]) -> bool:
    """Return whether the task still reads from disk: a large picture, or further frames."""
    return isinstance(loaded.source, OutOfCorePicture) or bool(item.also)


def _release(paths: tuple[Path, ...]) -> None:
    for path in paths:
        if (mount := mount_of(path)) is not None:
            mount.release(path)
