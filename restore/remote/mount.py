"""A store below a folder: its keys as paths."""

import os
from collections.abc import Iterator
from pathlib import Path

from restore.errors import InputError
from restore.files import folded, ignores_case
from restore.remote.room import Full, Room
from restore.remote.store import Entry, ObjectStore, Store

__all__ = ["Mount", "is_sound"]

_LONGEST_NAME = 255
_NO_NAMES = frozenset(("", ".", ".."))
_NAMED = 3
_THERE = Entry(None)


class Mount:
    """A store below a folder.

    Args:
        root: The folder.
        name: What stands for it in messages.
        store: What is fetched from and pushed to.
        room: The room on disk.
    """

    def __init__(self, root: Path, name: str, store: Store, room: Room) -> None:
        self.root, self.name, self.store = root, name, store
        self._room = room
        self._entries: dict[str, Entry | None] = {}
        self._listed: dict[str, bool] = {}
        self._trees: tuple[str, ...] = ()
        self._without_sizes: set[str] = set()
        self._strange: list[str] = []
        self._folded: dict[str, str] | None = {} if ignores_case(root) else None
        self.start = str(root)
        self._start = len(self.start) + 1

    def shown(self, path: Path | str) -> str:
        """Return what messages call a path."""
        return f"{self.name}{self.key(path)}"

    def path(self, key: str) -> Path:
        """Return the path of a key."""
        return self.root / key

    def key(self, path: Path | str) -> str:
        """Return the key of a path."""
        return str(path)[self._start :].replace(os.sep, "/").rstrip("/")

    def entry(self, path: Path | str) -> Entry | None:
        """Return what is at a path; asks the store only about what no listing covers."""
        key = self.key(path)
        entry = self._entries.get(key)
        if entry is None and key not in self._entries and not self._is_covered(key):
            entry = self._entries[key] = self.store.look(key)
        return entry

    def survey(self, folder: str, *, recursive: bool, only_names: bool = False) -> None:
        """Read the listing of a folder, unless it is known.

        Args:
            folder: Its key.
            recursive: Whether to read what is in its subfolders, too.
            only_names: Whether sizes and versions may be forgotten, which are most of the memory.
        """
        is_known = folder in self._listed and self._listed[folder] >= recursive
        if is_known and (only_names or folder not in self._without_sizes):
            return
        for key, entry in self.store.entries(folder, recursive=recursive):
            if not is_sound(key) or (self._folded is not None and not self._is_first(key)):
                self._strange.append(key)
            elif not only_names:
                self._entries[key] = entry
            elif self._entries.get(key) is None:
                self._entries[key] = _THERE
        self._listed[folder] = recursive
        trees = (each for each, is_tree in self._listed.items() if is_tree)
        self._trees = tuple(f"{each}/" if each else "" for each in trees)
        if only_names:
            self._without_sizes.add(folder)
        else:
            self._without_sizes.discard(folder)

    def remember(self, path: Path, entry: Entry | None) -> None:
        """Take what another process has found at a path."""
        self._entries[self.key(path)] = entry

    def look_again(self, path: Path) -> None:
        """Ask the store anew about a path."""
        self._entries[self.key(path)] = self.store.look(self.key(path))

    def look_closer(self, path: Path) -> None:
        """Ask the store about a path of which no more than the name is known."""
        if self._entries.get(self.key(path)) is _THERE:
            self.look_again(path)

    def make_folder(self, folder: str) -> None:
        """Count a place as a folder, whether anything is below it or not."""
        self._entries[folder] = Entry(0, is_folder=True)

    def files(self, folder: Path, *, recursive: bool) -> Iterator[Path]:
        """Yield the files below a folder that was surveyed, sorted."""
        return (folder / name for name in self.names(folder, recursive=recursive))

    def names(self, folder: Path, *, recursive: bool) -> Iterator[str]:
        """Yield the same as texts: the ends of their paths, below the folder."""
        key = self.key(folder)
        below = f"{key}/" if key else ""
        keys = sorted(each for each in self._entries if each.startswith(below))
        for each in keys:
            entry, name = self._entries[each], each[len(below) :]
            if entry is not None and not entry.is_folder and (recursive or "/" not in name):
                yield name.replace("/", os.sep)

    def fetch(self, path: Path, *, waits: bool = True) -> None:
        """Bring a file to its path, unless it is there.

        Args:
            path: The path.
            waits: Whether to wait for room until other files are released.

        Raises:
            InputError: there is no such file, it does not come, or the disk cannot hold it.
        """
        if path.exists():
            return
        entry = self.entry(path)
        if entry is None or entry.is_folder:
            raise InputError(f"{self.shown(path)}: no such file")
        size, is_here = entry.size or 0, False
        while not is_here:
            self._room.take(path, size, self.shown(path), waits=waits)
            try:
                self._bring(path, entry)
                is_here = True
            except Full as full:
                size = full.size

    def _bring(self, path: Path, entry: Entry) -> None:
        """Bring a file to its path; nothing is left behind where that fails."""

        def grow(size: int, is_all: bool) -> None:
            self._room.grow(path, size, self.shown(path), is_all=is_all)

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.store.fetch(self.key(path), entry, path, grow)
        except OSError as error:
            self.release(path)
            raise InputError(
                f"{self.shown(path)}: cannot be kept on disk: {error.strerror or error}"
            ) from error
        except BaseException:
            self.release(path)
            raise

    def push(self, path: Path, *, overwrite: bool, key: str = "") -> None:
        """Send the file at a path.

        Args:
            path: The path.
            overwrite: Whether to replace what is there.
            key: Where it goes; that of the path unless it is given.

        Raises:
            OutputError: as the store's ``push``.
        """
        key = key or self.key(path)
        self.store.push(path, key, overwrite=overwrite)
        self._entries.pop(key, None)

    def remove(self, path: Path) -> None:
        """Remove what the store has at a path.

        Raises:
            OutputError: as the store's ``remove``.
        """
        self.store.remove(self.key(path))
        self._entries.pop(self.key(path), None)

    def query(self, path: Path | str) -> str:
        """Return what follows the URL of a path whenever it is asked for, such as a signature."""
        return self.store.query(self.key(path)) if isinstance(self.store, ObjectStore) else ""

    def release(self, path: Path) -> None:
        """Remove a file from the disk."""
        path.unlink(missing_ok=True)
        self._room.give_back(path)

    def strange_keys(self) -> list[str]:
        """Return a sentence about the keys that no file can be named by, once, if there are any."""
        if not self._strange:
            return []
        named = ", ".join(f"{self.name}{key}" for key in self._strange[:_NAMED])
        count = len(self._strange)
        more = f" and {count - _NAMED} more" if count > _NAMED else ""
        self._strange.clear()
        return [f"{named}{more}: left out: no files can have these names on disk"]

    def _is_first(self, key: str) -> bool:
        """Return whether a key comes before all that differ from it by case, where disks do not."""
        assert self._folded is not None
        return self._folded.setdefault(folded(key), key) == key

    def _is_covered(self, key: str) -> bool:
        """Return whether a listing would have told of a key."""
        return key.startswith(self._trees) or key.rpartition("/")[0] in self._listed


def is_sound(key: str) -> bool:
    """Return whether a key can be a path below a folder, and none that leads out of it."""
    parts = key.split("/")
    if not _NO_NAMES.isdisjoint(parts) or "\0" in key:
        return False
    if os.name == "nt" and set(key) & set('\\:*?"<>|'):
        return False
    # A character has at most four bytes.
    long = (part for part in parts if 4 * len(part) > _LONGEST_NAME)
    return all(len(os.fsencode(part)) <= _LONGEST_NAME for part in long)
