"""Walks through folders and listings to the files that may be pictures."""

import os
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from restore.batch.search import Search
from restore.image.codecs import suffix_of
from restore.remote import paths

__all__ = ["OWN_ENDINGS", "Taken", "files_in", "start_of"]

OWN_ENDINGS = (
    *("_compare.png", "_preview.png", "_preview.jpg", "_error.tif", "_error-90.tif"),
    *(".history.png", ".element.png", ".height-map.png", ".height-map.tif", ".psf.exr"),
)
"""Endings of the pictures that this program writes beside others: no inputs of a folder."""

_NO_FILES = "pipes and devices"


def start_of(folder: Path) -> str:
    """Return how the paths of files in a folder begin: "" in the working folder."""
    text = str(folder)
    return "" if text == os.curdir else text if text.endswith(os.sep) else text + os.sep


class Taken:
    """What was taken already, of all inputs.

    Links to files count as files of their own: their results have their names.

    Args:
        files: those that are named. No others can come twice, as no folder does.
        warn: told of folders that come again.

    Attributes:
        noticed: how often a picture, or a folder that was taken already, has been met.
    """

    def __init__(self, files: Iterable[Path], warn: Callable[[str], None]) -> None:
        self._warn = warn
        self.noticed = 0
        self._folders: dict[str, Path] = {}
        self._real: dict[str, str] = {}
        self._named: dict[str, set[str]] = defaultdict(set)
        self._files: dict[str, set[str]] = defaultdict(set)
        for path in files:
            self._named[self._real_folder(str(path))].add(path.name)

    def is_new_folder(self, path: Path) -> bool:
        """Take a folder, or tell that it was taken."""
        first = self._folders.setdefault(os.path.realpath(path), path)
        if first is path:
            return True
        self.noticed += 1
        if first == path:
            self._warn(f"{path}: comes twice among the inputs; taken once")
        else:
            self._warn(f"{path}: leads to {first}, which is taken already; left out")
        return False

    def is_new_file(self, path: str) -> bool:
        """Take a file; return whether it was not taken before."""
        self.noticed += 1
        if not self._named:
            return True
        folder, name = self._real_folder(path), os.path.basename(path)
        if name not in self._named.get(folder, ()):
            return True
        is_new = name not in self._files[folder]
        self._files[folder].add(name)
        return is_new

    def _real_folder(self, path: str) -> str:
        folder = os.path.dirname(path)
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._real[folder]


def files_in(
    root: Path,
    recursive: bool,
    output: Path | None,
    suffixes: Collection[str],
    search: Search,
    taken: Taken,
) -> Iterator[str]:
    """Yield the files of a folder that are taken, by their names in it, and count the others."""
    walk, start = _walk_listing if paths.is_remote(root) else _walk_disk, start_of(root)
    for name in walk(root, recursive, output, search, taken):
        suffix = suffix_of(name).lower()
        if name.endswith(OWN_ENDINGS):
            search.others[next(each for each in OWN_ENDINGS if name.endswith(each))] += 1
        elif suffix not in suffixes:
            search.others[suffix] += 1
        elif taken.is_new_file(start + name):
            yield name


def _walk_listing(
    root: Path, recursive: bool, output: Path | None, search: Search, taken: Taken
) -> Iterator[str]:
    """Yield the files below a URL, as its listing has them."""
    mount = paths.mount_of(root)
    if mount is None or not taken.is_new_folder(root):
        return
    has_results = output is not None and output != root and output.is_relative_to(root)
    results = str(output)[len(start_of(root)) :] + os.sep if has_results else None
    for name in mount.names(root, recursive=recursive):
        is_hidden = name.startswith(".") or f"{os.sep}." in name
        if not is_hidden and (results is None or not name.startswith(results)):
            yield name
    search.closed.extend(mount.strange_keys())


def _walk_disk(
    root: Path, recursive: bool, output: Path | None, search: Search, taken: Taken
) -> Iterator[str]:
    """Yield the files in a folder that may be pictures."""
    left_out, start = os.path.realpath(output) if output else None, start_of(root)
    folders, links = [""], deque[str]()
    while folders or links:
        # Links last: a folder that is reached in several ways is taken where it really is.
        below = folders.pop() if folders else links.popleft()
        folder = root / below
        if not taken.is_new_folder(folder):
            continue
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda each: each.name)
        except OSError as error:
            search.closed.append(f"{folder}: this folder cannot be read: {error.strerror}")
            continue
        for entry in found:
            if entry.name.startswith("."):
                continue
            if _is(entry, os.DirEntry.is_dir):
                if os.path.realpath(start + below + entry.name) == left_out:
                    continue
                if not recursive:
                    search.unsearched.append(start + entry.name)
                else:
                    is_link = _is(entry, os.DirEntry.is_symlink)
                    (links if is_link else folders).append(f"{below}{entry.name}{os.sep}")
            elif _may_be_a_picture(entry):
                yield below + entry.name
            else:
                search.others[_NO_FILES] += 1


def _is(entry: "os.DirEntry[str]", kind: "Callable[[os.DirEntry[str]], bool]") -> bool:
    """Ask what an entry is; False where access is denied."""
    try:
        return kind(entry)
    except OSError:
        return False


def _may_be_a_picture(entry: "os.DirEntry[str]") -> bool:
    """Accept files and broken links, which give an error later, but no pipes or devices.

    A pipe behind a link would never end, or never begin, and stop the folder.
    """
    is_link = _is(entry, os.DirEntry.is_symlink)
    return _is(entry, os.DirEntry.is_file) or (is_link and not os.path.exists(entry.path))
