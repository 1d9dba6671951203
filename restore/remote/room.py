"""Room on disk for the files that are fetched."""

import shutil
from pathlib import Path
from threading import Condition

from restore.errors import InputError

__all__ = ["Room"]

_SHARE = 0.5
_MOST_BYTES = 64 << 30
_LOOK_AGAIN_S = 0.5


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

    def give_back(self, path: Path) -> None:
        """Count a file no more, if it was counted."""
        with self._changed:
            self._taken.pop(path, None)
            self._changed.notify_all()
