"""A folder that fills while it is watched: each file is taken once, when it is complete."""

import logging
import os
import stat
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from restore.batch.search import Found, named_others
from restore.batch.walk import OWN_ENDINGS
from restore.errors import UsageError

__all__ = ["FolderWatch"]

log = logging.getLogger("restore")

_MOUNTS = Path("/proc/self/mounts")
_REMOTE = ("9p", "afs", "ceph", "cifs", "fuse", "glusterfs", "lustre", "nfs", "smb", "vboxsf")
_POLL_S, _SAFETY_S, _SHARE_OF_TIME = 1.0, 30.0, 10
_EMPTY_FACTOR, _LEAST_EMPTY_S = 10, 30.0
_MOST_EVENTS = 1000
"""Above it, the folder is read instead of the names that events brought."""

Signature = tuple[int, int]
"""Size in bytes and time of modification in ns."""


@dataclass
class _Waiting:
    """A file that may still grow, and since when it has not."""

    signature: Signature
    since: float


class FolderWatch:
    """Watches a folder; enter it as a context.

    A file is complete when its size and its time of modification have not changed for ``settle_s``
    seconds; at once if it was moved or copied here with the time that it had before, since no file
    that is being written has a modification much older than its change of status (not on Windows,
    which has no such time). Empty files wait ten times as long. A file is taken once, whatever
    becomes of it later, unless the caller says that it ``failed``.

    The operating system reports changes through watchfiles, where that is installed; on network
    drives, which do not report what other machines write, and without watchfiles, the folder is
    read again and again, for at most a tenth of the time.

    Args:
        folder: The folder.
        recursive: Watch its whole tree.
        left_out: Folders in it that are not watched, those of results.
        suffixes: Suffixes of the files to take, lower case.
        patient: Those of the suffixes whose files wait ``settle_s`` in any case, as for another
            file that may follow.
        settle_s: See above.
        is_polled: Read the folder instead of being told; None to decide.
        warn: Told about what is not taken, in a sentence.

    Attributes:
        folder: See above.
        is_polled: Whether the folder is read again and again.

    Raises:
        UsageError: there is no such folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        suffixes: Collection[str],
        settle_s: float,
        recursive: bool = False,
        left_out: Collection[Path] = (),
        patient: Collection[str] = (),
        is_polled: bool | None = None,
        warn: Callable[[str], None] = log.warning,
    ) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder}: not a folder to watch")
        self.folder, self._recursive = folder, recursive
        self._suffixes, self._settle_s, self._warn = suffixes, settle_s, warn
        self._patient = patient
        self._left_out = {os.path.realpath(each) for each in left_out}
        self.is_polled = _is_remote(folder) if is_polled is None else is_polled
        self._waiting: dict[Path, _Waiting] = {}
        self._complete: deque[Path] = deque()
        self._taken: dict[Path, Signature | None] = {}
        self._failed: set[Path] = set()
        self._changed_late: list[Path] = []
        self._told: set[str] = set()
        self._others: Counter[str] = Counter()
        self._new: list[tuple[int, Path]] = []
        self._is_away = self._was_read = False
        self._next_reading = self._reading_s = 0.0
        self._lock, self._stopped, self._wake = (
            threading.Lock(),
            threading.Event(),
            threading.Event(),
        )
        self._changed: set[str] = set()

    def __enter__(self) -> Self:
        """Start to be told about changes."""
        if not self.is_polled:
            try:
                import watchfiles  # noqa: F401
            except ImportError:
                self.is_polled = True
            else:
                threading.Thread(target=self._listen, name="watch", daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop being told."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait until something may be complete, but no longer than ``seconds``."""
        now = time.monotonic()
        times = [self._next_reading - now, seconds]
        times += [max(0.05, self._settle_s / 4)] if self._waiting else []
        self._wake.wait(max(0.0, min(times)))

    def ready(self, most: int) -> list[Found]:
        """Return at most so many files that are complete, in the order of their modification."""
        with self._lock:
            self._wake.clear()
            changed, self._changed = self._changed, set()
        is_due = time.monotonic() >= self._next_reading or self._is_away
        if is_due or len(changed) > _MOST_EVENTS:
            self._read()
        else:
            self._look_at(changed)
        self._sort_out()
        self._complete.extend(path for _, path in sorted(self._new))
        self._new.clear()
        taken = [self._complete.popleft() for _ in range(min(most, len(self._complete)))]
        return [Found.file(path, path.relative_to(self.folder)) for path in taken]

    @property
    def is_idle(self) -> bool:
        """Whether no file is waiting to be complete or to be taken."""
        return not self._waiting and not self._complete

    def failed(self, path: Path) -> None:
        """Take a file again when it has changed, or when it is back if it is gone."""
        if os.path.lexists(path):
            self._failed.add(path)
        else:
            self._taken.pop(path, None)

    def changed(self) -> list[Path]:
        """Return which files changed after they were taken, each once; they are not taken again."""
        changed, self._changed_late = self._changed_late, []
        return changed

    # What changes

    def _listen(self) -> None:
        """Collect the names of what changes, until the end; in a thread."""
        from watchfiles import watch

        try:
            for changes in watch(
                os.path.realpath(self.folder),
                watch_filter=None,
                debounce=100,
                step=20,
                stop_event=self._stopped,
                rust_timeout=500,
                recursive=self._recursive,
                raise_interrupt=False,
            ):
                with self._lock:
                    if len(self._changed) <= _MOST_EVENTS:
                        self._changed.update(name for _, name in changes)
                self._wake.set()
        except Exception as error:  # as where the system's limit on watches is reached
            self._warn(
                f"{self.folder}: changes are not reported ({error}); it is read every second"
            )
        # It may be back, or was never reported.
        self.is_polled, self._next_reading = True, 0.0
        self._wake.set()

    def _look_at(self, names: Collection[str]) -> None:
        root = os.path.realpath(self.folder)
        for name in names:
            below = Path(os.path.relpath(name, root))
            path = self.folder / below
            if below.parts[:1] == (os.pardir,) or any(part.startswith(".") for part in below.parts):
                continue
            if os.path.isdir(path):
                if self._recursive:
                    self._next_reading = 0.0
            elif not self._is_left_out(path.parent):
                self._note(path)

    def _is_left_out(self, folder: Path) -> bool:
        real = Path(os.path.realpath(folder))
        return any(str(each) in self._left_out for each in (real, *real.parents))

    def _read(self) -> None:
        """Read the folder, and forget what is not there any more."""
        started = time.monotonic()
        there = set()
        try:
            for path in self._files(self.folder, set()):
                there.add(path)
                self._note(path)
        except OSError as error:
            if not self._is_away:
                self._warn(f"{self.folder}: cannot be read: {error.strerror}; waiting for it")
            self._is_away = self.is_polled = True  # what is made anew in its place is not reported
        else:
            if self._is_away:
                self._warn(f"{self.folder}: is back")
            self._is_away = False
            for known in (self._waiting, self._taken):
                for path in [path for path in known if path not in there]:
                    known.pop(path)
            self._failed &= there
        if not self._was_read and self._others:
            self._warn(named_others(self._others))
        self._was_read = True
        ended = time.monotonic()
        interval = max(_POLL_S, _SHARE_OF_TIME * (ended - started)) if self.is_polled else _SAFETY_S
        self._next_reading = ended + interval

    def _files(self, folder: Path, known: set[str]) -> Iterator[Path]:
        """Yield the files of the tree; links to folders lead to each folder once."""
        real = os.path.realpath(folder)
        if real in known or real in self._left_out:
            return
        known.add(real)
        below = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    below.append(Path(entry.path))
                else:
                    yield Path(entry.path)
        for each in below if self._recursive else ():
            try:
                yield from self._files(each, known)
            except OSError as error:
                if str(each) not in self._told:
                    self._told.add(str(each))
                    self._warn(f"{each}: this folder cannot be read: {error.strerror}")

    # One file

    def _note(self, path: Path) -> None:
        """Look at a file that is there, or was."""
        if not self._belongs(path):
            return
        try:
            status = path.stat()
        except OSError:  # gone, or a link to what is not there yet
            self._waiting.pop(path, None)
            return
        if not stat.S_ISREG(status.st_mode):
            return
        signature = status.st_size, status.st_mtime_ns
        if path in self._taken and self._taken[path] == signature:
            return
        if path in self._taken and path not in self._failed:
            if self._taken[path] is not None:
                self._taken[path] = None  # told once
                self._changed_late.append(path)
            return
        waiting = self._waiting.get(path)
        if waiting is None or waiting.signature != signature:
            self._waiting[path] = _Waiting(signature, time.monotonic())
        is_patient = path.suffix.lower() in self._patient
        if status.st_size and not is_patient and _came_complete(status, self._settle_s):
            self._take(path)

    def _belongs(self, path: Path) -> bool:
        if path.name.endswith(OWN_ENDINGS):
            return False
        suffix = path.suffix.lower()
        if suffix in self._suffixes:
            return True
        if self._was_read and suffix not in self._others:
            self._warn(f"{path}: is of another kind; left out, as all such files")
        if not self._was_read or suffix not in self._others:
            self._others[suffix] += 1
        return False

    def _sort_out(self) -> None:
        """Find out which of the waiting files are complete."""
        now = time.monotonic()
        for path, waiting in list(self._waiting.items()):
            size, _ = waiting.signature
            patience = (
                self._settle_s if size else max(_LEAST_EMPTY_S, _EMPTY_FACTOR * self._settle_s)
            )
            if now - waiting.since >= patience:
                before = waiting.signature
                self._note(path)
                if path in self._waiting and self._waiting[path].signature == before:
                    self._take(path)
            else:
                self._note(path)

    def _take(self, path: Path) -> None:
        self._taken[path] = signature = self._waiting.pop(path).signature
        self._failed.discard(path)
        self._new.append((signature[1], path))


def _came_complete(status: os.stat_result, settle_s: float) -> bool:
    """Return whether a file was moved or copied here with its time, after it was written."""
    return os.name != "nt" and status.st_ctime - status.st_mtime >= settle_s


def _is_remote(folder: Path) -> bool:
    """Return whether other machines may write to the folder's file system."""
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    real, best, kind = os.path.realpath(folder), "", ""
    for line in lines:
        _, point, each, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if os.path.commonpath([real, point]) == point and len(point) >= len(best):
            best, kind = point, each
    return kind.startswith(_REMOTE)
