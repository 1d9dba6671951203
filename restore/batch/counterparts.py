"""Pictures of one name in two folders, such as noisy and clean ones."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from restore.errors import InputError

__all__ = ["by_stem", "counterpart"]


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
