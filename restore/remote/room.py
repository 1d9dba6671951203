"""Room on disk for the files that are fetched."""

import shutil
from pathlib import Path
from threading import Condition

from restore.errors import InputError

__all__ = ["Full", "Room"]

_SHARE = 0.5
_MOST_BYTES = 64 << 30
_LOOK_AGAIN_S = 0.5


class Full(Exception):
    """There is no room yet for a file that is on its way.

    Attributes:
        size: The bytes that it needs.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Room:
    """Bounds what lies in a folder: half of what is free there, and no more than 64 GiB.

    Files wait until there is room; one that is larger than the bound comes alone.

    Args:
        folder: The folder.
        limit: Bytes, in place of the bound above.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self._folder = folder
        free = shutil.disk_usage(folder).free
        self._limit = min(_MOST_BYTES, int(_SHARE * free)) if limit is None else limit
        self._taken: dict[Path, int] = {}
        self._changed = Condition()

    def take(self, path: Path, size: int, name: str, *, waits: bool = True) -> None:
        """Wait until a file may be written, and count it if it will be given back.

        Args:
            path: Where it goes.
            size: Its bytes.
            name: What messages call it.
            waits: Whether it will be given back, and others before it; else it stays until the
                end, and must find room at once.

        Raises:
            InputError: the disk cannot hold it.
        """
        with self._changed:
            while waits and self._taken and sum(self._taken.values()) + size > self._limit:
                self._changed.wait(_LOOK_AGAIN_S)
            if size > (free := shutil.disk_usage(self._folder).free):
                raise InputError(
                    f"{name}: {size:,} bytes, and {self._folder.parent} has room for {free:,}; "
                    "let TMPDIR name a folder with more"
                )
            if waits:  # nobody would ever give back what stays until the end
                self._taken[path] = size

    def grow(self, path: Path, size: int, name: str, *, is_all: bool) -> None:
        """Count a file whose size was not known before it was on its way; does not wait.

        Args:
            path: Where it goes.
            size: Its bytes, or those that have come.
            name: What messages call it.
            is_all: Whether no more will come.

        Raises:
            Full: there is no room until others are given back.
            InputError: there is no room for it at all.
        """
        most = shutil.disk_usage(self._folder).free if is_all else self._limit
        if size > most:
            raise InputError(
                f"{name}: takes {'' if is_all else 'more than '}{size:,} bytes, and "
                f"{self._folder.parent} has room for {most:,}; let TMPDIR name a folder with more"
            )
        with self._changed:
            if path not in self._taken:
                return
            others = sum(self._taken.values()) - self._taken[path]
            if others and others + size > self._limit:
                raise Full(size if is_all else self._limit)
            self._taken[path] = max(size, self._taken[path])

    def give_back(self, path: Path) -> None:
        """Count a file no more, if it was counted."""
        with self._changed:
            self._taken.pop(path, None)
            self._changed.notify_all()
