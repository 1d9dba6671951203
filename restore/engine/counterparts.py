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


def counterpart(output: Path, candidates: Sequence[Path]) -> Path:
    """Return the one of ``candidates`` that belongs to ``output``, by its suffix.

    Raises:
        InputError: there is none, or there are several.
    """
    same = [path for path in candidates if path.suffix == output.suffix] or list(candidates)
    if not same:
        raise InputError(f"{output}: has no counterpart of that name")
    if len(same) > 1:
        names = ", ".join(path.name for path in same)
        raise InputError(f"{output}: has several counterparts of that name ({names})")
    return same[0]
