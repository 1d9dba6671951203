"""URLs as paths: what asks about a path that may stand for a URL.

While a command runs, a file that is in a store has a path of its own; see
``restore.remote.url_paths``. What asks here whether it exists asks the store's listing. So plans
and stages work on paths as ever, and ``shown`` puts the URL back into whatever a person or a
program reads. Commands without URLs import none of what reaches stores.
"""

import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.remote.mount import Mount
    from restore.remote.store import Entry
    from restore.remote.url_paths import UrlPaths

__all__ = [
    "exists",
    "identity_of",
    "is_remote",
    "isdir",
    "isfile",
    "lexists",
    "look_again",
    "mount_of",
    "send_soon",
    "shown",
    "url_of",
    "use",
    "version_of",
]

_current: "UrlPaths | None" = None


def use(paths: "UrlPaths | None") -> None:
    """Let paths be asked about as ``paths`` has it; None where none stands for a URL."""
    global _current
    _current = paths


def mount_of(path: Path | str) -> "Mount | None":
    """Return the mount that a path is below; None for a path on disk."""
    return _current.mount_of(path) if _current is not None else None


def is_remote(path: Path | str | None) -> bool:
    """Return whether a path stands for a URL."""
    return path is not None and mount_of(path) is not None


def shown(text: str) -> str:
    """Return ``text`` with URLs in place of the paths that stand for them."""
    return _current.shown(text) if _current is not None and _current.mounts else text


def url_of(path: str) -> str:
    """Return what ``shown`` does of a text that is one path, in a tenth of the time."""
    mount = mount_of(path)
    return path if mount is None else mount.shown(path)


def send_soon(path: Path) -> None:
    """Have a store get what a command has made at a path and beside it, while it goes on.

    Nothing for a path on disk.
    """
    if _current is not None:
        _current.send_soon(path)


def version_of(path: Path | str) -> tuple[int, int | str] | None:
    """Return the size of a file in bytes, and what changes with its content; None without a file.

    The latter is the time of modification in nanoseconds, or what a store states, such as an ETag.
    """
    mount = mount_of(path)
    if mount is None:
        try:
            about = os.stat(path)
        except OSError:
            return None
        return about.st_size, about.st_mtime_ns
    entry = mount.entry(path)
    return None if entry is None else (entry.size or 0, entry.version)


def look_again(path: Path) -> None:
    """Ask a store anew about a path; nothing for a path on disk."""
    if (mount := mount_of(path)) is not None:
        mount.look_again(path)


def _asking(
    ask: "Callable[[Entry], bool]", on_disk: Callable[[str | Path], bool]
) -> Callable[[str | Path], bool]:
    def answer(path: str | Path) -> bool:
        mount = mount_of(path)
        if mount is None:
            return on_disk(path)
        entry = mount.entry(path)
        return entry is not None and ask(entry)

    return answer


lexists = _asking(lambda _: True, os.path.lexists)
"""``os.path.lexists``, for paths of URLs too."""

exists = _asking(lambda _: True, os.path.exists)
"""``os.path.exists``, for paths of URLs too."""

isdir = _asking(lambda entry: entry.is_folder, os.path.isdir)
"""``os.path.isdir``, for paths of URLs too."""

isfile = _asking(lambda entry: not entry.is_folder, os.path.isfile)
"""``os.path.isfile``, for paths of URLs too."""


def identity_of(path: Path | str) -> Hashable:
    """Return what is the same for two names of one file; None without a file."""
    from restore import files

    if mount_of(path) is not None:
        return str(path) if lexists(path) else None
    return files.identity_of(path)
