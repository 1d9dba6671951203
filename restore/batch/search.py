"""What is found behind the paths on a command line, and how the rest is named."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import NamedTuple

from restore.arguments import argument
from restore.words import counted

__all__ = ["Found", "Search", "named_others"]

_NAMED = 6
"""Suffixes of files of other kinds that are named."""


class Found(NamedTuple):
    """One picture to work on, as texts: a million ``Path`` objects take too much memory and time.

    Attributes:
        folder: what comes before ``name`` in the path of the file, with the separator at its end;
            None for standard input.
        name: path of its result relative to the output folder, with the source's own name.
    """

    folder: str | None
    name: str

    @classmethod
    def file(cls, source: Path, relative: PurePath | None = None) -> "Found":
        """Return a file; ``relative`` is the end of its path that is mirrored, or else its name."""
        name = str(relative or source.name)
        return cls(str(source).removesuffix(name), name)

    @property
    def source(self) -> Path | None:
        """The file, or None for standard input."""
        return None if self.folder is None else Path(self.folder + self.name)


@dataclass(frozen=True)
class Search:
    """What was found behind the paths on a command line.

    Attributes:
        found: the pictures.
        closed: one sentence for every folder that cannot be read.
        others: how many files of other kinds lie in the folders, by suffix.
        empty: the inputs, folders and archives, that hold no pictures.
        unsearched: folders in the folders, where these are not searched recursively.
        deeper: the inputs that have such folders, or may have: a listing does not tell.
    """

    found: list[Found]
    closed: list[str]
    others: Counter[str]
    empty: list[str] = field(default_factory=list)
    unsearched: list[str] = field(default_factory=list)
    deeper: set[str] = field(default_factory=set)

    @property
    def left_out(self) -> str:
        """The files of other kinds, and the folders, in one phrase; "" if there are none."""
        count = len(self.unsearched)
        folders = counted(count, "folder")
        hint = f"({argument('recursive', True)} searches them)"
        unsearched = f"{folders} left out {hint}" if count else ""
        return "; ".join(filter(None, (named_others(self.others), unsearched)))

    def nothing(self, noun: str, inputs: Sequence[str]) -> str:
        """Return a sentence where nothing of the kind ``noun`` was found, and what lies there."""
        others = f"; {self.left_out}" if self.left_out else ""
        hint = _deeper() if self.deeper and not self.unsearched else ""
        return f"no {noun} in {', '.join(inputs)}{others}{hint}"

    def empty_of(self, noun: str) -> dict[str, str]:
        """Return the inputs that hold nothing of the kind ``noun``, each with that phrase."""
        return {
            name: f"holds no {noun}{_deeper() if name in self.deeper else ''}"
            for name in self.empty
        }


def _deeper() -> str:
    return f"; {argument('recursive', True)} looks into subfolders too"


def named_others(others: Counter[str]) -> str:
    """Return, for example, ``4 files of other kinds left out: .gif 3, .mov 1``; "" for none."""
    count = others.total()
    if not count:
        return ""
    named = [f"{suffix or 'without suffix'} {each}" for suffix, each in others.most_common(_NAMED)]
    more = ", and others" if len(others) > _NAMED else ""
    files = counted(count, "file of another kind", "files of other kinds")
    return f"{files} left out: {', '.join(named)}{more}"
