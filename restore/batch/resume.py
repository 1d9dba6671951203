"""What of a plan a manifest says is done, and what it is told of the rest."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from restore.arguments import argument
from restore.batch.inputs import STANDARD_STREAM
from restore.batch.items import ItemTexts
from restore.batch.manifest import Known, Manifest, mark_of
from restore.batch.plan import BatchPlan
from restore.batch.rows import Row, RowStatus
from restore.batch.stream import Outcome, Status
from restore.errors import RestoreError
from restore.remote.paths import mount_of, url_of
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
        self.changed = 0

    @property
    def is_new(self) -> bool:
        """Whether the manifest knows nothing."""
        return not len(self._manifest)

    def is_done(self, item: ItemTexts) -> bool:
        """Return whether an item's result is there, made of the input as it is now."""
        known, is_same = self._known(_State.of(item))
        if known is None:
            return False
        if not is_same:
            self.changed += 1
            return False
        # Where it is planned, a killed run was about to say so: there was no such result before.
        return known.status is not RowStatus.FAILED and item.there == len(item.outputs)

    def failed_before(self, plan: BatchPlan) -> dict[int, Outcome]:
        """Return outcomes for the items that failed too often to be tried again, by their place."""
        outcomes = {}
        for index, item in enumerate(plan.texts()):
            known, is_same = (None, False) if item.skip else self._known(_State.of(item))
            if (
                known is not None
                and is_same
                and known.status is RowStatus.FAILED
                and known.attempts >= self._most_attempts
            ):
                times = "once" if known.attempts == 1 else f"{known.attempts} times"
                text = (
                    f"{known.error} (failed {times} before, and was not tried again; "
                    f"{argument('retry_failed', known.attempts + 1)} does)"
                )
                outcomes[index] = Outcome(item=item.item(), status=Status.FAILED, error=text)
        return outcomes

    def begin(self, plan: BatchPlan) -> None:
        """Write a row for each item that is to be done, and for results that were not noted.

        An item whose old result will be replaced gets none: should the run be killed, nothing
        would tell the old result from a new one.

        Raises:
            OutputError: the manifest cannot be written.
        """
        self._manifest.append(filter(None, map(self._first_row, plan.texts())))

    def add(self, outcome: Outcome) -> None:
        """Write what became of an item.

        Raises:
            OutputError: the manifest cannot be written.
        """
        item, record = ItemTexts.of(outcome.item), outcome.record
        state = _State.of(item)
        known, is_same = self._known(state)
        attempts = known.attempts if known and is_same else 0
        if item.source is None or (item.skip and known and known.status is not RowStatus.FAILED):
            return
        status = RowStatus(str(outcome.status))
        seconds = record.get("seconds")
        row = self._row(
            item,
            state,
            status,
            attempts + (status is not RowStatus.SKIPPED),
            weights=self._weights(record) if status is RowStatus.DONE else "",
            seconds=float(seconds) if isinstance(seconds, int | float) else None,
            error=outcome.error,
            warnings=tuple(_warnings(record)),
        )
        self._manifest.append([row])

    def _first_row(self, item: ItemTexts) -> Row | None:
        """Return what is written of an item before the work."""
        if item.source is None or (item.there and not item.skip):
            return None
        state = _State.of(item)
        known, is_same = self._known(state)
        if item.skip:
            is_found = known is not None and is_same and known.status is RowStatus.PLANNED
            return self._row(item, state, RowStatus.DONE, 1) if is_found else None
        attempts = known.attempts if known and is_same else 0
        return self._row(item, state, RowStatus.PLANNED, attempts)

    def _row(
        self, item: ItemTexts, state: "_State", status: RowStatus, attempts: int, **more: object
    ) -> Row:
        to = STANDARD_STREAM if item.destination is None else _valid(url_of(item.destination))
        return Row(
            source=state.name,
            size=state.size,
            version=state.version,
            settings=self._manifest.settings,
            output=to,
            status=status,
            attempts=attempts,
            **more,  # type: ignore[arg-type]
        )

    def _known(self, state: "_State") -> tuple[Known | None, bool]:
        """Return what is known of an input, and whether it is as it was then."""
        known = self._manifest.known(state.name)
        return known, known is not None and known.mark == mark_of(*state)

    def _weights(self, record: Mapping[str, object]) -> str:
        """Return the SHA-256 of the weights that a record names; "" if there is no such file."""
        name = record.get("model")
        is_file = self._model != _AUTO and os.path.isfile(self._model)
        try:
            return sha256_of(Path(self._model) if is_file else find(str(name)))
        except (OSError, RestoreError):
            return ""


class _State(NamedTuple):
    """An input as it is now: its name in a manifest, its size and its version."""

    name: str
    size: int | None
    version: str

    @classmethod
    def of(cls, item: ItemTexts) -> "_State":
        """Return the state of an item's input."""
        name = STANDARD_STREAM if item.source is None else _valid(url_of(item.source))
        return cls(name, *version_of(item))


def version_of(item: ItemTexts) -> tuple[int | None, str]:
    """Return the size of an input, and its ETag or time of modification, as far as they are known.

    An input of several files, such as a bracket, has the sum of their sizes and all versions.
    """
    if item.source is None:
        return None, ""
    if not item.also:
        return _version_of(item.source)
    found = [_version_of(path) for path in (item.source, *item.also)]
    sizes = [size for size, _ in found if size is not None]
    return sum(sizes), " ".join(version for _, version in found)


def _version_of(path: str) -> tuple[int | None, str]:
    mount = mount_of(path)
    if mount is not None:
        entry = mount.entry(path)
        return (None, "") if entry is None else (entry.size, entry.version)
    try:
        status = os.stat(path)
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
