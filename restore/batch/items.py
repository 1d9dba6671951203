"""The items of a plan: what is read and written for each picture."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from restore.batch.inputs import STANDARD_STREAM
from restore.image.codecs import ImageFormat
from restore.remote.paths import shown

__all__ = ["Item", "Items"]


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
    """

    source: Path | None
    destination: Path | None
    compare: Path | None = None
    beside: tuple[tuple[str, Path], ...] = ()
    format: ImageFormat | None = None
    skip: bool = False
    also: tuple[Path, ...] = ()

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


_Packed = tuple[
    str | None,
    str | None,
    str | None,
    tuple[tuple[str, str], ...],
    ImageFormat | None,
    bool,
    tuple[str, ...],
]


class Items(Sequence[Item]):
    """The items of a plan, each of which is made when it is asked for.

    As texts, a million of them take 300 MB, and five times as much as paths.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        self._packed = [_packed(item) for item in items]

    def __len__(self) -> int:
        """Return their number."""
        return len(self._packed)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> "Items": ...

    def __getitem__(self, index: int | slice) -> "Item | Items":
        """Return an item, or some of them."""
        if isinstance(index, int):
            return _unpacked(self._packed[index])
        part = Items(())
        part._packed = self._packed[index]
        return part

    def __eq__(self, other: object) -> bool:
        """Compare with other items, also with a tuple of them."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def sort(self) -> None:
        """Bring them into the order of the work, which is that of their results."""
        self._packed.sort(key=lambda each: (str(each[1]), str(each[0])))

    def skip(self, index: int) -> None:
        """Mark an item as done already."""
        *before, _, also = self._packed[index]
        self._packed[index] = (*before, True, also)  # type: ignore[assignment]

    def source_texts(self) -> Iterator[str]:
        """Yield every file that is read."""
        for source, *_, also in self._packed:
            if source is not None:
                yield source
            yield from also

    def output_texts(self) -> Iterator[str]:
        """Yield every file that is written."""
        for each in self._packed:
            yield from _outputs(each)

    def new_outputs(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield the files that are written for each item that is not done, with its index."""
        for index, each in enumerate(self._packed):
            if not each[5]:
                yield index, _outputs(each)


def _packed(item: Item) -> _Packed:
    return (
        None if item.source is None else str(item.source),
        None if item.destination is None else str(item.destination),
        None if item.compare is None else str(item.compare),
        tuple((kind, str(path)) for kind, path in item.beside),
        item.format,
        item.skip,
        tuple(map(str, item.also)),
    )


def _unpacked(packed: _Packed) -> Item:
    source, destination, compare, beside, image_format, skip, also = packed
    return Item(
        source=None if source is None else Path(source),
        destination=None if destination is None else Path(destination),
        compare=None if compare is None else Path(compare),
        beside=tuple((kind, Path(path)) for kind, path in beside),
        format=image_format,
        skip=skip,
        also=tuple(map(Path, also)),
    )


def _outputs(packed: _Packed) -> tuple[str, ...]:
    _, destination, compare, beside, *_ = packed
    found = (destination, compare, *(path for _, path in beside))
    return tuple(path for path in found if path is not None)
