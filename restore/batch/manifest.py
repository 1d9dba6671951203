"""A manifest while runs write to it: shared by shards, locked, and complete at any moment.

A file of JSON lines is a log: each row is appended at once, and of several rows with one source
the last one counts. The last run that closes it leaves one row an input. For a Parquet file, which
cannot be appended to, the log is a file of JSON lines beside it, ``NAME.parquet.jsonl``.
"""

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from restore.arguments import argument
from restore.batch import rows
from restore.batch.rows import PARQUET, Row, RowStatus, format_of
from restore.errors import OutputError, UsageError

try:
    import fcntl
except ImportError:  # Windows, where several runs cannot be told apart
    fcntl = None  # type: ignore[assignment]

__all__ = ["Known", "Manifest", "current", "files_of", "mark_of", "told_of_damage"]

_ROWS_AT_ONCE = 1000
_LONGEST_WAIT_S, _PAUSE_S = 30.0, 0.2


class Known(NamedTuple):
    """What is kept in memory of a row: of a million rows, a quarter of what their texts take.

    Attributes:
        mark: ``mark_of`` its source, size and version.
        status: What became of the input.
        attempts: How often it was tried.
        error: Why it failed; else "".
    """

    mark: int
    status: RowStatus
    attempts: int
    error: str

    @classmethod
    def of(cls, row: Row) -> "Known":
        """Return what is kept of a row."""
        mark = mark_of(row.source, row.size, row.version)
        return cls(mark, row.status, row.attempts, sys.intern(row.error))


def mark_of(source: str, size: int | None, version: str) -> int:
    """Return a number by which a process tells whether an input has changed.

    The source counts, so that two of one hash are not taken for each other but for changed.
    """
    return hash((source, size, version))


def files_of(path: Path) -> list[Path]:
    """Return the files of a manifest that hold something: itself, then its log."""
    both = dict.fromkeys((path, _log_of(path)))
    return [file for file in both if file.exists() and file.stat().st_size]


def told_of_damage(lines: int) -> str:
    """Return the phrase for lines that are no rows."""
    return f"{'1 line is no row' if lines == 1 else f'{lines:,} lines are no rows'}; left out"


def current(paths: Iterable[Path], damaged: Counter[Path] | None = None) -> Iterator[Row]:
    """Yield the last row of each source in several manifests, in the order of the files.

    They are read twice, so that memory holds no more than their sources.

    Args:
        paths: The manifests.
        damaged: Counts the lines of each file that are no rows.

    Raises:
        InputError: a file cannot be read.
    """
    files = [file for path in paths for file in files_of(path)]
    last: dict[str, int] = {}
    both = ((file, row) for file in files for row in rows.read(file))
    for index, (file, row) in enumerate(both):
        if row is not None:
            last[row.source] = index
        elif damaged is not None:
            damaged[file] += 1
    for index, row in enumerate(chain.from_iterable(map(rows.read, files))):
        if row is not None and last.get(row.source) == index:
            yield row


