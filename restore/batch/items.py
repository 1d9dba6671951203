"""The items of a plan: what is read and written for each picture."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, overload

from restore.batch.inputs import STANDARD_STREAM
from restore.image.codecs import ImageFormat, suffix_of
from restore.remote.paths import shown

__all__ = ["Item", "ItemTexts", "Items", "Rule"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One picture of a plan: its source and its outputs.

    Attributes:
        source: the file to read, or None for standard input.
        also: files that are read with it, as the other frames of a bracket.
        destination: the file to write, or None for standard output.
        compare: where the before/after picture goes, or None.
        beside: additional output files of the task, each with its kind and path.
        format: the container to write, or None to keep that of the input.
        skip: whether all its outputs exist already and are kept.
        there: how many of its outputs existed when it was planned.
    """

    source: Path | None
    destination: Path | None
    compare: Path | None = None
    beside: tuple[tuple[str, Path], ...] = ()
    format: ImageFormat | None = None
    skip: bool = False
    also: tuple[Path, ...] = ()
    there: int = field(default=0, compare=False)

    @property
    def source_name(self) -> str:
        """The source as a user would write it."""
        return shown(str(self.source)) if self.source else STANDARD_STREAM

    @property
    def destination_name(self) -> str:
        """The destination as a user would write it."""
        return shown(str(self.destination)) if self.destination else STANDARD_STREAM

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files that this item writes."""
        beside = (path for _, path in self.beside)
        return tuple(path for path in (self.destination, self.compare, *beside) if path)


class ItemTexts(NamedTuple):
    """An item with texts in place of paths, which take ten times as long to make."""

    source: str | None
    destination: str | None
    compare: str | None
    beside: tuple[tuple[str, str], ...]
    format: ImageFormat | None
    skip: bool
    also: tuple[str, ...]
    there: int

    @classmethod
    def of(cls, item: Item) -> "ItemTexts":
        """Return an item as texts."""
        return cls(
            None if item.source is None else str(item.source),
            None if item.destination is None else str(item.destination),
            None if item.compare is None else str(item.compare),
            tuple((kind, str(path)) for kind, path in item.beside),
            item.format,
            item.skip,
            tuple(map(str, item.also)),
            item.there,
        )

    def item(self) -> Item:
        """Return the item."""
        return Item(
            source=None if self.source is None else Path(self.source),
            destination=None if self.destination is None else Path(self.destination),
            compare=None if self.compare is None else Path(self.compare),
            beside=tuple((kind, Path(path)) for kind, path in self.beside),
            format=self.format,
            skip=self.skip,
            also=tuple(map(Path, self.also)),
            there=self.there,
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The files that it writes."""
        if self.compare is None and not self.beside:
            return () if self.destination is None else (self.destination,)
        found = (self.destination, self.compare, *(path for _, path in self.beside))
        return tuple(path for path in found if path is not None)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the items of one folder and suffix have in common: all but a name.

    Attributes:
        folder: how the paths of the sources begin; None for standard input.
        output: how those of the results begin; None for standard output.
        cut: characters at the end of the name that the results do without.
        ending: what takes their place.
        format: the container to write, or None to keep that of the input.
        compare: whether there are before/after pictures; "name" keeps the suffix of the result in
            their names, "stem" does not.
        beside: kinds of additional files, each with what follows ``NAME_``.
    """

    folder: str | None
    output: str | None
    cut: int = 0
    ending: str = ""
    format: ImageFormat | None = None
    compare: Literal["stem", "name"] | None = None
    beside: tuple[tuple[str, str], ...] = ()

    def destination(self, name: str) -> str | None:
        """Return the path of the result for one name."""
        if self.output is None:
            return None
        return f"{self.output}{name[: len(name) - self.cut]}{self.ending}"

    def outputs(self, name: str) -> tuple[str, ...]:
        """Return the files that are written for one name."""
        if self.output is None:
            return ()
        if self.compare or self.beside:
            return self.texts(name, skip=False, also={}, there=0).outputs
        return (f"{self.output}{name[: len(name) - self.cut]}{self.ending}",)

    def texts(
        self, name: str, skip: bool, also: Mapping[str, tuple[str, ...]], there: int
    ) -> ItemTexts:
        """Return the item of one name."""
        source = None if self.folder is None else self.folder + name
        destination = self.destination(name)
        compare: str | None = None
        beside: tuple[tuple[str, str], ...] = ()
        if destination is not None and (self.compare or self.beside):
            stem = destination.removesuffix(suffix_of(destination))
            if self.compare:
                compare = f"{destination if self.compare == 'name' else stem}_compare.png"
            beside = tuple((kind, f"{stem}_{ending}") for kind, ending in self.beside)
        read = also.get(source, ()) if also and source is not None else ()
        return ItemTexts(source, destination, compare, beside, self.format, skip, read, there)


class Items(Sequence[Item]):
    """The items of a plan, each of which is made when it is asked for.

    Each is kept as its name and a rule that it shares with others: of a million items these take
    100 MB, and paths fifteen times as much.

    Args:
        also: files that are read with an input, by that input.
    """

    def __init__(self, also: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._also = also or {}
        self._rules: list[Rule] = []
        self._names: list[str] = []
        self._skipped, self._there = bytearray(), bytearray()

    def add(self, rule: Rule, name: str) -> None:
        """Append an item."""
        self._rules.append(rule)
        self._names.append(name)
        self._skipped.append(False)
        self._there.append(0)

    def __len__(self) -> int:
        """Return their number."""
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> "Items": ...

    def __getitem__(self, index: int | slice) -> "Item | Items":
        """Return an item, or some of them."""
        if isinstance(index, int):
            return self.texts_of(index).item()
        return self._part(range(len(self))[index])

    def __eq__(self, other: object) -> bool:
        """Compare with other items, also with a tuple of them."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def texts_of(self, index: int) -> ItemTexts:
        """Return an item as texts."""
        return self._rules[index].texts(
            self._names[index], bool(self._skipped[index]), self._also, self._there[index]
        )

    def texts(self) -> Iterator[ItemTexts]:
        """Yield every item as texts."""
        return map(self.texts_of, range(len(self)))

    def outputs(self) -> Iterator[tuple[int, str]]:
        """Yield every file that is written, with the place of its item."""
        for index, (rule, name) in enumerate(zip(self._rules, self._names, strict=True)):
            for path in rule.outputs(name):
                yield index, path

    @property
    def are_all_skipped(self) -> bool:
        """Whether all are done already."""
        return all(self._skipped)

    def without(self, indices: Collection[int]) -> "Items":
        """Return the items at other places."""
        return self._part([each for each in range(len(self)) if each not in indices])

    def in_order(self) -> "Items":
        """Return them in the order of the work, which is that of their results."""
        if all(one < other for one, other in pairwise(map(self._destination, range(len(self))))):
            return self  # as those of a listing are
        return self._part(sorted(range(len(self)), key=self._place))

    def compared(self, is_alone: Callable[[str], bool]) -> "Items":
        """Return them with before/after pictures.

        Args:
            is_alone: tells of a result whether no other has its name, but for the suffix.
        """
        rules: dict[Rule, dict[bool, Rule]] = {}
        part = self._part(range(len(self)))
        for index, rule in enumerate(self._rules):
            both = rules.setdefault(rule, {})
            if not both:
                both |= {True: replace(rule, compare="stem"), False: replace(rule, compare="name")}
            part._rules[index] = both[is_alone(self._destination(index))]
        return part

    def skip(self, index: int) -> None:
        """Mark an item as done already."""
        self._skipped[index] = True

    def note_there(self, index: int) -> None:
        """Count one more of the outputs of an item as being there."""
        self._there[index] += 1

    def there(self) -> Iterator[int]:
        """Yield the places of the items of which an output is there."""
        return (index for index, count in enumerate(self._there) if count)

    def _part(self, indices: Sequence[int]) -> "Items":
        part = Items(self._also)
        part._rules = [self._rules[each] for each in indices]
        part._names = [self._names[each] for each in indices]
        part._skipped = bytearray(self._skipped[each] for each in indices)
        part._there = bytearray(self._there[each] for each in indices)
        return part

    def _destination(self, index: int) -> str:
        return self._rules[index].destination(self._names[index]) or ""

    def _place(self, index: int) -> tuple[str, str]:
        return self._destination(index), f"{self._rules[index].folder}{self._names[index]}"
