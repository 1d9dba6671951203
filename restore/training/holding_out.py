"""Which pictures a network is validated on instead of being trained on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from restore.arguments import argument
from restore.errors import UsageError

__all__ = ["Held", "hold_out", "hold_out_folders", "spread"]

_MOST = 8
_SHARE = 20
"""One in so many is held out."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Held:
    """What validates.

    Attributes:
        folder: folder (tree) of pictures for validation; None to hold some out of the others.
        by_folder: whether whole folders are held out, so that no scene of them is trained on.
    """

    folder: Path | None = None
    by_folder: bool = False

    def __post_init__(self) -> None:
        """Refuse both."""
        if self.folder is not None and self.by_folder:
            raise UsageError(
                f"{argument('split', 'folder')} holds pictures out; leave it out with "
                f"{argument('validation')}"
            )

    @classmethod
    def of(cls, folder: Path | None, split: str) -> Self:
        """Return what validates for a folder, if there is one, and a split: picture or folder.

        Raises:
            UsageError: another split, or one that does not suit a folder.
        """
        if split not in ("picture", "folder"):
            raise UsageError(f"{argument('split')} {split!r:.80}: give picture or folder")
        return cls(folder=folder, by_folder=split == "folder")

    @property
    def description(self) -> dict[str, str]:
        """What a weight file says of it."""
        if self.folder is not None:
            return {"validation": self.folder.resolve().name}
        return {"split": "folder"} if self.by_folder else {}


def hold_out(
    items: Sequence[_T], warn: Callable[[str], None], *, what: str = "picture"
) -> tuple[list[_T], list[_T]]:
    """Return items for training and every n-th for validation, at most eight.

    A single item is in both, and a line says so.

    Args:
        items: pictures, pairs or scenes.
        warn: called with that line.
        what: what one of them is.
    """
    kept = set(_spread_indices(len(items), max(1, len(items) // _SHARE)))
    held = [item for index, item in enumerate(items) if index in kept]
    training = [item for index, item in enumerate(items) if index not in kept]
    if not training:
        warn(f"there is a single {what}: validations are on the one that is trained on")
    return training or held, held


def hold_out_folders(
    items: Mapping[Path, _T],
) -> tuple[list[_T], list[_T]]:
    """Return items for training, and at most eight for validation from folders that are held out.

    Args:
        items: items by the path of their picture.

    Raises:
        UsageError: all lie in one folder.
    """
    folders: dict[Path, list[_T]] = {}
    for path, item in items.items():
        folders.setdefault(path.parent, []).append(item)
    if len(folders) < 2:
        raise UsageError(
            f"{argument('split', 'folder')}: all pictures lie in one folder; give one folder for "
            "each scene, or leave it out"
        )
    kept = set(_spread_indices(len(folders), max(1, len(folders) // _SHARE)))
    held = [each for index, group in enumerate(folders.values()) if index in kept for each in group]
    training = [
        each for index, group in enumerate(folders.values()) if index not in kept for each in group
    ]
    return training, spread(held)


def spread(items: Sequence[_T]) -> list[_T]:
    """Return at most eight of some items, at equal distances."""
    return [items[index] for index in _spread_indices(len(items), len(items))]


def _spread_indices(count: int, wanted: int) -> list[int]:
    taken = min(_MOST, wanted)
    return [index * count // taken for index in range(taken)]
