"""Which pictures of two folders belong together."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from restore.errors import InputError

__all__ = ["by_stem", "counterpart"]


def by_stem(folder: Path, paths: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the paths by what they are called below ``folder``, without suffixes."""
    stems: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        stems[path.relative_to(folder).with_suffix("")].append(path)
    return dict(stems)


def counterpart(path: Path, candidates: Sequence[Path]) -> Path:
    """Return the one of ``candidates`` that belongs to ``path``, by its suffix.

    Raises:
        InputError: there is none, or there are several.
    """
    same = [each for each in candidates if each.suffix == path.suffix] or list(candidates)
    if not same:
        raise InputError(f"{path}: has no counterpart of that name")
    if len(same) > 1:
        names = ", ".join(each.name for each in same)
        raise InputError(f"{path}: has several counterparts of that name ({names})")
    return same[0]
