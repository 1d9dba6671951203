"""Plans that are refused because a result would take the place of something."""

import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from restore.errors import UsageError
from restore.remote.paths import identity_of

if TYPE_CHECKING:
    from restore.batch.items import Items

__all__ = ["refuse_collisions", "refuse_inputs_as_outputs"]


def refuse_collisions(items: "Items") -> None:
    """Refuse two results of one name.

    Raises:
        UsageError: names both inputs.
    """
    folds: dict[str, bool] = {}
    seen: set[int] = set()
    again: set[int] = set()
    for path in items.output_texts():
        key = hash(_key(path, folds))
        (again if key in seen else seen).add(key)
    if not again:
        return
    taken: dict[str, int] = {}
    for index, item in enumerate(items):
        for output in map(str, item.outputs):
            key_text = _key(output, folds)
            if hash(key_text) in again and taken.setdefault(key_text, index) != index:
                other = items[taken[key_text]]
                raise UsageError(
                    f"{other.source_name} and {item.source_name} would both be written to {output}"
                )


def _key(path: str, folds: dict[str, bool]) -> str:
    """Return what is the same for two paths of one file, if links are not followed."""
    folder = os.path.dirname(path)
    if folder not in folds:
        folds[folder] = _ignores_case(Path(folder))
    key = os.path.abspath(path)
    return unicodedata.normalize("NFC", key).casefold() if folds[folder] else key


def _ignores_case(folder: Path) -> bool:
    """Find out from names that exist whether the file system of ``folder`` ignores case."""
    for known in (folder, *folder.absolute().parents):
        swapped = known.with_name(known.name.swapcase()) if known.name else known
        if swapped != known and os.path.exists(known):
            return os.path.exists(swapped) and swapped.samefile(known)
    return False


def refuse_inputs_as_outputs(items: "Items") -> None:
    """Refuse results in the place of inputs.

    They are compared by device and inode, so that no link, hard or symbolic, hides an input.

    Raises:
        UsageError: names both.
    """
    found = ((identity_of(path), path) for path in items.output_texts())
    there = {identity: path for identity, path in found if identity is not None}
    for source in items.source_texts() if there else ():
        path = there.get(identity_of(source))
        if path is not None:
            raise UsageError(f"{path}: is the input {source}; choose another output")
