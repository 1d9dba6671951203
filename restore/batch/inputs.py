"""Expansion of the paths on a command line to pictures."""

import logging
import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from restore.errors import InputError, UsageError
from restore.image.codecs import PICTURE_SUFFIXES
from restore.remote import paths

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
]

log = logging.getLogger("restore")

_NAMED = 6
"""Suffixes of files of other kinds that are named."""

OWN_ENDINGS = ("_compare.png", "_preview.png", ".history.png")
"""Endings of the pictures that this program makes for people to look at: no inputs of a folder."""

STANDARD_STREAM = "-"
"""The name of standard input and standard output on a command line."""


class Found:
    """One picture to work on, in as little memory as a million of them need.

    Args:
        source: the file, or None for standard input.
        relative: path of its result relative to the output folder, with the source's own name.
    """

    __slots__ = ("_relative", "_source")

    def __init__(self, source: Path | None, relative: PurePath | None = None) -> None:
        self._source = None if source is None else str(source)
        self._relative: str | int = str(relative or (source and source.name) or "")

    @classmethod
    def below(cls, folder: Path, source: Path) -> "Found":
        """Return a file whose tree is mirrored from ``folder`` on."""
        found = cls(source)
        below = str(folder)
        found._relative = 0 if below == os.curdir else len(below) + (not below.endswith(os.sep))
        return found

    @property
    def source(self) -> Path | None:
        """The file, or None for standard input."""
        return None if self._source is None else Path(self._source)

    @property
    def relative(self) -> PurePath:
        """Path of its result relative to the output folder, with the source's own name."""
        if isinstance(self._relative, int):
            return PurePath((self._source or "")[self._relative :])
        return PurePath(self._relative)

    def __eq__(self, other: object) -> bool:
        """Compare source and place of the result."""
        if not isinstance(other, Found):
            return NotImplemented
        return (self.source, self.relative) == (other.source, other.relative)

    def __hash__(self) -> int:
        """Return the same for equal ones."""
        return hash((self.source, self.relative))


@dataclass(frozen=True)
class Search:
    """What was found behind the paths on a command line.

    Attributes:
        found: the pictures.
        closed: one sentence for every folder that cannot be read.
        others: how many files of other kinds lie in the folders, by suffix.
        empty: the inputs, folders and archives, that hold no pictures.
    """

    found: list[Found]
    closed: list[str]
    others: Counter[str]
    empty: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> str:
        """The files of other kinds in one phrase; "" if there are none."""
        return named_others(self.others)


def named_others(others: Counter[str]) -> str:
    """Return, for example, ``4 files of other kinds left out: .gif 3, .mov 1``; "" for none."""
    count = others.total()
    if not count:
        return ""
    named = [f"{suffix or 'without suffix'} {each}" for suffix, each in others.most_common(_NAMED)]
    more = ", and others" if len(others) > _NAMED else ""
    files = "1 file of another kind" if count == 1 else f"{count} files of other kinds"
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
    search, taken = Search([], [], Counter()), _Taken(warn)
    for name in inputs:
        path = Path(name)
        if name == STANDARD_STREAM:
            search.found.append(Found(None, PurePath("stdin")))
        elif paths.isdir(path):
            noticed = taken.noticed + len(search.closed)
            search.found.extend(
                Found.below(path, source)
                for source in _walk(path, recursive, output, suffixes, search, taken)
            )
            if noticed == taken.noticed + len(search.closed):
                search.empty.append(name)
        elif taken.is_new_file(path):
            search.found.append(Found(path, PurePath(path.name)))
    return search


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
        hint = "" if recursive else " (folders in it are searched with --recursive)"
        others = f"; {search.left_out}" if search.left_out else ""
        raise UsageError(f"{folder}: holds no pictures{others}{hint}")
    if search.left_out:
        warn(f"{folder}: {search.left_out}")
    return paths


class _Taken:
    """What was taken already, of all inputs.

    Links to files count as files of their own: their results have their names.

    Attributes:
        noticed: how often a picture, or a folder that was taken already, has been met.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self.noticed = 0
        self._folders: dict[str, Path] = {}
        self._files: dict[str, set[str]] = {}
        self._real: dict[Path, str] = {}

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

    def is_new_file(self, path: Path) -> bool:
        """Take a file; return whether it was not taken before."""
        self.noticed += 1
        folder = path.parent
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        taken = self._files.setdefault(self._real[folder], set())
        is_new = path.name not in taken
        taken.add(path.name)
        return is_new


def _walk(
    root: Path,
    recursive: bool,
    output: Path | None,
    suffixes: Collection[str],
    search: Search,
    taken: "_Taken",
) -> Iterator[Path]:
    """Yield the files of a folder that are taken, and count the others."""
    walk = _walk_listing if paths.is_remote(root) else _walk_disk
    for path in walk(root, recursive, output, search, taken):
        if own := next((each for each in OWN_ENDINGS if path.name.endswith(each)), ""):
            search.others[own] += 1
        elif path.suffix.lower() in suffixes:
            if taken.is_new_file(path):
                yield path
        else:
            search.others[path.suffix.lower()] += 1


def _walk_listing(
    root: Path, recursive: bool, output: Path | None, search: Search, taken: "_Taken"
) -> Iterator[Path]:
    """Yield the files below a URL, as its listing has them."""
    mount = paths.mount_of(root)
    if mount is None or not taken.is_new_folder(root):
        return
    start, results = len(str(root)), f"{output}{os.sep}"
    for path in mount.files(root, recursive=recursive):
        text = str(path)
        is_result = output != root and text.startswith(results)
        if not is_result and f"{os.sep}." not in text[start:]:
            yield path
    search.closed.extend(mount.strange_keys())


def _walk_disk(
    root: Path, recursive: bool, output: Path | None, search: Search, taken: "_Taken"
) -> Iterator[Path]:
    """Yield the files in a folder that may be pictures."""
    left_out = os.path.realpath(output) if output else None
    folders, links = [root], deque[Path]()
    while folders or links:
        # Links last: a folder that is reached in several ways is taken where it really is.
        folder = folders.pop() if folders else links.popleft()
        if not taken.is_new_folder(folder):
            continue
        try:
            found = sorted(folder.iterdir())
        except OSError as error:
            search.closed.append(f"{folder}: this folder cannot be read: {error.strerror}")
            continue
        for path in found:
            if path.name.startswith("."):
                continue
            # Unlike Path's methods, those of os.path return False where access is denied.
            if os.path.isdir(path):
                if recursive and os.path.realpath(path) != left_out:
                    (links if os.path.islink(path) else folders).append(path)
            elif _may_be_a_picture(path):
                yield path


def _may_be_a_picture(path: Path) -> bool:
    """Accept files and broken links, which give an error later, but no pipes or devices.

    A pipe behind a link would never end, or never begin, and stop the folder.
    """
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


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