class Manifest:
    """A manifest that is open for a run; enter it as a context.

    Args:
        path: The file, which may be new.
        settings: Hash of the run's settings.
        is_shared: Whether other runs may write at the same time, as shards do.
        is_only_read: Whether nothing will be written, as in a dry run.

    Attributes:
        path: See above.
        settings: See above.
        damaged: Lines that are no rows, as one that a killed machine left.

    Raises:
        UsageError: it is no manifest, or that of a run with other settings, or another run is
            writing to it.
        InputError: it cannot be read.
        OutputError: it cannot be written.
    """

    def __init__(
        self, path: Path, settings: str, *, is_shared: bool = False, is_only_read: bool = False
    ) -> None:
        self.path, self.settings = path, settings
        self._descriptor: int | None = None
        self._log = _log_of(path)
        self._has_more_lines_than_rows = False
        self._is_new = not self._log.exists()
        self._known: dict[int, Known] = {}
        self.damaged = 0
        if is_only_read:
            self._read()
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = _opened(self._log, is_shared=is_shared)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        try:
            self._read()
            self._end_last_line(self._descriptor)
        except BaseException:
            self._close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, and leave one row an input unless the run was stopped."""
        if self._descriptor is None:
            return
        try:
            if kind is None or issubclass(kind, Exception):
                self._tidy(self._descriptor)
        finally:
            self._close(self._descriptor)
            self._descriptor = None

    def __len__(self) -> int:
        """Return how many sources it knows."""
        return len(self._known)

    def known(self, source: str) -> Known | None:
        """Return what it says of a source; None for nothing."""
        return self._known.get(hash(source))  # a text for each would take as much again

    def append(self, new: Iterable[Row]) -> None:
        """Write rows, a thousand at once.

        Raises:
            OutputError: they cannot be written.
        """
        remaining = iter(new)
        while group := list(islice(remaining, _ROWS_AT_ONCE)):
            text = "".join(map(rows.line_of, group))
            self._write(text.encode())
            for row in group:
                self._has_more_lines_than_rows |= hash(row.source) in self._known
                self._known[hash(row.source)] = Known.of(row)

    def _read(self) -> None:
        for file in files_of(self.path):
            for row in rows.read(file):
                if row is None:
                    self.damaged += 1
                    continue
                if row.settings != self.settings:
                    raise UsageError(
                        f"{self.path}: is of a run with other settings or weights; give the same, "
                        "or another manifest"
                    )
                self._has_more_lines_than_rows |= hash(row.source) in self._known
                self._known[hash(row.source)] = Known.of(row)
        if self.damaged and not self._known:  # somebody's file, which would be written anew
            raise UsageError(f"{self.path}: is no manifest; choose another name")

    def _end_last_line(self, descriptor: int) -> None:
        """End a line that a killed process left in the middle."""
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                self._write(b"\n")

    def _write(self, data: bytes) -> None:
        """Append in one piece, which on a local disk no other process can come between."""
        assert self._descriptor is not None  # it was opened to be written to
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written: {error.strerror or error}"
            ) from error

    def _close(self, descriptor: int) -> None:
        """Close the log, and leave no empty one of a run that was refused."""
        # Another run may be about to write to it.
        if (
            self._is_unused(descriptor)
            and _locked(descriptor, is_shared=False)
            and _is_at(descriptor, self._log)
        ):
            self._log.unlink(missing_ok=True)
        os.close(descriptor)

    def _is_unused(self, descriptor: int) -> bool:
        return self._is_new and not os.fstat(descriptor).st_size

    def _tidy(self, descriptor: int) -> None:
        """Leave one row an input, if no other run is writing."""
        is_parquet = format_of(self.path) == PARQUET
        if not (is_parquet or self._has_more_lines_than_rows or self.damaged):
            return
        if self._is_unused(descriptor):
            return
        if not _locked(descriptor, is_shared=False):
            return
        if not _is_at(descriptor, self._log):
            return  # another run has done it
        self._known.clear()
        rows.write(self.path, current([self.path]))
        if is_parquet:
            self._log.unlink(missing_ok=True)


def _log_of(path: Path) -> Path:
    """Return the file that rows are appended to."""
    return path.with_name(f"{path.name}.jsonl") if format_of(path) == PARQUET else path


def _opened(path: Path, *, is_shared: bool) -> int:
    """Open a log for appending, and lock it.

    Raises:
        UsageError: another run holds it.
    """
    give_up = time.monotonic() + (_LONGEST_WAIT_S if is_shared else 0.0)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    while True:
        descriptor = os.open(path, flags, 0o666)
        if _locked(descriptor, is_shared=is_shared):
            if _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)  # it was replaced since it was opened
            continue
        os.close(descriptor)
        # A run that ends holds it for itself for a moment.
        if time.monotonic() > give_up:
            raise UsageError(
                f"{path}: another run is writing it; wait for that, or give each its "
                f"{argument('shard')}"
            )
        time.sleep(_PAUSE_S)


def _locked(descriptor: int, *, is_shared: bool) -> bool:
    if not fcntl:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        pass
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
