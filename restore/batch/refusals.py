"""Plans that are refused because a result would take the place of something."""

import os
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import UsageError
from restore.files import folded, ignores_case
from restore.remote.paths import identity_of

if TYPE_CHECKING:
    from restore.batch.items import Items

__all__ = ["how_to_go_on", "refuse_collisions", "refuse_inputs_as_outputs"]


def how_to_go_on(kept: str) -> str:
    """Return what may be done where something is there already, in words.

    Args:
        kept: What happens where it is kept, as in "keeps it".
    """
    return f"{argument('overwrite', True)} replaces, {argument('skip_existing', True)} {kept}"


def refuse_collisions(items: "Items") -> None:
    """Refuse two results of one name.

    Raises:
        UsageError: names both inputs.
    """
    folders: dict[str, tuple[str, bool]] = {}
    again = _repeated(_key(path, folders) for _, path in items.outputs())
    taken: dict[str, int] = {}
    for index, item in enumerate(items if again else ()):
        for output in map(str, item.outputs):
            key = _key(output, folders)
            if hash(key) in again and taken.setdefault(key, index) != index:
                other = items[taken[key]]
                raise UsageError(
                    f"{other.source_name} and {item.source_name} would both be written to {output}"
                )


def _repeated(keys: Iterable[Hashable]) -> set[int]:
    """Return the hashes of keys that come more than once; those of others may be among them."""
    hashes = _hashes(keys)
    hashes.sort()
    return set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())


def _hashes(keys: Iterable[Hashable]) -> NDArray[np.int64]:
    """Return hashes, of which a million take 8 MB, and as keys of a set 100."""
    return np.fromiter(map(hash, keys), np.int64)


def _key(path: str, folders: dict[str, tuple[str, bool]]) -> str:
    """Return what is the same for two paths of one file, if links are not followed."""
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.abspath(folder), ignores_case(Path(folder))
    start, is_folded = folders[folder]
    key = f"{start}{os.sep}{name}"
    return folded(key) if is_folded else key


def refuse_inputs_as_outputs(items: "Items") -> None:
    """Refuse results in the place of inputs.

    They are compared by device and inode, so that no link, hard or symbolic, hides an input.

    Raises:
        UsageError: names both.
    """
    outputs = _hashes(each for each, _ in _identities_there(items))
    if not outputs.size:
        return
    sources = (path for item in items.texts() for path in (item.source, *item.also) if path)
    read = _hashes(each for each in map(identity_of, sources) if each is not None)
    both = set(np.intersect1d(outputs, read).tolist())
    found = _identities_there(items) if both else ()
    written = {identity: path for identity, path in found if hash(identity) in both}
    for item in items if written else ():
        for source in filter(None, (item.source, *item.also)):
            path = written.get(identity_of(source))
            if path is not None:
                raise UsageError(f"{path}: is the input {source}; choose another output")


def _identities_there(items: "Items") -> Iterator[tuple[Hashable, str]]:
    """Yield what the results are that are there, each with its path."""
    paths = (path for index in items.there() for path in items.texts_of(index).outputs)
    found = ((identity_of(path), path) for path in paths)
    return ((identity, path) for identity, path in found if identity is not None)
