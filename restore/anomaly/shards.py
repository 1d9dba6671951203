"""The records of shards: a run that was split leaves a file for each share."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from os import link
from pathlib import Path

from restore.anomaly.files import thumbnail_of
from restore.anomaly.records import Record, read_jsonl
from restore.arguments import argument
from restore.errors import OutputError, UsageError
from restore.files import write_atomically

__all__ = ["Joined", "join_records", "read_records", "shard_files", "take_files"]

_MOST_NAMED = 20
_WHOLE = "results.jsonl"
_SHARD = re.compile(r"results-([0-9]{1,9})-of-([0-9]{1,9})\.jsonl")


@dataclass(frozen=True)
class Joined:
    """The records of several shards.

    Attributes:
        records: Records of all pictures, by their names.
        reports: Picture's name -> report that its record is from.
        missing: A sentence for each share of which there are no records.
    """

    records: dict[str, Record]
    reports: dict[str, Path]
    missing: tuple[str, ...]


def shard_files(report: Path) -> list[Path]:
    """Return the files in a report that hold the records of shards, sorted."""
    return sorted(path for path in report.glob("results-*.jsonl") if _SHARD.fullmatch(path.name))


def read_records(path: Path) -> list[Record]:
    """Return the records in a file of an earlier run.

    Raises:
        UsageError: the file cannot be read, or holds something else than such records.
    """
    try:
        return read_jsonl(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(
            f"{path}: {error}; these are no records of an inspection to go on with: use "
            f"{argument('overwrite', True)} or another folder"
        ) from error


def join_records(reports: Sequence[Path]) -> Joined:
    """Return the records of all shards in reports, and of runs that were not split.

    Raises:
        UsageError: a report holds no records, or two hold different results of one name.
    """
    records: dict[str, Record] = {}
    origins: dict[str, Path] = {}
    missing: list[str] = []
    seen: dict[int, set[int]] = {}
    of_shards: set[str] = set()
    for report in reports:
        shards = shard_files(report)
        whole = [path for path in (report / _WHOLE,) if path.is_file()]
        if not shards and not whole:
            raise UsageError(f"{report}: holds no results of an inspection")
        # What the shards say is newer than what an earlier join made of them.
        read = {path: read_records(path) for path in (*whole, *shards)}
        for path in shards:
            index, count = _share(path)
            seen.setdefault(count, set()).add(index)
            of_shards.update(record.source for record in read[path])
        own = {record.source: record for found in read.values() for record in found}
        for name, record in own.items():
            former = records.get(name)
            if former is None or former.error:
                records[name], origins[name] = record, report
            elif not record.error and record != former:
                raise UsageError(
                    f"{report}: has another result of {name} than {origins[name]}; two pictures of "
                    "one name cannot be in one report"
                )
    did_the_rest = records.keys() - of_shards  # a run that was not split
    for count, indices in seen.items() if not did_the_rest else ():
        lost = islice((index for index in range(1, count + 1) if index not in indices), _MOST_NAMED)
        missing += [f"shard {index} of {count}: has no results here" for index in lost]
    return Joined(records, origins, tuple(missing))


def take_files(records: Iterable[Record], report: Path, target: Path) -> int:
    """Put the files of pictures into another report; return how many are not there.

    They are linked where that is possible, and copied elsewhere.

    Raises:
        OutputError: one cannot be written, or another is in its place.
    """
    missing = 0
    for record in records:
        thumbnail = thumbnail_of(record, report)
        paths = [report / name for name in record.files.values()]
        for path in [*paths, *([thumbnail] if thumbnail else [])]:
            if path.is_symlink() or not path.is_file():
                missing += 1
                continue
            _take(path, target / path.relative_to(report))
    return missing


def _take(path: Path, there: Path) -> None:
    try:
        if there.exists() and there.samefile(path):
            return
        there.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{there}: cannot be made: {error.strerror or error}") from error
    try:
        link(path, there)
    except FileExistsError as error:
        raise OutputError(f"{there}: exists already; join into another folder") from error
    except OSError:
        write_atomically(there, path.read_bytes(), overwrite=False)


def _share(path: Path) -> tuple[int, int]:
    match = _SHARD.fullmatch(path.name)
    assert match is not None  # shard_files found it
    return int(match[1]), int(match[2])
