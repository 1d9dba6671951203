"""The files of an inspection's results, and which of them exist already."""

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath

from restore.anomaly.records import Record
from restore.batch.plan import BatchPlan, Existing, Item, PlanRequest, make_plan
from restore.batch.refusals import how_to_go_on
from restore.batch.search import Found
from restore.batch.shards import Shard
from restore.errors import OutputError, UsageError
from restore.files import identity_of, remove_stale_parts
from restore.image.codecs import ImageFormat

__all__ = [
    "ResultFiles",
    "inspection_plan",
    "prepare_result_folders",
    "report_stem",
    "thumbnail_of",
]

_SUFFIXES = {
    "map": ".tif",
    "mask": ".png",
    "overlay": ".png",
    "reconstruction": ".png",
    "thumbnail": ".webp",
}
_BANDS_SUFFIX = ".tif"
"""Suffix of reconstructions that are neither gray nor RGB."""


@dataclass(frozen=True)
class ResultFiles:
    """The files that one picture's inspection is written to.

    Attributes:
        report: the folder of the whole report.
        relative: path of the score map below ``report/maps``.
    """

    report: Path
    relative: PurePath

    @classmethod
    def of(cls, item: Item, report: Path) -> "ResultFiles":
        """Return the files of an item of ``inspection_plan``."""
        if item.destination is None:
            raise UsageError("an inspection is written to a folder")
        return cls(report, item.destination.relative_to(report / "maps"))

    def path(self, kind: str, *, channels: int = 1) -> Path:
        """Return the file of a kind: map, mask, overlay, reconstruction or thumbnail."""
        is_bands = kind == "reconstruction" and channels not in (1, 3)
        suffix = _BANDS_SUFFIX if is_bands else _SUFFIXES[kind]
        return self.report / f"{kind}s" / self.relative.with_suffix(suffix)

    def paths(self) -> list[Path]:
        """Return all files that may be written, whatever the picture's channels."""
        return [self.path(kind) for kind in _SUFFIXES] + [self.path("reconstruction", channels=2)]

    def names(self, channels: int) -> dict[str, str]:
        """Return kind -> path below the report, with slashes; without the thumbnail."""
        return {
            kind: self.path(kind, channels=channels).relative_to(self.report).as_posix()
            for kind in _SUFFIXES
            if kind != "thumbnail"
        }


def thumbnail_of(record: Record, report: Path) -> Path | None:
    """Return the sheet for the page that belongs to the score map of ``record``, if it has one."""
    name = record.files.get("map")
    if name is None:
        return None
    return ResultFiles(report, PurePosixPath(name).relative_to("maps")).path("thumbnail")


def inspection_plan(
    inputs: Sequence[str],
    report: Path,
    *,
    recursive: bool,
    existing: Existing,
    shard: Shard | None,
    done: Container[str] = (),
    found: Sequence[Found] | None = None,
) -> BatchPlan:
    """Plan what is read and written, without touching any file.

    Args:
        inputs: files, folders, or ``-`` for standard input.
        report: folder of the report; the inputs' tree is mirrored in its subfolders.
        recursive: take the whole tree below every folder.
        existing: what to do where results are there already.
        shard: keep this part only.
        done: names of the pictures with a record; with ``Existing.SKIP`` those of which the score
            map is there too are not inspected again.
        found: the pictures behind ``inputs``, where they are known already.

    Raises:
        UsageError: nothing to do, two results of one name, or results that exist.
    """
    if report.exists() and not report.is_dir():
        raise UsageError(f"{report}: is a file; a report needs a folder")
    plan = make_plan(
        PlanRequest(
            inputs=inputs,
            output=f"{report}{os.sep}",
            recursive=recursive,
            format=ImageFormat.TIFF,
            # Masks and the like have the map's name with a suffix of their own.
            one_suffix=True,
            existing=Existing.OVERWRITE,
            shard=shard,
            found=found,
        )
    )
    items = []
    for item in plan.items:
        assert item.destination is not None  # make_plan was given a folder
        moved = replace(item, destination=report / "maps" / item.destination.relative_to(report))
        there = [path for path in ResultFiles.of(moved, report).paths() if os.path.lexists(path)]
        if there:
            _refuse_to_replace(there, existing)
        is_there = moved.destination in there
        is_done = is_there and item.source_name in done
        items.append(replace(moved, skip=existing is Existing.SKIP and is_done))
    _refuse_inputs_as_outputs(items, report)
    return replace(plan, items=tuple(items))


def _refuse_to_replace(there: Sequence[Path], existing: Existing) -> None:
    folder = next((path for path in there if path.is_dir()), None)
    if folder:
        raise UsageError(f"{folder}: is a folder; a picture cannot take its place")
    if existing is Existing.REFUSE:
        raise UsageError(
            f"{there[0]}: exists already; {how_to_go_on('keeps it and does the rest')}"
        )


def report_stem(name: str, shard: Shard | None) -> str:
    """Return ``name``, or for a part of the work ``name-2-of-8``: parts do not share files."""
    return name if shard is None else f"{name}-{shard.index}-of-{shard.count}"


def prepare_result_folders(items: Sequence[Item], report: Path) -> None:
    """Create all folders, and remove the partial files that killed runs left in them.

    Raises:
        OutputError: one cannot be made or written.
    """
    paths = [path for item in items for path in ResultFiles.of(item, report).paths()]
    for folder in sorted({report, *(path.parent for path in paths)}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(f"{folder}: this folder cannot be made: {reason}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{folder}: this folder cannot be written")
        remove_stale_parts(folder)


def _refuse_inputs_as_outputs(items: Sequence[Item], report: Path) -> None:
    """Compare by device and inode, so that no link hides an input."""
    sources = {identity_of(item.source): item.source for item in items if item.source}
    for item in items:
        for path in ResultFiles.of(item, report).paths():
            identity = identity_of(path)
            if identity and identity in sources:
                raise UsageError(f"{path}: is the input {sources[identity]}; choose another folder")
