"""The plan of a batch: every output name and every refusal is known before work starts."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from restore.arguments import argument
from restore.batch.inputs import STANDARD_STREAM, find_pictures
from restore.batch.items import Item, Items, ItemTexts, Rule
from restore.batch.kinds import PICTURES, FileKind
from restore.batch.names import rule_in_folder, rule_of_file
from restore.batch.refusals import how_to_go_on, refuse_collisions, refuse_inputs_as_outputs
from restore.batch.search import Found, Search
from restore.batch.shards import Shard
from restore.batch.twins import Twins, without_twins
from restore.errors import UsageError
from restore.files import check_name, is_short
from restore.image.codecs import ImageFormat, suffix_of
from restore.remote.paths import exists, isdir, isfile, lexists
from restore.words import counted

__all__ = ["BatchPlan", "Existing", "Item", "PlanRequest", "make_plan"]


class Existing(StrEnum):
    """What to do where an output exists already."""

    REFUSE = "refuse"
    OVERWRITE = "overwrite"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """What a run will do.

    Attributes:
        items: items in the order of the work, which does not depend on the order of the inputs.
        closed: one sentence for every folder that could not be read.
        left_out: files of other kinds in the folders, in one phrase; "" if there are none.
        empty: each input that holds nothing to do, with a phrase that says so.
        twins: pictures that are left out, each with the RAW file in whose place a camera wrote it.
    """

    items: Sequence[Item]
    closed: tuple[str, ...] = ()
    left_out: str = ""
    empty: Mapping[str, str] = field(default_factory=dict)
    twins: Mapping[str, str] = field(default_factory=dict)

    def texts(self) -> Iterator[ItemTexts]:
        """Yield every item as texts, which is quicker than as paths."""
        return (
            self.items.texts() if isinstance(self.items, Items) else map(ItemTexts.of, self.items)
        )

    def texts_of(self, index: int) -> ItemTexts:
        """Return an item as texts."""
        items = self.items
        return items.texts_of(index) if isinstance(items, Items) else ItemTexts.of(items[index])

    def of_each_kind(self) -> "BatchPlan":
        """Return the plan of one item that is to be done for each suffix of the inputs."""
        found: dict[str, int] = {}
        for index, item in enumerate(self.texts()):
            if not item.skip:
                found.setdefault(suffix_of(item.source or "").lower(), index)
        return replace(self, items=tuple(self.items[index] for index in found.values()), twins={})

    def without(self, indices: Collection[int]) -> "BatchPlan":
        """Return the plan of the items at other places."""
        if not indices:
            return self
        if isinstance(self.items, Items):
            return replace(self, items=self.items.without(indices))
        rest = [item for index, item in enumerate(self.items) if index not in indices]
        return replace(self, items=rest)

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be done."""
        if isinstance(self.items, Items):
            return self.items.are_all_skipped
        return all(item.skip for item in self.texts())

    @property
    def folders(self) -> list[Path]:
        """Every folder that is written to, sorted."""
        if isinstance(self.items, Items):
            outputs = (path for _, path in self.items.outputs())
        else:
            outputs = (str(path) for item in self.items for path in item.outputs)
        return sorted(map(Path, set(map(os.path.dirname, outputs))))


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
            ``existing`` says; None if nothing is known.
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
    is_done: Callable[[ItemTexts], bool] | None = None
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
    items = _items(search.found, request, into_folder).in_order()
    search.found.clear()  # of a million pictures they would take half as much memory again
    for index, path in items.outputs():
        if not is_short(os.path.basename(path)):
            check_name(Path(path))
        if lexists(path):  # which is asked once: on a network drive it takes a while
            items.note_there(index)
    refuse_collisions(items)
    refuse_inputs_as_outputs(items)
    if request.shard:
        items = items[request.shard.index - 1 :: request.shard.count]
    if request.is_done:
        _skip_done(items, request.is_done)
    _treat_existing(items, request.existing)
    sources = {item.source for item in items.texts()} if twins else ()
    return BatchPlan(
        items=items,
        closed=tuple(search.closed),
        left_out=search.left_out,
        empty=search.empty_of(request.kind.noun),
        twins={picture: raw for picture, raw in twins.items() if raw in sources},
    )


