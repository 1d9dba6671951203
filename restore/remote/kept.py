"""What a command writes at a URL file by file: it lies on disk meanwhile, and is sent."""

import glob
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

from restore.errors import RestoreError
from restore.remote.mount import Mount

__all__ = ["Kept"]

log = logging.getLogger("restore")

_Signature = tuple[int, int]
"""Size in bytes and time of modification in nanoseconds."""


class Kept:
    """The files of a folder, or those beside each other whose names begin alike.

    What is there already counts as sent.

    Args:
        mount: where they belong.
        top: the folder.
        stem: how the names begin; "" for all files of the folder and of those below it.
    """

    def __init__(self, mount: Mount, top: Path, stem: str) -> None:
        self._mount, self._top, self._stem = mount, top, stem
        self._sent = self._found()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._latest: Path | None = None

    def covers(self, path: Path) -> bool:
        """Return whether a path is that of one of these files."""
        return path.parent == self._top and path.name.startswith(self._stem)

    def send_soon(self, last: Path) -> None:
        """Have another thread send the files beside each other that have changed.

        They are replaced and never written to in place, so that what it sends is whole. What the
        store refuses is warned of, and sent with the next call or by ``send``.

        Args:
            last: the file that goes last, since the others belong to it.
        """
        with self._lock:
            self._latest = last
            if self._thread is None:
                self._thread = Thread(target=self._send_latest, name="send", daemon=True)
                self._thread.start()

    def send(self) -> list[str]:
        """Send what has changed, and remove from the store what is gone from disk.

        Returns:
            A sentence about each file that the store refuses, and where on disk it is kept.
        """
        self.wait()
        failures = []
        for path, signature in self._found().items():
            if self._sent.get(path) == signature:
                continue
            try:
                self._mount.push(path, overwrite=True)
            except RestoreError as error:
                failures.append(f"{error}; it is kept as {_saved(path)}")
            else:
                self._sent[path] = signature
        if not failures:  # or what stands for the work of hours would be lost
            self._remove_gone()
        return failures

    def wait(self) -> None:
        """Wait for the other thread, which begins nothing more."""
        with self._lock:
            thread, self._latest = self._thread, None
        if thread is not None:
            thread.join()

    def _found(self) -> dict[Path, _Signature]:
        if not self._stem:
            return _signatures(self._top.rglob("*"))
        beside = list(self._top.glob(f"{glob.escape(self._stem)}*"))
        return _signatures([*beside, *(each for path in beside for each in path.rglob("*"))])

    def _send_latest(self) -> None:
        while True:
            with self._lock:
                last, self._latest = self._latest, None
                if last is None:
                    self._thread = None
                    return
            beside = _signatures(self._top.glob(f"{glob.escape(self._stem)}*"))
            try:
                for path in sorted(beside, key=lambda each: (each == last, each)):
                    if self._sent.get(path) != beside[path]:
                        self._send_as_it_is(path)
            except RestoreError as error:
                log.warning("%s; it is tried again with the next one", error)

    def _send_as_it_is(self, path: Path) -> None:
        """Send a file that may be replaced or removed meanwhile."""
        with tempfile.TemporaryDirectory(dir=self._top, prefix=".sent-") as folder:
            link = Path(folder) / path.name
            try:
                os.link(path, link)
            except FileNotFoundError:
                return
            except OSError:  # a file system without hard links
                shutil.copy2(path, link)
            signature = _signatures([link])[link]
            self._mount.push(link, overwrite=True, key=self._mount.key(path))
        self._sent[path] = signature

    def _remove_gone(self) -> None:
        for path in [each for each in self._sent if not each.exists()]:
            try:
                self._mount.remove(path)
            except RestoreError as error:
                log.warning("%s", error)
            del self._sent[path]


def _signatures(paths: Iterable[Path]) -> dict[Path, _Signature]:
    found = {}
    for path in paths:
        with suppress(FileNotFoundError):
            if path.is_file():
                status = path.stat()
                found[path] = (status.st_size, status.st_mtime_ns)
    return found


def _saved(path: Path) -> Path:
    """Move a file out of the scratch folder, which is removed; return where it is."""
    return Path(shutil.move(path, tempfile.mkdtemp(prefix="unsent-by-imrestore-")))
