"""What an inspection found: its records, tables and page, kept up to date while it runs."""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from restore.anomaly.files import report_stem
from restore.anomaly.page import Page, page_of
from restore.anomaly.runner import Detector, Inspection, Region
from restore.batch.plan import Existing, Item, Shard
from restore.batch.stream import Outcome, Status
from restore.errors import UsageError
from restore.files import write_atomically

__all__ = ["Record", "Results", "as_csv", "as_jsonl", "is_jsonl", "read_jsonl", "record_of"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What became of one picture.

    Attributes:
        source: the picture, as it was named.
        verdict: good, defective, or failed.
        score: the highest score in its map.
        relative_score: score over threshold; above 1 for a defect.
        threshold: above which a part is called defective.
        model: name of the weights.
        weights: their digest, which tells them from others of that name.
        width: of the picture in pixels.
        height: of the picture in pixels.
        regions: the places above the threshold, the highest first; no more than a thousand.
        region_count: how many there are.
        largest_area: pixels of the largest of all, 0 if there is none.
        files: kind -> name below the report: map, mask, overlay, reconstruction.
        error: one sentence, where it failed.
    """

    source: str
    verdict: str
    score: float | None = None
    relative_score: float | None = None
    threshold: float | None = None
    model: str | None = None
    weights: str | None = None
    width: int = 0
    height: int = 0
    regions: tuple[Region, ...] = ()
    region_count: int = 0
    largest_area: int = 0
    files: dict[str, str] = field(default_factory=dict)
    error: str = ""

    def was_made_by(self, detector: Detector) -> bool:
        """Return whether a verdict, if there is one, came from these weights and threshold."""
        made_by = (self.model, self.weights, self.threshold)
        asked = (detector.weights.name, detector.digest, _rounded(detector.threshold))
        return bool(self.error) or made_by == asked

    def as_mapping(self) -> dict[str, object]:
        """Return plain values, the regions spelled out; what is not known is left out."""
        regions = [asdict(region) | {"peak": _rounded(region.peak)} for region in self.regions]
        values = {
            "source": self.source,
            "verdict": self.verdict,
            "score": _rounded(self.score),
            "relative_score": _rounded(self.relative_score),
            "threshold": _rounded(self.threshold),
            "model": self.model,
            "weights": self.weights,
            "width": self.width or None,
            "height": self.height or None,
            "region_count": None if self.error else self.region_count,
            "largest_area": None if self.error else self.largest_area,
            "regions": None if self.error else regions,
            **self.files,
            "error": self.error or None,
        }
        return {key: value for key, value in values.items() if value is not None}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Record":
        """Return the record that ``as_mapping`` described; other keys are left out.

        Raises:
            KeyError, TypeError: it is none.
        """
        plain = {
            each.name: values[each.name]
            for each in fields(cls)
            if each.name in values and each.name not in ("regions", "files")
        }
        return cls(
            **plain,
            regions=tuple(Region(**region) for region in values.get("regions", ())),
            files={kind: str(values[kind]) for kind in _FILES if kind in values},
        )


class Results:
    """Records of an inspection, in ``results.jsonl`` from the moment they are known.

    Args:
        report: folder of the report, which exists when the first record comes.
        shard: the part of the work, if it is one.
    """

    def __init__(self, report: Path, shard: Shard | None = None) -> None:
        self._report = report
        self._lines = report / f"{report_stem('results', shard)}.jsonl"
        self._table = self._lines.with_suffix(".csv")
        self._page = report / f"{report_stem('report', shard)}.html"
        self._records: dict[str, Record] = {}
        self._is_open = True

    def refuse_to_replace(self, existing: Existing) -> None:
        """Find out whether the files may be written.

        Args:
            existing: what to do where they are there already. To be added to, they must be those
                of an earlier run.

        Raises:
            UsageError: they may not.
        """
        there = [path for path in (self._lines, self._table, self._page) if os.path.lexists(path)]
        for path in there:
            if path.is_dir():
                raise UsageError(f"{path}: is a folder; a file of the report cannot take its place")
        if there and existing is Existing.REFUSE:
            raise UsageError(
                f"{there[0]}: exists already; --overwrite replaces the report, --skip-existing "
                "adds what is missing"
            )
        if there and existing is Existing.SKIP and not is_jsonl(self._lines):
            raise UsageError(
                f"{there[0]}: exists already, and {self._lines.name} has no records of an "
                "inspection to go on with; use --overwrite or another folder"
            )

    @property
    def page(self) -> Path:
        """The page to look at."""
        return self._page

    @property
    def defective(self) -> int:
        """How many parts were found defective, those of earlier runs included."""
        return sum(record.verdict == "defective" for record in self._records.values())

    @property
    def inspected(self) -> int:
        """How many parts have a verdict, those of earlier runs included."""
        return sum(not record.error for record in self._records.values())

    def recorded(self) -> list[Record]:
        """Return what earlier runs recorded."""
        return read_jsonl(self._lines)

    def begin(self, kept: Iterable[Record] = ()) -> None:
        """Start the files anew, with what is kept of earlier runs.

        Raises:
            OutputError: they cannot be written.
        """
        self._records = {record.source: record for record in kept}
        write_atomically(self._lines, as_jsonl(self._records.values()).encode(), overwrite=True)

    def add(self, outcome: Outcome) -> None:
        """Record what became of a picture.

        Where the disk is full, records wait for ``finish``: it writes all of them anew.
        """
        if outcome.status is Status.SKIPPED:
            return
        source = outcome.item.source_name
        record = (
            Record(source=source, verdict="failed", error=outcome.error)
            if outcome.status is Status.FAILED
            else Record.from_mapping({"source": source} | dict(outcome.record))
        )
        self._records[source] = record
        if not self._is_open:
            return
        try:
            with self._lines.open("a", encoding="utf-8") as file:
                file.write(as_jsonl([record]))
        except OSError:
            self._is_open = False  # a line behind one that was cut short would be lost too

    def finish(self, items: Sequence[Item], detector: Detector) -> None:
        """Write tables and page: records in the order of ``items``, pictures by score.

        Raises:
            OutputError: one cannot be written.
        """
        planned = dict.fromkeys(item.source_name for item in items)
        names = [name for name in planned if name in self._records]
        names += [name for name in self._records if name not in planned]
        ordered = [self._records[name] for name in names]
        page = page_of(Page(records=ordered, report=self._report, detector=detector))
        for path, text in (
            (self._lines, as_jsonl(ordered)),
            (self._table, as_csv(ordered)),
            (self._page, page),
        ):
            # A file name may be bytes that are no UTF-8; records tell them exactly, in ASCII.
            write_atomically(path, text.encode(errors="backslashreplace"), overwrite=True)


_COLUMNS = (
    "source", "verdict", "score", "relative_score", "threshold", "model", "width", "height",
    "regions", "largest_area", "boxes", "map", "mask", "overlay", "reconstruction", "error",
)  # fmt: skip
_FILES = ("map", "mask", "overlay", "reconstruction")
_DIGITS = 6


def record_of(
    source: str, inspection: Inspection, detector: Detector, files: dict[str, str]
) -> Record:
    """Return the record of a picture that was inspected by ``detector``."""
    height, width = inspection.scores.shape
    return Record(
        source=source,
        verdict="defective" if inspection.is_defective else "good",
        score=inspection.score,
        relative_score=inspection.relative_score,
        threshold=inspection.threshold,
        model=detector.weights.name,
        weights=detector.digest,
        width=width,
        height=height,
        regions=inspection.regions,
        region_count=inspection.region_count,
        largest_area=inspection.largest_area,
        files=files,
    )


def as_jsonl(records: Iterable[Record]) -> str:
    """Return one JSON object per line."""
    return "".join(json.dumps(record.as_mapping()) + "\n" for record in records)


def as_csv(records: Iterable[Record]) -> str:
    """Return a table with a line per picture.

    The column regions counts them, and boxes holds them as JSON. What is not known is left empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in records:
        values = record.as_mapping()
        if not record.error:
            values["boxes"] = json.dumps(values["regions"])
            values["regions"] = values["region_count"]
        writer.writerow(values)
    return text.getvalue()


def read_jsonl(path: Path) -> list[Record]:
    """Return the records of an earlier run; a line that a killed run cut short is left out."""
    return [record for _, record in _lines_of(path) if record]


def is_jsonl(path: Path) -> bool:
    """Return whether ``path`` is what an inspection wrote: records, the last one maybe cut."""
    return path.is_file() and all(
        record or not line.endswith(b"\n") for line, record in _lines_of(path)
    )


def _lines_of(path: Path) -> list[tuple[bytes, Record | None]]:
    """Return the lines of a file, each with its end, and the records that they are."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        return []
    return [(line, _record_in(line)) for line in lines]


def _record_in(line: bytes) -> Record | None:
    try:
        return Record.from_mapping(json.loads(line))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
