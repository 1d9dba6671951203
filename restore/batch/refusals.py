"""Plans that are refused because a result would take the place of something."""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from restore.errors import UsageError
from restore.remote.paths import identity_of

if TYPE_CHECKING:
    from restore.batch.plan import Item

__all__ = ["refuse_collisions", "refuse_inputs_as_outputs"]


def refuse_collisions(items: "Iterable[Item]") -> None:
    """Refuse two results of one name.

    Raises:
        UsageError: names both inputs.
    """
    folds: dict[Path, bool] = {}
    taken: dict[str, Item] = {}
    for item in items:
        for path in item.outputs:
            if path.parent not in folds:
                folds[path.parent] = _ignores_case(path.parent)
            key = os.path.abspath(path)  # not resolve(), which would follow links
            if folds[path.parent]:
                key = unicodedata.normalize("NFC", key).casefold()
            other = taken.setdefault(key, item)
            if other is not item:
                raise UsageError(
                    f"{other.source_name} and {item.source_name} would both be written to {path}"
                )


def _ignores_case(folder: Path) -> bool:
    """Find out from names that exist whether the file system of ``folder`` ignores case."""
    for known in (folder, *folder.absolute().parents):
        swapped = known.with_name(known.name.swapcase()) if known.name else known
        if swapped != known and os.path.exists(known):
            return os.path.exists(swapped) and swapped.samefile(known)
    return False


def refuse_inputs_as_outputs(items: "Sequence[Item]") -> None:
    """Refuse results in the place of inputs.

    They are compared by device and inode, so that no link, hard or symbolic, hides an input.

    Raises:
        UsageError: names both.
    """
    read = (path for item in items if item.source for path in (item.source, *item.also))
    sources = {identity: path for path in read if (identity := identity_of(path))}
    for path in (path for item in items for path in item.outputs):
        source = sources.get(identity) if (identity := identity_of(path)) else None
        if source is not None:
            raise UsageError(f"{path}: is the input {source}; choose another output")
