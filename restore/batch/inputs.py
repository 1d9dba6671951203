"""Expansion of the paths on a command line to pictures."""

import logging
import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

from restore.arguments import argument
from restore.errors import InputError, UsageError
from restore.image.codecs import PICTURE_SUFFIXES, suffix_of
from restore.remote import paths
from restore.words import counted

__all__ = [
    "OWN_ENDINGS",
    "STANDARD_STREAM",
    "Found",
    "Search",
    "by_stem",
    "counterpart",
    "find_pictures",
    "named_others",
    "names_of",
    "pictures_in",
    "start_of",
]

log = logging.getLogger("restore")

_NAMED = 6
"""Suffixes of files of other kinds that are named."""

_NO_FILES = "pipes and devices"

OWN_ENDINGS = (
    *("_compare.png", "_preview.png", "_preview.jpg", "_error.tif", "_error-90.tif"),
    *(".history.png", ".element.png", ".height-map.png", ".height-map.tif", ".psf.exr"),
)
"""Endings of the pictures that this program writes beside others: no inputs of a folder."""

STANDARD_STREAM = "-"
"""The name of standard input and standard output on a command line."""


class Found(NamedTuple):
    """One picture to work on, as texts: of a million paths, time and memory would count.

    Attributes:
        folder: what comes before ``name`` in the path of the file, with the separator at its end;
            None for standard input.
        name: path of its result relative to the output folder, with the source's own name.
    """

    folder: str | None
    name: str

    @classmethod
    def file(cls, source: Path, relative: PurePath | None = None) -> "Found":
        """Return a file; ``relative`` is the end of its path that is mirrored, or else its name."""
        name = str(relative or source.name)
        return cls(str(source).removesuffix(name), name)

    @property
    def source(self) -> Path | None:
        """The file, or None for standard input."""
        return None if self.folder is None else Path(self.folder + self.name)


@dataclass(frozen=True)
class Search:
    """What was found behind the paths on a command line.

    Attributes:
        found: the pictures.
        closed: one sentence for every folder that cannot be read.
        others: how many files of other kinds lie in the folders, by suffix.
        empty: the inputs, folders and archives, that hold no pictures.
        unsearched: folders in the folders, where these are not searched recursively.
        deeper: the inputs that have such folders, or may have: a listing does not tell.
    """

    found: list[Found]
    closed: list[str]
    others: Counter[str]
    empty: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)
    deeper: set[str] = field(default_factory=set)

    @property
    def left_out(self) -> str:
        """The files of other kinds, and the folders, in one phrase; "" if there are none."""
        count = len(self.unsearched)
        folders = counted(count, "folder")
        hint = f"({argument('recursive', True)} searches them)"
        unsearched = f"{folders} left out {hint}" if count else ""
        return "; ".join(filter(None, (named_others(self.others), unsearched)))

    def nothing(self, noun: str, inputs: Sequence[str]) -> str:
        """Return a sentence where nothing of the kind ``noun`` was found, and what lies there."""
        others = f"; {self.left_out}" if self.left_out else ""
        hint = _deeper() if self.deeper and not self.unsearched else ""
        return f"no {noun} in {', '.join(inputs)}{others}{hint}"

    def empty_of(self, noun: str) -> dict[str, str]:
        """Return the inputs that hold nothing of the kind ``noun``, each with that phrase."""
        return {
            name: f"holds no {noun}{_deeper() if name in self.deeper else ''}"
            for name in self.empty
        }


def _deeper() -> str:
    return f"; {argument('recursive', True)} looks into subfolders too"


def named_others(others: Counter[str]) -> str:
    """Return, for example, ``4 files of other kinds left out: .gif 3, .mov 1``; "" for none."""
    count = others.total()
    if not count:
        return ""
    named = [f"{suffix or 'without suffix'} {each}" for suffix, each in others.most_common(_NAMED)]
    more = ", and others" if len(others) > _NAMED else ""
    files = counted(count, "file of another kind", "files of other kinds")
    return f"{files} left out: {', '.join(named)}{more}"