def _check_names(request: PlanRequest) -> None:
    inputs, written = request.inputs, request.kind.written
    if not request.output:
        raise UsageError("the name of the output is empty")
    if request.format is not None and request.format not in written:
        raise UsageError(
            f"{argument('image_format')} {request.format}: use one of {', '.join(written)}"
        )
    if all(name != STANDARD_STREAM and not lexists(name) for name in inputs):
        raise UsageError("; ".join(f"{name}: no such file or folder" for name in inputs))
    if list(inputs).count(STANDARD_STREAM) > 1:
        raise UsageError("standard input (-) can be given only once")


def _found(request: PlanRequest, into_folder: bool) -> tuple[Search, dict[str, str]]:
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
        raise UsageError(search.nothing(request.kind.noun, request.inputs))
    return search, twins


def _is_folder(inputs: Sequence[str], output: str) -> bool:
    if output == STANDARD_STREAM:
        return False
    separators = tuple(filter(None, (os.sep, os.altsep)))
    folder = len(inputs) > 1 or isdir(inputs[0]) or output.endswith(separators) or isdir(output)
    if folder and lexists(output) and not isdir(output):
        raise UsageError(f"{output}: is a file; these inputs need an output folder")
    return folder


def _items(found: Sequence[Found], request: PlanRequest, into_folder: bool) -> Items:
    """Return the items of what was found, in that order."""
    rules: dict[tuple[str | None, str], Rule] = {}
    items = Items({str(path): tuple(map(str, also)) for path, also in request.also_read.items()})
    for one in found if into_folder else found[:1]:
        if one.folder is None and request.also_read:
            continue
        key = one.folder, suffix_of(one.name)
        if key not in rules:
            rule = rule_in_folder(one, request) if into_folder else rule_of_file(found, request)
            rules[key] = _with_beside(rule, request.beside)
        items.add(rules[key], one.name)
    return _with_comparisons(items) if request.compare else items


def _with_beside(rule: Rule, kinds: Mapping[str, str]) -> Rule:
    if kinds and rule.output is None:
        raise UsageError(f"--{next(iter(kinds))} needs an output file to stand beside")
    return replace(rule, beside=tuple(kinds.items()))


def _with_comparisons(items: Items) -> Items:
    names = {item.destination for item in items.texts()}
    if None in names:
        raise UsageError(
            f"{argument('compare')} needs an output file to stand beside, not standard output"
        )
    stems = Counter(_stem(name) for name in names if name is not None)
    # a.jpg beside a.png: their full names tell their comparisons apart.
    return items.compared(lambda destination: stems[_stem(destination)] == 1)


def _stem(path: str) -> str:
    return path.removesuffix(suffix_of(path))


def _skip_done(items: Items, is_done: Callable[[ItemTexts], bool]) -> None:
    for index, item in enumerate(items.texts()):
        if is_done(item):
            items.skip(index)


def _treat_existing(items: Items, existing: Existing) -> None:
    """Skip what is there, or refuse it, as ``existing`` has it.

    Raises:
        UsageError: a result is there and may not be, or is no file.
    """
    folders, special, there = [], [], []
    for index in items.there():
        item = items.texts_of(index)
        if item.skip:
            continue
        paths = item.outputs
        present = [path for path in paths if lexists(path)]
        there += present if existing is Existing.REFUSE else []
        for path in present:
            if isdir(path):
                folders.append(path)
            elif exists(path) and not isfile(path):
                special.append(path)
        # All of them: a result without its requested comparison is incomplete.
        if existing is Existing.SKIP and paths and len(present) == len(paths):
            items.skip(index)
    if folders:
        raise UsageError(f"{folders[0]}: is a folder; a picture cannot take its place")
    if special:
        raise UsageError(f"{special[0]}: is no file; - writes to standard output")
    if there:
        others = len(there) - 1
        more = f" and {counted(others, 'more output')}" if others else ""
        raise UsageError(
            f"{there[0]}{more} exist already; {how_to_go_on('keeps them')}"
            if more
            else f"{there[0]}: exists already; {how_to_go_on('keeps it')}"
        )
