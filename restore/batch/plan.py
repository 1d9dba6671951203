"""The plan of a batch: every output name and every refusal is known before work starts."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from restore.batch.inputs import STANDARD_STREAM, Found, Search, find_pictures
from restore.batch.kinds import PICTURES, FileKind
from restore.batch.names import Place, place_in_folder, place_of_file
from restore.batch.refusals import refuse_collisions, refuse_inputs_as_outputs
from restore.batch.shards import Shard
from restore.batch.twins import Twins, without_twins
from restore.errors import UsageError
from restore.files import check_name
from restore.image.codecs import ImageFormat
from restore.remote.paths import exists, isdir, isfile, lexists, shown

__all__ = ["BatchPlan", "Existing", "Item", "PlanRequest", "make_plan"]


class Existing(StrEnum):
    """What to do where an output exists already."""

    REFUSE = "refuse"
    OVERWRITE = "overwrite"
    SKIP = "skip"


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


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """What a run will do.

    Attributes:
        items: items in the order of the work, which does not depend on the order of the inputs.
        closed: one sentence for every folder that could not be read.
        left_out: files of other kinds in the folders, in one phrase; "" if there are none.
        twins: pictures that are left out, each with the RAW file in whose place a camera wrote it.
    """

    items: tuple[Item, ...]
    closed: tuple[str, ...] = ()
    left_out: str = ""
    twins: Mapping[Path, Path] = field(default_factory=dict)

    @property
    def folders(self) -> list[Path]:
        """Every folder that is written to, sorted."""
        return sorted({path.parent for item in self.items for path in item.outputs})


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """The arguments of ``make_plan``.

    Attributes:
        inputs: files, folders, or ``-`` for standard input.
        output: path to write to: a folder if there are several inputs, one is a folder, the name
            ends with a slash or a folder of that name exists; ``-`` for standard output; else a
            file.
        kind: kind of the input files.
        recursive: take the whole tree below every folder; it is mirrored below ``output``.
        format: the container of all outputs, instead of each input's own.
        one_suffix: in a folder, always use the default suffix of the format, even where the input
            has another suffix of the same format.
        compare: plan a before/after picture ``NAME_compare.png`` beside every output.
        beside: kinds of additional files to plan for every output, each with what follows
            ``NAME_``.
        existing: what to do where an output exists already.
        shard: part of the plan to keep; None for all. Name collisions are checked over the whole
            plan, existing outputs in the part only.
        twins: which are taken of RAW files and finished pictures of the same name.
        only: files that get a result, among those found; None for all.
        also_read: files that are read with an input, by that input.
        is_done: tells of an item whether its result is there and is to be kept, whatever
            ``existing`` says.
        found: the pictures behind ``inputs``, where they are known already.
    """

    inputs: Sequence[str]
    output: str
    kind: FileKind[Any, Any] = PICTURES
    recursive: bool = False
    format: ImageFormat | None = None
    one_suffix: bool = False
    compare: bool = False
    beside: Mapping[str, str] = field(default_factory=dict)
    existing: Existing = Existing.REFUSE
    shard: Shard | None = None
    twins: Twins = Twins.BOTH
    only: Collection[Path] | None = None
    also_read: Mapping[Path, Sequence[Path]] = field(default_factory=dict)
    is_done: Callable[[Item], bool] = lambda _: False
    found: Sequence[Found] | None = None


def make_plan(request: PlanRequest) -> BatchPlan:
    """Return what will be read and written, without touching any file.

    Raises:
        UsageError: nothing to do; two results with the same name; a name that is too long; an
            output that is an input; an output that exists; or inputs and output that do not go
            together.
    """
    _check_names(request)
    into_folder = _is_folder(request.inputs, request.output)
    search, twins = _found(request, into_folder)
    if into_folder:
        items = [_item(one, place_in_folder(one, request)) for one in search.found]
    else:
        items = [_item(one, place_of_file(search.found, request)) for one in search.found[:1]]
    search.found.clear()  # of a million pictures they take as much memory as the plan
    if request.compare:
        names = {item.destination for item in items if item.destination}
        stems = Counter(name.with_suffix("") for name in names)
        items = [_with_compare(item, stems) for item in items]
    items = [_with_beside(item, request.beside) for item in items]
    if request.also_read:
        also = {source: tuple(others) for source, others in request.also_read.items()}
        items = [replace(one, also=also.get(one.source, ())) for one in items if one.source]
    items = sorted(items, key=lambda item: (str(item.destination), str(item.source)))
    for path in (path for item in items for path in item.outputs):
        check_name(path)
    refuse_collisions(items)
    refuse_inputs_as_outputs(items)
    if request.shard:
        items = items[request.shard.index - 1 :: request.shard.count]
    sources = {item.source for item in items}
    return BatchPlan(
        items=tuple(_treat_existing(items, request.existing, request.is_done)),
        closed=tuple(search.closed),
        left_out=search.left_out,
        twins={picture: raw for picture, raw in twins.items() if raw in sources},
    )


def _check_names(request: PlanRequest) -> None:
    inputs, written = request.inputs, request.kind.written
    if not request.output:
        raise UsageError("the name of the output is empty")
    if request.format is not None and request.format not in written:
        raise UsageError(f"--format {request.format}: use one of {', '.join(written)}")
    if all(name != STANDARD_STREAM and not lexists(name) for name in inputs):
        raise UsageError("; ".join(f"{name}: no such file or folder" for name in inputs))
    if list(inputs).count(STANDARD_STREAM) > 1:
        raise UsageError("standard input (-) can be given only once")


def _found(request: PlanRequest, into_folder: bool) -> tuple[Search, dict[Path, Path]]:
    """Return the inputs that get a result, what was not taken, and twins, as ``BatchPlan`` has."""
    if request.found is not None:
        return Search(list(request.found), [], Counter()), {}
    search = find_pictures(
        request.inputs,
        recursive=request.recursive,
        output=Path(request.output) if into_folder else None,
        suffixes=request.kind.suffixes,
    )
    if request.only is not None:
        search = replace(search, found=[one for one in search.found if one.source in request.only])
    search, twins = without_twins(search, request.twins)
    if not search.found and not search.closed:
        others = f"; {search.left_out}" if search.left_out else ""
        hint = "" if request.recursive else "; -r looks into subfolders too"
        raise UsageError(f"no {request.kind.noun} in {', '.join(request.inputs)}{others}{hint}")
    return search, twins


def _is_folder(inputs: Sequence[str], output: str) -> bool:
    if output == STANDARD_STREAM:
        return False
    separators = tuple(filter(None, (os.sep, os.altsep)))
    folder = len(inputs) > 1 or isdir(inputs[0]) or output.endswith(separators) or isdir(output)
    if folder and lexists(output) and not isdir(output):
        raise UsageError(f"{output}: is a file; these inputs need an output folder")
    return folder


def _item(found: Found, place: Place) -> Item:
    destination, image_format = place
    return Item(source=found.source, destination=destination, format=image_format)


def _with_compare(item: Item, stems: Mapping[Path, int]) -> Item:
    destination = item.destination
    if destination is None:
        raise UsageError("--compare needs an output file to stand beside, not standard output")
    is_alone = stems[destination.with_suffix("")] == 1
    # a.jpg beside a.png: their full names tell their comparisons apart.
    name = destination.stem if is_alone else destination.name
    return replace(item, compare=destination.with_name(f"{name}_compare.png"))


def _with_beside(item: Item, kinds: Mapping[str, str]) -> Item:
    if not kinds:
        return item
    destination = item.destination
    if destination is None:
        raise UsageError(f"--{next(iter(kinds))} needs an output file to stand beside")
    beside = (
        (kind, destination.with_name(f"{destination.stem}_{ending}"))
        for kind, ending in kinds.items()
    )
    return replace(item, beside=tuple(beside))


def _treat_existing(
    items: Sequence[Item], existing: Existing, is_done: Callable[[Item], bool]
) -> Iterator[Item]:
    items = [replace(item, skip=True) if is_done(item) else item for item in items]
    folder = next((p for item in items for p in item.outputs if isdir(p)), None)
    if folder:
        raise UsageError(f"{folder}: is a folder; a picture cannot take its place")
    special = (p for item in items for p in item.outputs if exists(p))
    if path := next((p for p in special if not isfile(p)), None):
        raise UsageError(f"{path}: is no file; - writes to standard output")
    if existing is Existing.REFUSE:
        ours = (path for item in items if not item.skip for path in item.outputs)
        there = [path for path in ours if lexists(path)]
        if there:
            others = len(there) - 1
            more = f" and {others} more output{'s' if others > 1 else ''}" if others else ""
            raise UsageError(
                f"{there[0]}{more} exist already; --overwrite replaces, --skip-existing keeps them"
                if more
                else f"{there[0]}: exists already; --overwrite replaces, --skip-existing keeps it"
            )
    for item in items:
        # All of them: a result without its requested comparison is incomplete.
        done = bool(item.outputs) and all(map(lexists, item.outputs))
        yield item if item.skip or not done else replace(item, skip=existing is Existing.SKIP)
