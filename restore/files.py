"""Atomic file writes: a reader sees either no file or the complete one."""

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from restore.errors import OutputError, OutputExists

__all__ = [
    "identity_of",
    "open_atomically",
    "remove_own_parts",
    "remove_stale_parts",
    "write_atomically",
]

_PREFIX, _SUFFIX = ".imrestore-", ".part"
_STALE_AFTER_S = 3600.0
_being_written: set[Path] = set()


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
def open_atomically(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a seekable file for writing and reading, which gets its name once it is complete.

    Raises:
        OutputExists: as ``write_atomically``.
        OutputError: as ``write_atomically``; however the block ends, no temporary file is left
            behind.
    """
    # A short name of its own: the final name plus a suffix could exceed the file system's limit.
    part = path.parent / f"{_PREFIX}{token_hex(8)}{_SUFFIX}"
    _being_written.add(part)
    try:
        with part.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _publish(part, path, overwrite=overwrite)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        _being_written.discard(part)


def remove_own_parts() -> None:
    """Remove this process's temporary files, for an exit that does not wait for its threads."""
    for part in tuple(_being_written):
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _publish(part: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        with contextlib.suppress(OSError):  # where there was nothing, or the mode is not ours
            part.chmod(stat.S_IMODE(path.stat().st_mode))
        part.replace(path)
        return
    try:
        os.link(part, path)  # unlike rename, fails when the name is taken
    except FileExistsError as error:
        raise OutputExists(f"{path}: exists already; use --overwrite to replace it") from error
    except OSError:  # a file system without hard links
        if path.exists():
            raise OutputExists(f"{path}: exists already; use --overwrite to replace it") from None
        part.replace(path)


def remove_stale_parts(folder: Path) -> None:
    """Remove what a killed run left in ``folder``; files younger than an hour may be in use."""
    oldest_in_use = time.time() - _STALE_AFTER_S
    with contextlib.suppress(OSError):
        for part in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                if part.stat().st_mtime < oldest_in_use:
                    part.unlink()


def identity_of(path: Path) -> tuple[int, int] | None:
    """Return device and inode, the same through any link, hard or symbolic; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
