"""What a resumed run must share with the one that was stopped, and what may differ."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from restore.training.state import state_of

__all__ = ["changes_of", "touched"]

_GROWING = ("steps", "seconds")
"""Settings that may grow."""
_FREE = (*_GROWING, "processes")
_UNSTATED = {"warmup": 100, "weight_decay": None, "early_stop": None}
"""Settings that checkpoints of earlier versions lack, with what they were."""


def changes_of(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting in which a resumed run differs, and may.

    Args:
        before: the recipe in the checkpoint, with nested parts.
        now: the recipe of the run that resumes.

    Raises:
        ValueError: the checkpoint belongs to another run, or to a longer one.
    """
    was, wanted = (dict(_flat(recipe)) for recipe in (before, now))
    changed = [
        key
        for key in dict.fromkeys((*wanted, *was))
        if (key not in was, was.get(key)) != (key not in wanted, wanted.get(key))
    ]
    other = [key for key in changed if key not in _FREE and not _is_unstated(key, was, wanted)]
    other += [key for key in changed if key in _GROWING and not _grows(was, wanted, key)]
    if other:
        raise ValueError(
            "belongs to another run: " + ", ".join(_told(k, was, wanted) for k in other)
        )
    lines = []
    for key in changed:
        if key in _GROWING:
            lines.append(
                f"{_told(key, was, wanted)}: the learning rate goes on along the longer schedule"
            )
        elif key == "processes":
            lines.append(
                f"{_told(key, was, wanted)}: the batch stays as large, but other crops are drawn "
                "than would have been"
            )
    return lines


def _is_unstated(key: str, was: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    default = object() if key not in _UNSTATED else _UNSTATED[key]
    return bool(was.get(key, default) == wanted.get(key, default))


def _grows(was: Mapping[str, Any], wanted: Mapping[str, Any], key: str) -> bool:
    before, now = was.get(key), wanted.get(key)
    return isinstance(before, int | float) and isinstance(now, int | float) and now > before


def _told(key: str, was: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    return f"{key} was {was.get(key, '-')}, is now {wanted.get(key, '-')}"


def _flat(recipe: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a recipe and of its nested parts, by the names of their options."""
    for key, value in recipe.items():
        if isinstance(value, dict) and value:
            yield from _flat(value)
        else:
            yield key, value


def _as_stated(about: object) -> tuple[object, ...] | None:
    """Return what a checkpoint says of a file as ``state_of`` does; None if that is malformed."""
    return tuple(about) if isinstance(about, list | tuple) else None


def touched(known: object, pictures: Sequence[Path]) -> list[str]:
    """Return a line if pictures have changed since the checkpoint was written.

    Args:
        known: what ``state_of`` said then.
        pictures: files that are trained on now.
    """
    now = state_of(pictures)
    if not isinstance(known, dict) or not now:
        return []
    changed = [path for path, about in known.items() if now.get(path) != _as_stated(about)]
    if not changed:
        return []
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return [f"{changed[0]}{more} changed since the run was stopped; it goes on with what is there"]
