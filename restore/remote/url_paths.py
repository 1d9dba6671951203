"""The paths that stand for URLs: which there are, and what comes and goes there.

``s3://bucket/a.png`` has the path ``SCRATCH/s3/bucket/a.png`` in a temporary folder. The file
itself is there from ``fetch`` to ``release`` only; what asks about it asks through
``restore.remote.paths``.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from restore import files
from restore.errors import OutputError, RestoreError, UsageError
from restore.remote import paths as current
from restore.remote.kept import Kept
from restore.remote.mount import Mount, is_sound
from restore.remote.room import Room
from restore.remote.store import Entry, ObjectStore
from restore.remote.urls import PACKAGES, Url
from restore.scratch import scratch_folder

__all__ = ["UrlPaths", "url_paths"]

_AT_ONCE = 8


class UrlPaths:
    """The stores that a command reads and writes, each below a folder of ``scratch``."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._room: Room | None = None
        self._scratch: Path | None = None
        self._start = ""
        self._kept: list[Kept] = []
        self.mounts: dict[str, Mount] = {}

    def input_path(self, url: Url, *, recursive: bool) -> Path:
        """Return the path of an input, whose listing is read if it is a folder.

        Raises:
            UsageError: no package for the scheme, no credentials, no such bucket.
            InputError: the store does not answer.
        """
        mount, path = self._mounted(url)
        if url.is_folder:
            mount.make_folder(url.key)
        mount.look_closer(path)
        entry = mount.entry(path)
        if entry and entry.is_folder:
            mount.survey(url.key, recursive=recursive)
        return path

    def output_path(self, url: Url, *, recursive: bool, is_tried: bool = False) -> Path:
        """Return the path of a file or folder to write, and find out what is there already.

        Args:
            url: The place.
            recursive: Whether subfolders will be written, too.
            is_tried: Whether nothing will be written, so that the right to is not asked for.

        Raises:
            UsageError: as ``input_path``, or a place that is read only.
            InputError: the store does not answer.
        """
        mount, path = self._mounted(url)
        if not is_tried:
            mount.store.check_writable(url.key)
        if url.is_folder:
            mount.make_folder(url.key)
        entry = mount.entry(path)
        if entry.is_folder if entry else not path.suffix:  # which may become a folder
            mount.survey(url.key, recursive=recursive, only_names=True)
        return path

    def kept_path(self, url: Url, *, is_tried: bool = False) -> Path:
        """Return the path of a file or folder that stays on disk, with what is there already.

        ``send_changes`` sends what the command has made of it. Beside a file belong those whose
        names begin as its own does, such as ``NAME.checkpoint``.

        Args:
            url: The place.
            is_tried: As for ``output_path``.

        Raises:
            UsageError: as ``output_path``.
            InputError: the store does not answer.
        """
        mount, path = self._mounted(url)
        if not is_tried:
            mount.store.check_writable(url.key)
        entry = None if url.is_folder else mount.entry(path)
        is_folder = entry.is_folder if entry else url.is_folder or not path.suffix
        top = path if is_folder else path.parent
        mount.survey(mount.key(top), recursive=is_folder)
        stem = "" if is_folder else f"{path.stem}."
        for each in list(mount.files(top, recursive=is_folder)):
            if each.name.startswith(stem):
                mount.fetch(each, waits=False)
        top.mkdir(parents=True, exist_ok=True)
        self._kept.append(Kept(mount, top, stem))
        return path

    def known_path(self, url: Url, entry: Entry | None) -> Path:
        """Return the path of a place that another process has found, as it knows it.

        Args:
            url: The place, in a store.
            entry: What is there; None for nothing.

        Raises:
            UsageError: no package for the scheme.
        """
        mount, path = self._mounted(url)
        mount.remember(path, entry)
        return path

    def send_soon(self, path: Path) -> None:
        """Send what has changed at a path of ``kept_path`` and beside it, in the background.

        Args:
            path: the file that goes last; see ``Kept.send_soon``.
        """
        for kept in self._kept:
            if kept.covers(path):
                kept.send_soon(path)

    def send_changes(self) -> None:
        """Send what a command has made at the paths of ``kept_path``; remove what it has removed.

        Raises:
            OutputError: the store refuses; what does not go stays on disk, and where is said.
        """
        kept, self._kept = self._kept, []
        if failures := [failure for one in kept for failure in one.send()]:
            raise OutputError("; ".join(failures))

    def fetch_all(self, path: Path) -> tuple[int, int]:
        """Bring a file, or all files of a folder that was surveyed; they stay until the end.

        Returns:
            Their number and bytes.

        Raises:
            InputError: as ``Mount.fetch``.
        """
        mount = self.mount_of(path)
        assert mount is not None
        is_folder = (entry := mount.entry(path)) is not None and entry.is_folder
        paths = list(mount.files(path, recursive=True)) if is_folder else [path]
        with ThreadPoolExecutor(_AT_ONCE, "fetch") as pool:
            for _ in pool.map(lambda each: mount.fetch(each, waits=False), paths):
                pass
        if is_folder:
            path.mkdir(parents=True, exist_ok=True)
        return len(paths), sum(each.stat().st_size for each in paths)

    def close(self) -> None:
        """Remove what is on disk."""
        self._stack.close()
        self.mounts.clear()

    def mount_of(self, path: Path | str) -> Mount | None:
        """Return the mount that a path is below; None for a path on disk."""
        text = str(path)
        if not self._start or not text.startswith(self._start):
            return None
        for mount in self.mounts.values():
            if text.startswith(mount.start):
                return mount
        return None

    def shown(self, text: str) -> str:
        """Return ``text`` with URLs in place of the paths that stand for them."""
        for mount in self.mounts.values():
            text = text.replace(f"{mount.root}/", mount.name).replace(
                str(mount.root), mount.name.rstrip("/")
            )
        return text

    def _mounted(self, url: Url) -> tuple[Mount, Path]:
        """Return the mount that a URL is in, and its path.

        Raises:
            UsageError: as ``input_path``.
            InputError: an archive that does not come.
        """
        name = url.archive or url.scheme
        mount = self.mounts.get(name)
        if mount is None:
            mount = self._archive(url) if url.archive else self._store(url.scheme)
            self.mounts[name] = mount
        if isinstance(mount.store, ObjectStore) and url.query:
            mount.store.remember_query(url.key, url.query)
        if url.key and not is_sound(url.key):
            raise UsageError(f"{url}: empty, . and .. are no names of folders here")
        return mount, mount.path(url.key)

    def _store(self, scheme: str) -> Mount:
        if scheme not in PACKAGES:
            raise UsageError(f"{scheme}://: is not known; known are {', '.join(PACKAGES)}")
        store = ObjectStore(scheme)
        # No root is the beginning of another: https is not http.
        return Mount(self._folder() / f"{scheme}-", f"{scheme}://", store, self._free())

    def _archive(self, url: Url) -> Mount:
        from restore.remote.archives import open_archive

        scheme, separator, key = url.archive.partition("://")
        where = Path(url.archive)
        if separator:
            mount, where = self._mounted(Url(scheme, key, url.query))
            mount.fetch(where)
        archive = open_archive(url.scheme, where, url.archive)
        self._stack.callback(archive.close)
        root = self._folder() / f"{url.scheme}{len(self.mounts)}-"
        return Mount(root, f"{url.archive}/", archive, self._free())

    def _folder(self) -> Path:
        if self._scratch is None:
            self._scratch = Path(os.path.realpath(self._stack.enter_context(scratch_folder())))
            self._start = str(self._scratch)
            files.remove_at_exit(self._scratch)
        return self._scratch

    def _free(self) -> Room:
        self._room = self._room or Room(self._folder())
        return self._room


@contextmanager
def url_paths() -> Iterator[UrlPaths]:
    """Let URLs have paths while the block runs; one block at a time.

    Raises:
        RestoreError: as the block, with URLs in place of their paths.
    """
    paths = UrlPaths()
    current.use(paths)
    try:
        yield paths
    except RestoreError as error:
        raise type(error)(current.shown(str(error))) from error
    finally:
        current.use(None)
        paths.close()
