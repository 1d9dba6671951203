"""What of a plan a manifest says is done, and what it is told of the rest."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from restore.batch.manifest import Known, Manifest, mark_of
from restore.batch.plan import Item
from restore.batch.rows import Row, RowStatus
from restore.batch.stream import Outcome, Status
from restore.errors import RestoreError
from restore.remote.paths import lexists, mount_of
from restore.weights.file import find

__all__ = ["Resumption", "sha256_of"]

_AUTO = "auto"


class Resumption:
    """A run that goes by a manifest.

    Args:
        manifest: The manifest, which is open.
        model: The model that was asked for: auto, a shipped name or a file.
        most_attempts: How often an input may be tried in all; with 0, what failed is not tried
            again.
    """

    def __init__(self, manifest: Manifest, model: str, *, most_attempts: int = 0) -> None:
        self._manifest, self._model, self._most_attempts = manifest, model, most_attempts
        self._found: list[Item] = []
        self.changed = 0

    @property
    def is_new(self) -> bool:
        """Whether the manifest knows nothing."""
        return not self._manifest.known

    def is_done(self, item: Item) -> bool:
        """Return whether an item's result is there, made of the input as it is now."""
        known = self._known(item)
        if known is None:
            return False
        if known.mark != mark_of(*version_of(item)):
            self.changed += 1
            return False
        if known.status is RowStatus.FAILED or not all(map(lexists, item.outputs)):
            return False
        if known.status is RowStatus.PLANNED:  # when it was planned there was no such result
            self._found.append(item)
        return True

    def failed_before(self, items: Iterable[Item]) -> list[Outcome]:
        """Return an outcome for each item that failed too often to be tried again."""
        outcomes = []
        for item in items:
            known = self._known(item)
            if (
                not item.skip
                and known is not None
                and known.status is RowStatus.FAILED
                and known.attempts >= self._most_attempts
                and known.mark == mark_of(*version_of(item))
            ):
                times = "once" if known.attempts == 1 else f"{known.attempts} times"
                text = f"{known.error} (failed {times} before, and was not tried again)"
                outcomes.append(Outcome(item=item, status=Status.FAILED, error=text))
        return outcomes

    def begin(self, items: Sequence[Item]) -> None:
        """Write a row for each item that is to be done, and for results that were not noted.

        An item whose old result will be replaced gets none: should the run be killed, nothing
        would tell the old result from a new one.

        Raises:
            OutputError: the manifest cannot be written.
        """
        self._manifest.append(self._rows(self._found, RowStatus.DONE, 1))
        self._manifest.append(self._planned(items))

    def add(self, outcome: Outcome) -> None:
        """Write what became of an item.

        Raises:
            OutputError: the manifest cannot be written.
        """
        item, record = outcome.item, outcome.record
        known = self._known(item)
        if item.source is None or (item.skip and known and known.status is not RowStatus.FAILED):
            return
        status = RowStatus(str(outcome.status))
        seconds = record.get("seconds")
        row = self._row(
            item,
            status,
            self._attempts(item) + (status is not RowStatus.SKIPPED),
            weights=self._weights(record) if status is RowStatus.DONE else "",
            seconds=float(seconds) if isinstance(seconds, int | float) else None,
            error=outcome.error,
            warnings=tuple(_warnings(record)),
        )
        self._manifest.append([row])

    def _planned(self, items: Iterable[Item]) -> Iterator[Row]:
        for item in items:
            is_new = not item.skip and not any(map(lexists, item.outputs))
            if is_new and item.source is not None:
                yield self._row(item, RowStatus.PLANNED, self._attempts(item))

    def _rows(self, items: Iterable[Item], status: RowStatus, attempts: int) -> Iterator[Row]:
        for item in items:
            yield self._row(item, status, attempts)

    def _row(self, item: Item, status: RowStatus, attempts: int, **more: object) -> Row:
        size, version = version_of(item)
        return Row(
            source=name_of(item),
            size=size,
            version=version,
            settings=self._manifest.settings,
            output=_valid(item.destination_name),
            status=status,
            attempts=attempts,
            **more,  # type: ignore[arg-type]
        )

    def _known(self, item: Item) -> Known | None:
        return self._manifest.known.get(name_of(item)) if item.source is not None else None

    def _attempts(self, item: Item) -> int:
        """Return how often the input, as it is now, was tried."""
        known = self._known(item)
        return known.attempts if known and known.mark == mark_of(*version_of(item)) else 0

    def _weights(self, record: Mapping[str, object]) -> str:
        """Return the SHA-256 of the weights that a record names; "" if there is no such file."""
        name = record.get("model")
        is_file = self._model != _AUTO and os.path.isfile(self._model)
        try:
            return sha256_of(Path(self._model) if is_file else find(str(name)))
        except (OSError, RestoreError):
            return ""


def name_of(item: Item) -> str:
    """Return by which name a manifest knows an input."""
    return _valid(item.source_name)


def version_of(item: Item) -> tuple[int | None, str]:
    """Return the size of an input, and its ETag or time of modification, as far as they are known.

    An input of several files, such as a bracket, has the sum of their sizes and all versions.
    """
    if item.source is None:
        return None, ""
    found = [_version_of(path) for path in (item.source, *item.also)]
    if len(found) == 1:
        return found[0]
    sizes = [size for size, _ in found if size is not None]
    return sum(sizes), " ".join(version for _, version in found)


def _version_of(path: Path) -> tuple[int | None, str]:
    mount = mount_of(path)
    if mount is not None:
        entry = mount.entry(path)
        return (None, "") if entry is None else (entry.size, entry.version)
    try:
        status = path.stat()
    except OSError:
        return None, ""
    return status.st_size, f"{status.st_mtime_ns}"


def _warnings(record: Mapping[str, object]) -> Iterator[str]:
    for key, before in (("remarks", ""), ("lost", "lost: ")):
        found = record.get(key)
        yield from (f"{before}{each}" for each in (found if isinstance(found, list) else ()))
    if "damaged" in record:
        yield f"damaged: {record['damaged']}"


def _valid(text: str) -> str:
    """Return a name as UTF-8 can hold it; what is none in it is escaped."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, as ``sha256sum`` prints it.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    return _sha256_of(path, status.st_size, status.st_mtime_ns)


@cache
def _sha256_of(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
