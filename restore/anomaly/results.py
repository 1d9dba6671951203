"""The records of an inspection, written while it runs, and its tables and page at the end."""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from restore.anomaly.drift import drift_of, told_another_part
from restore.anomaly.files import report_stem
from restore.anomaly.page import Page, page_of
from restore.anomaly.records import Record, as_jsonl
from restore.anomaly.runner import Detector
from restore.anomaly.shards import read_records, shard_files
from restore.anomaly.tables import as_parquet, can_write_parquet, parts_csv, regions_csv
from restore.anomaly.verdict import Verdict
from restore.arguments import argument
from restore.batch.plan import Existing, Item
from restore.batch.refusals import how_to_go_on
from restore.batch.shards import Shard
from restore.batch.stream import Outcome, Status
from restore.errors import UsageError
from restore.files import sole_use, write_atomically

__all__ = ["Results"]


class Results:
    """The records of an inspection, appended to ``results.jsonl`` as they come.

    From ``begin`` to ``close`` no other process may write them.

    Args:
        report: folder of the report, which must exist when the first record comes.
        shard: the share of the work; None for all of it.

    Attributes:
        changes: How many records were added.
    """

    def __init__(self, report: Path, shard: Shard | None = None) -> None:
        self._report, self._shard = report, shard
        self._lines = report / f"{report_stem('results', shard)}.jsonl"
        self._table = self._lines.with_suffix(".csv")
        self._parquet = self._lines.with_suffix(".parquet")
        self._regions = report / f"{report_stem('regions', shard)}.csv"
        self._page = report / f"{report_stem('report', shard)}.html"
        self._summary = report / f"{report_stem('summary', shard)}.json"
        self._records: dict[str, Record] = {}
        self._asked: Collection[str] | None = None
        self._is_open = True
        self._use = ExitStack()
        self.warnings: dict[str, str] = {}
        """What the batch as a whole says, a sentence for each kind; known after ``finish``."""
        self.changes = 0

    def __contains__(self, source: object) -> bool:
        """Return whether the part has a verdict."""
        record = self._records.get(source) if isinstance(source, str) else None
        return record is not None and not record.error

    def owners(self) -> dict[str, str]:
        """Return whose score map each is, by its path below ``maps``."""
        maps = ((record.files.get("map", ""), name) for name, record in self._records.items())
        return {path.removeprefix("maps/"): name for path, name in maps if path}

    def refuse_to_replace(self, existing: Existing) -> None:
        """Check that the files may be written.

        Args:
            existing: what to do where they are there already. To be added to, they must be those
                of an earlier run.

        Raises:
            UsageError: they may not.
        """
        files = (self._lines, self._table, self._regions, self._parquet, self._page, self._summary)
        there = [path for path in files if os.path.lexists(path)]
        for path in there:
            if path.is_dir():
                raise UsageError(f"{path}: is a folder; a file of the report cannot take its place")
        if there and existing is Existing.REFUSE:
            raise UsageError(f"{there[0]}: exists already; {how_to_go_on('adds what is missing')}")
        if there and existing is Existing.SKIP and not self._lines.is_file():
            raise UsageError(
                f"{there[0]}: exists already, and {self._lines.name} has no records of an "
                f"inspection to go on with; use {argument('overwrite', True)} or another folder"
            )

    @property
    def page(self) -> Path:
        """Path of the report page."""
        return self._page

    def count(self, *verdicts: Verdict) -> int:
        """Return how many of the parts that this run was asked for have one of the verdicts."""
        return sum(record.verdict in verdicts for record in self._of_this_run())

    @property
    def inspected(self) -> int:
        """How many of the parts that this run was asked for have a verdict."""
        return sum(not record.error for record in self._of_this_run())

    @property
    def others(self) -> int:
        """How many parts of earlier runs are in the report that this one was not asked for."""
        return len(self._records) - sum(1 for _ in self._of_this_run())

    def _of_this_run(self) -> Iterable[Record]:
        if self._asked is None:
            return self._records.values()
        return (record for name, record in self._records.items() if name in self._asked)

    def recorded(self) -> list[Record]:
        """Return what earlier runs recorded, for a run that is not split that of its shards, too.

        Raises:
            UsageError: a file cannot be read, or holds something else than such records.
        """
        shards = [] if self._shard else shard_files(self._report)
        own = [self._lines] if self._lines.is_file() else []
        # Of a part that both name, the run that was not split has the last word.
        records = {each.source: each for path in (*shards, *own) for each in read_records(path)}
        return list(records.values())

    def begin(self, kept: Iterable[Record] = (), asked: Collection[str] | None = None) -> None:
        """Start the files anew, with what is kept of earlier runs.

        Args:
            kept: records of earlier runs.
            asked: names of the pictures of this run, which alone are counted; None for all.

        Raises:
            UsageError: another run writes them.
            OutputError: they cannot be written.
        """
        self._use.enter_context(sole_use(self._report, self._lines.stem))
        self._records = {record.source: record for record in kept}
        self._asked = asked
        write_atomically(self._lines, as_jsonl(self._records.values()).encode(), overwrite=True)

    def add(self, outcome: Outcome) -> bool:
        """Record what became of a picture; return whether the file holds it.

        Where the disk is full, records wait for ``finish``: it writes all of them anew.
        """
        if outcome.status is Status.SKIPPED:
            return True
        source = outcome.item.source_name
        record = (
            Record(source=source, verdict=Verdict.FAILED, error=outcome.error)
            if outcome.status is Status.FAILED
            else Record.from_mapping({"source": source} | dict(outcome.record))
        )
        return self._append(record)

    def remark(self, source: str, error: str) -> None:
        """Note with the verdict on a part why a later look at its file failed."""
        record = self._records[source]
        remark = f"later: {error.removeprefix(f'{source}: ')}"
        if record.remark != remark:
            self._append(replace(record, remark=remark))

    def close(self) -> None:
        """Let others write the records."""
        self._use.close()

    def _append(self, record: Record) -> bool:
        self._records[record.source] = record
        self.changes += 1
        if not self._is_open:
            return False
        try:
            with self._lines.open("a", encoding="utf-8") as file:
                file.write(as_jsonl([record]))
        except OSError:
            self._is_open = False  # a line after a truncated one would be lost, too
        return self._is_open

    def finish(
        self, items: Sequence[Item], detector: Detector, *, recent: int | None = None
    ) -> None:
        """Write tables, summary and page: records in the order of ``items``, pictures by score.

        Args:
            items: what was planned.
            detector: what inspected them.
            recent: how many of the latest parts are tested for drift; None for all.

        Raises:
            OutputError: one cannot be written.
        """
        planned = dict.fromkeys(item.source_name for item in items)
        names = [name for name in planned if name in self._records]
        names += [name for name in self._records if name not in planned]
        ordered = [self._records[name] for name in names]
        for path, text in (
            (self._lines, as_jsonl(ordered)),
            (self._table, parts_csv(ordered)),
            (self._regions, regions_csv(ordered)),
        ):
            # File names need not be valid UTF-8; records hold them exactly, escaped in ASCII.
            write_atomically(path, text.encode(errors="backslashreplace"), overwrite=True)
        self._is_open = True
        if can_write_parquet():
            write_atomically(self._parquet, as_parquet(ordered), overwrite=True)
        tested = ordered[-recent:] if recent else ordered
        drift = drift_of(tested, detector)
        told = {
            "unfamiliar": told_another_part(tested, detector.weights.name),
            "drift": drift.warning() if drift else "",
        }
        self.warnings = {kind: sentence for kind, sentence in told.items() if sentence}
        summary = {
            "model": detector.weights.name,
            "weights": detector.digest,
            "parts": self.inspected,
            "verdicts": {each: count for each in Verdict if (count := self.count(each))},
            "drift": drift.as_mapping() if drift else None,
            "warnings": [*self.warnings.values()],
        }
        write_atomically(self._summary, f"{json.dumps(summary)}\n".encode(), overwrite=True)
        page = page_of(
            Page(
                records=ordered,
                report=self._report,
                detector=detector,
                warnings=[*self.warnings.values()],
                facts=[("drift", drift.fact())] if drift else [],
            )
        )
        write_atomically(self._page, page, overwrite=True)