def find_pictures(
    inputs: Sequence[str],
    *,
    recursive: bool,
    output: Path | None,
    suffixes: Collection[str],
    warn: Callable[[str], None] = log.warning,
) -> Search:
    """Return the pictures behind ``inputs``, and what was not taken.

    A named file is taken whatever its suffix and whether it exists or not; a folder gives the
    files directly in it with one of ``suffixes`` (lower case), and with ``recursive`` those of
    its whole tree. Links to folders are followed; a folder that is reached in several ways, also
    from several inputs, is taken once, and ``warn`` is told about the others. A file that is named
    twice, or lies in a folder that is taken too, is taken once as well. Hidden names
    (``.thumbnails``, ``._IMG_1.jpg``) and the folder ``output`` are left out.
    """
    folders = {name for name in inputs if name != STANDARD_STREAM and paths.isdir(name)}
    files = [Path(name) for name in inputs if name != STANDARD_STREAM and name not in folders]
    search, taken = Search([], [], Counter()), _Taken(files, warn)
    for name in inputs:
        path = Path(name)
        if name == STANDARD_STREAM:
            search.found.append(Found(None, "stdin"))
        elif name in folders:
            start, noticed = start_of(path), taken.noticed + len(search.closed)
            unsearched = len(search.unsearched)
            search.found.extend(
                Found(start, each)
                for each in _walk(path, recursive, output, suffixes, search, taken)
            )
            if noticed == taken.noticed + len(search.closed):
                search.empty.append(name)
            is_listed = not recursive and paths.is_remote(path)
            if is_listed or len(search.unsearched) > unsearched:
                search.deeper.add(name)
        elif taken.is_new_file(str(path)):
            search.found.append(Found.file(path))
    return search


def start_of(folder: Path) -> str:
    """Return how the paths of files in a folder begin: "" in the working folder."""
    text = str(folder)
    return "" if text == os.curdir else text if text.endswith(os.sep) else text + os.sep


def names_of(folders: Iterable[Path]) -> str:
    """Return the names of folders, without their paths, as a weight file states them."""
    return ", ".join(folder.resolve().name for folder in folders)


def pictures_in(
    folder: Path, *, recursive: bool, warn: Callable[[str], None] = log.warning
) -> list[Path]:
    """Return the readable pictures in ``folder``, sorted by path.

    ``warn`` is told about what else lies there.

    Raises:
        UsageError: there is no such folder, no picture in it, or a folder that cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: not a folder of pictures")
    search = find_pictures(
        [str(folder)], recursive=recursive, output=None, suffixes=PICTURE_SUFFIXES, warn=warn
    )
    if search.closed:
        raise UsageError(search.closed[0])
    paths = sorted(one.source for one in search.found if one.source is not None)
    if not paths:
        others = f"; {search.left_out}" if search.left_out else ""
        raise UsageError(f"{folder}: holds no pictures{others}")
    if search.left_out:
        warn(f"{folder}: {search.left_out}")
    return paths


class _Taken:
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


def _walk(
    root: Path,
    recursive: bool,
    output: Path | None,
    suffixes: Collection[str],
    search: Search,
    taken: "_Taken",
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
    root: Path, recursive: bool, output: Path | None, search: Search, taken: "_Taken"
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
    root: Path, recursive: bool, output: Path | None, search: Search, taken: "_Taken"
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


def by_stem(folder: Path, paths: Sequence[Path]) -> dict[Path, list[Path]]:
    """Group the paths by their name relative to ``folder``, without suffix."""
    stems: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        stems[path.relative_to(folder).with_suffix("")].append(path)
    return dict(stems)


def counterpart(path: Path, candidates: Sequence[Path]) -> Path:
    """Return the candidate with the same suffix as ``path``, or else the only one.

    Raises:
        InputError: there is no candidate, or more than one.
    """
    same = [each for each in candidates if each.suffix == path.suffix] or list(candidates)
    if not same:
        raise InputError(f"{path}: has no counterpart of that name")
    if len(same) > 1:
        names = ", ".join(each.name for each in same)
        raise InputError(f"{path}: has several counterparts of that name ({names})")
    return same[0]
