"""Expansion of the paths on a command line to pictures."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from restore.batch.search import Found, Search
from restore.batch.walk import Taken, files_in, start_of
from restore.errors import UsageError
from restore.image.codecs import PICTURE_SUFFIXES
from restore.remote import paths

__all__ = ["STANDARD_STREAM", "find_pictures", "names_of", "pictures_in"]

log = logging.getLogger("restore")

STANDARD_STREAM = "-"
"""The name of standard input and standard output on a command line."""


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
    search, taken = Search([], [], Counter()), Taken(files, warn)
    for name in inputs:
        path = Path(name)
        if name == STANDARD_STREAM:
            search.found.append(Found(None, "stdin"))
        elif name in folders:
            start, noticed = start_of(path), taken.noticed + len(search.closed)
            unsearched = len(search.unsearched)
            search.found.extend(
                Found(start, each)
                for each in files_in(path, recursive, output, suffixes, search, taken)
            )
            if noticed == taken.noticed + len(search.closed):
                search.empty.append(name)
            is_listed = not recursive and paths.is_remote(path)
            if is_listed or len(search.unsearched) > unsearched:
                search.deeper.add(name)
        elif taken.is_new_file(str(path)):
            search.found.append(Found.file(path))
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
        others = f"; {search.left_out}" if search.left_out else ""
        raise UsageError(f"{folder}: holds no pictures{others}")
    if search.left_out:
        warn(f"{folder}: {search.left_out}")
    return paths
