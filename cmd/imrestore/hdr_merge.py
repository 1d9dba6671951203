"""`imrestore hdr --mode merge`: brackets of exposures in, one HDR picture for each out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imrestore import batch
from imrestore.checks import exclusive
from imrestore.hdr_options import MergeOptions
from imrestore.options import FileOptions
from imrestore.output import log, say
from imrestore.report import tell_of_empty, tell_of_twins
from restore.image.codecs import format_of_suffix

if TYPE_CHECKING:
    from restore.batch.kinds import FileKind
    from restore.batch.page import PageText
    from restore.batch.plan import BatchPlan, Item
    from restore.hdr.merge.brackets import Bracket
    from restore.hdr.merge.exposures import Exposure
    from restore.hdr.radiance import Radiance

__all__ = ["merge"]


def merge(
    files: FileOptions,
    merging: MergeOptions,
    *,
    beside: Mapping[str, str],
    describe: Callable[[Mapping[str, object]], str],
    page: "Callable[[], PageText]",
    saturation: float | None,
    is_linear: bool,
    exposure_stops: float,
) -> None:
    """Merge the brackets among the inputs and leave with an exit code.

    Args:
        files: Options of the inputs and outputs.
        merging: How brackets are told apart and merged.
        beside: Kinds of files to write beside each result.
        describe: Returns a record in a few words.
        page: Returns what the page of --report says.
        saturation: Sample from which on a channel is saturated; None to find it in each frame.
        is_linear: Integer samples are linear.
        exposure_stops: Stops to brighten the results by.

    Raises:
        UsageError: options that contradict each other, or inputs that are no brackets.
    """
    exclusive(merging, ("exposures", "group", "by_folder", "gap"))
    brackets = _brackets(files, merging)
    _check_output(files, brackets)
    by_first = {bracket[0].path: bracket for bracket in brackets}

    def prepare(_plan: "BatchPlan | None") -> batch.Work:
        from restore.hdr.merge.ghosts import DEVIATIONS
        from restore.hdr.merge.merge import merge_bracket

        usual = {"auto": DEVIATIONS, "off": None}
        given = merging.deghost
        deghost = usual[given] if given in usual else float(given)

        def merge_one(bracket: "Bracket") -> "Radiance":
            return merge_bracket(
                bracket.exposures,
                align=merging.align,
                deghost=deghost,
                saturation=saturation,
                is_linear=is_linear,
                exposure_stops=exposure_stops,
            )

        return batch.Work(merge_one)

    def kind() -> "FileKind[Bracket, Radiance]":
        from restore.hdr.merge.brackets import bracket_files

        return bracket_files(by_first)

    def foretold(item: "Item") -> Mapping[str, str]:
        exposures = by_first[item.source] if item.source else ()
        return {"exposures": " + ".join(one.words for one in exposures)}

    if not _is_folder(files.output):
        files = replace(files, inputs=[str(path) for path in by_first], recursive=False)
    batch.run(
        files,
        prepare,
        describe=describe,
        page=page,
        kind=kind,
        beside=beside,
        only=by_first.keys(),
        also_read={bracket[0].path: [one.path for one in bracket[1:]] for bracket in brackets},
        foretold=foretold,
    )


def _brackets(files: FileOptions, merging: MergeOptions) -> "list[list[Exposure]]":
    """Return the brackets among the inputs, with the exposure of each frame where it is known."""
    from restore.batch.inputs import STANDARD_STREAM, find_pictures
    from restore.batch.twins import Twins, without_twins
    from restore.errors import UsageError
    from restore.hdr.merge.brackets import FRAME_SUFFIXES, Grouping, grouped
    from restore.hdr.merge.exposures import Exposure, parse_exposures, tried_exposure
    from restore.remote.paths import mount_of

    if STANDARD_STREAM in files.inputs:
        raise UsageError("brackets are files; standard input holds one picture")
    search = find_pictures(
        files.inputs,
        recursive=files.recursive,
        output=Path(files.output),
        suffixes=FRAME_SUFFIXES,
        warn=lambda _: None,  # the plan searches again
    )
    search, twins = without_twins(search, Twins.RAW)
    tell = log.debug if files.quiet else say
    tell_of_twins(twins, tell, as_json=files.json, advice="; name the pictures to merge them")
    paths = [one.source for one in search.found if one.source is not None]
    if search.closed and (not paths or not _is_folder(files.output)):
        raise UsageError(search.closed[0])
    if not paths:
        raise UsageError(search.nothing("pictures", files.inputs))
    if not _is_folder(files.output):  # the plan will be given the files
        empty = search.empty_of("pictures")
        tell_of_empty(empty, tell, as_json=files.json)
    if merging.exposures is not None:
        seconds = parse_exposures(merging.exposures, len(paths))
        return [
            [
                Exposure(path=path, light=light, seconds=light)
                for path, light in zip(paths, seconds, strict=True)
            ]
        ]
    for path in paths:
        if (mount := mount_of(path)) is not None:
            mount.fetch(path, waits=False)
    read = [tried_exposure(path) for path in paths]
    is_named = not any(Path(name).is_dir() for name in files.inputs) and _is_file(files.output)
    pauses = {} if merging.gap is None else {"gap_s": merging.gap}
    if is_named and not (merging.group or merging.by_folder or pauses):
        return [read]
    return grouped(read, Grouping(size=merging.group, by_folder=merging.by_folder, **pauses))


def _is_folder(output: str) -> bool:
    from restore.batch.inputs import STANDARD_STREAM

    return output != STANDARD_STREAM and not _is_file(output)


def _is_file(output: str) -> bool:
    path = Path(output)
    return not path.is_dir() and format_of_suffix(path.suffix) is not None


def _check_output(files: FileOptions, brackets: "Sequence[Sequence[Exposure]]") -> None:
    """Refuse one output file for several brackets."""
    from restore.errors import UsageError

    if len(brackets) > 1 and _is_file(files.output):
        raise UsageError(
            f"{files.output}: these are {len(brackets)} brackets; give a folder, or other --gap, "
            "--group or --by-folder"
        )
