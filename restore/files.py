"""Atomic file writes: a reader sees either no file or the complete one.

A file is written to a temporary file beside it, its part, which stays locked as long as a process
writes it. So the next run can tell the parts of killed runs from those in use, whatever processes
have got their numbers since.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import stat
import time
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from restore.arguments import argument
from restore.errors import OutputError, OutputExists, UsageError

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "check_name",
    "exists_already",
    "folded",
    "identity_of",
    "ignores_case",
    "is_short",
    "open_atomically",
    "remove_at_exit",
    "remove_own_parts",
    "remove_stale_parts",
    "sole_use",
    "write_atomically",
]

_PREFIX, _SUFFIX = ".imrestore-", ".part"
_IN_USE = f"-in-use{_SUFFIX}"
_STALE_AFTER_S = 3600.0
_LOCK_TRIES, _LOCK_PAUSE_S = 4, 0.05
_SHORT_NAME = 143
"""Bytes that a name may have in every file system; encrypted ones have the lowest limit."""
_BYTES_PER_CHARACTER = 4
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_being_written: set[Path] = set()
_of_run: set[Path] = set()
_swept: set[Path] = set()
_scratch: set[Path] = set()


def write_atomically(
    path: Path,
    chunks: "bytes | memoryview | Iterable[bytes | memoryview]",
    *,
    overwrite: bool = False,
) -> None:
    """Write ``chunks`` to ``path``: temporary file beside it, fsync, then one rename.

    Raises:
        OutputExists: ``path`` exists and ``overwrite`` is False (checked again at the rename,
            so that two processes never replace each other's result).
        OutputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    with open_atomically(path, overwrite=overwrite) as file:
        for chunk in [chunks] if isinstance(chunks, bytes | memoryview) else chunks:
            file.write(chunk)


@contextlib.contextmanager
def open_atomically(
    path: Path, *, overwrite: bool = False, is_of_run: bool = False
) -> Iterator[BinaryIO]:
    """Open a seekable file for writing and reading, which gets its name once it is complete.

    Args:
        path: where it goes.
        overwrite: whether to replace what is there.
        is_of_run: whether it is about the whole run, and completed also where that is stopped.

    Raises:
        OutputExists: as ``write_atomically``.
        OutputError: as ``write_atomically``; however the block ends, no temporary file is left
            behind.
    """
    if path.parent not in _swept:
        _swept.add(path.parent)
        remove_stale_parts(path.parent)
    # A short name of its own: the final name plus a suffix could exceed the file system's limit.
    part = path.parent / f"{_PREFIX}{_kernel()}-{token_hex(8)}{_SUFFIX}"
    _being_written.add(part)
    if is_of_run:
        _of_run.add(part)
    try:
        with _created(part) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl:  # under its final name before the lock is given up
                _publish(part, path, overwrite=overwrite)
        if not fcntl:
            _publish(part, path, overwrite=overwrite)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        _being_written.discard(part)
        _of_run.discard(part)


def _created(part: Path) -> BinaryIO:
    """Create ``part`` and lock it, where the file system has locks."""
    while True:
        file = part.open("x+b")
        if not fcntl:
            return file
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # another process saw it before it was locked, and removed it


@cache
def _kernel() -> str:
    """Return what parts of processes that see each other's locks for certain have in common."""
    try:
        name = _BOOT_ID.read_text()
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def remove_own_parts(*, of_run: bool = True) -> None:
    """Remove this process's temporary files, for an exit that does not wait for its threads.

    Args:
        of_run: whether also those about the whole run, see ``open_atomically``.
    """
    for part in _being_written - (set() if of_run else _of_run):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    for folder in _scratch if of_run else ():
        shutil.rmtree(folder, ignore_errors=True)


def remove_at_exit(folder: Path) -> None:
    """Have a temporary folder removed with this process's temporary files."""
    _scratch.add(folder)


def exists_already(path: Path | str) -> OutputExists:
    """Return what to raise where something is there that may not be replaced."""
    return OutputExists(f"{path}: exists already; use {argument('overwrite', True)} to replace it")


def _publish(part: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        with contextlib.suppress(OSError):  # where there was nothing, or the mode is not ours
            part.chmod(stat.S_IMODE(path.stat().st_mode))
        part.replace(path)
        return
    try:
        os.link(part, path)  # unlike rename, fails when the name is taken
    except FileExistsError as error:
        raise exists_already(path) from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise exists_already(path) from None
        part.replace(path)


def remove_stale_parts(folder: Path) -> None:
    """Remove the parts in ``folder`` that no living process writes.

    On a shared drive, locks of other machines may be invisible: their parts are removed once they
    have not changed for an hour.
    """
    with contextlib.suppress(OSError):
        for part in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                if part not in _being_written and _is_abandoned(part):
                    part.unlink()


def _is_abandoned(part: Path) -> bool:
    """Return whether the process that wrote ``part`` is gone.

    Raises:
        OSError: the file cannot be opened for writing, or is gone.
    """
    status = part.lstat()
    if not stat.S_ISREG(status.st_mode):
        return False
    if fcntl:
        with part.open("r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:  # a file system without locks
                pass
            else:
                kernel = _kernel()
                if part.name.startswith(f"{_PREFIX}{kernel}-"):
                    return True
                if part.name.endswith(_IN_USE) and file.read(len(kernel)) == kernel.encode():
                    return True
    return status.st_mtime < time.time() - _STALE_AFTER_S


@contextlib.contextmanager
def sole_use(folder: Path, name: str) -> Iterator[None]:
    """Keep other processes from what ``name`` stands for in a folder, as long as this one lives.

    A locked file says so; where the file system has no locks, nothing does. Its content tells
    whose lock it was if the process is killed, see ``remove_stale_parts``.

    Raises:
        UsageError: another process has it.
        OutputError: the folder cannot be written.
    """
    path = folder / f"{_PREFIX}{name}{_IN_USE}"
    try:
        file = path.open("ab")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    with file:
        if fcntl and not _is_locked(file):
            raise UsageError(f"{folder}: is written by another run; wait for it or end it")
        _being_written.add(path)
        try:
            with contextlib.suppress(OSError):  # nothing but tidiness depends on it
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), _kernel().encode())
            yield
        finally:
            _being_written.discard(path)
            with contextlib.suppress(OSError):
                path.unlink()


def _is_locked(file: BinaryIO) -> bool:
    """Lock a file; return False if another process has it, more than for a look at it."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
        except OSError:  # a file system without locks
            return True
        else:
            return True
    return False


def is_short(name: str) -> bool:
    """Return whether every file system takes a name of this length."""
    return len(name) * _BYTES_PER_CHARACTER <= _SHORT_NAME


def check_name(path: Path) -> None:
    """Check that the file system takes a file of this name.

    Raises:
        UsageError: the name is too long.
    """
    name = path.name if os.name == "nt" else os.fsencode(path.name)
    if len(name) > (limit := _longest_name(path.parent)):
        raise UsageError(
            f"{path}: this name is too long by {len(name) - limit}: a name has at most {limit} "
            f"{'characters' if os.name == 'nt' else 'bytes'} here; give the file a shorter one"
        )


def _longest_name(folder: Path) -> int:
    """Return the limit in ``folder``, or, if it is still to be made, where it will be."""
    for known in (folder, *folder.absolute().parents):
        with contextlib.suppress(OSError, AttributeError):
            return os.pathconf(known, "PC_NAME_MAX")
    return 255


def identity_of(path: Path | str) -> tuple[int, int] | None:
    """Return device and inode, the same through any link, hard or symbolic; None without a file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def folded(name: str) -> str:
    """Return what is the same for two names of one file where the file system ignores case."""
    return unicodedata.normalize("NFC", name).casefold()


def ignores_case(folder: Path) -> bool:
    """Find out from names that exist whether the file system of ``folder`` ignores case."""
    for known in (folder, *folder.absolute().parents):
        swapped = known.with_name(known.name.swapcase()) if known.name else known
        if swapped != known and os.path.exists(known):
            return os.path.exists(swapped) and swapped.samefile(known)
    return False
