"""Temporary folders, which outlive not even a process that is killed."""

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from restore.errors import OutputError

__all__ = ["is_own", "scratch_folder"]

_SCRATCH = "imrestore-"
_LOCK = "in-use"
_ABANDONED_AFTER_S = 3600.0


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder, and remove those that killed processes left.

    Raises:
        OutputError: it cannot be made, or the block cannot write there.
    """
    try:
        _remove_abandoned(Path(gettempdir()))
        with TemporaryDirectory(prefix=_SCRATCH) as name, open(Path(name, "lock"), "wb") as lock:
            _try_to_lock(lock.fileno())
            if os.name == "posix":  # under its name it is locked from the beginning
                os.rename(lock.name, Path(name, _LOCK))
            yield Path(name)
    except OSError as error:
        raise OutputError(
            f"{error.filename or 'the temporary folder'}: cannot be written: "
            f"{error.strerror or error}; let TMPDIR name a folder with room"
        ) from error


def _remove_abandoned(base: Path) -> None:
    for folder in base.glob(f"{_SCRATCH}*"):
        with suppress(OSError):
            status = folder.lstat()
            if stat.S_ISDIR(status.st_mode) and is_own(status) and _is_abandoned(folder, status):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path, status: os.stat_result) -> bool:
    """Whether no living process holds the folder's lock; without locks, whether it is old."""
    try:
        with open(folder / _LOCK, "r+b") as lock:
            is_free = _try_to_lock(lock.fileno())
    except OSError:
        is_free = None
    return status.st_mtime < time.time() - _ABANDONED_AFTER_S if is_free is None else is_free


def _try_to_lock(descriptor: int) -> bool | None:
    """Take the lock of a file, for as long as it is open; None where there are no such locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_own(status: os.stat_result) -> bool:
    """Return whether a file belongs to this user."""
    return not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
