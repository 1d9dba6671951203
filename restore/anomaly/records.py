"""The records of an inspection, as JSON lines and as CSV."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from restore.anomaly.runner import Detector, Inspection, Region

__all__ = ["Record", "as_csv", "as_jsonl", "is_jsonl", "read_jsonl", "record_of"]

_COLUMNS = (
    "source", "verdict", "score", "relative_score", "threshold", "model", "width", "height",
    "regions", "largest_area", "boxes", "map", "mask", "overlay", "reconstruction", "error",
)  # fmt: skip
_FILES = ("map", "mask", "overlay", "reconstruction")
_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one picture.

    Attributes:
        source: Name of the picture as it was given.
        verdict: Verdict: good, defective, or failed.
        score: Highest score in the map.
        relative_score: Score over threshold; above 1 for a defect.
        threshold: Score above which a part is called defective.
        model: Name of the weights.
        weights: Digest of the weights, which distinguishes them from others of that name.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        regions: Regions above the threshold, highest first; at most a thousand.
        region_count: Number of all regions.
        largest_area: Area of the largest region in pixels, 0 if there is none.
        files: Kind -> path below the report: map, mask, overlay, reconstruction.
        error: Reason in one sentence if the picture failed, else "".
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
            KeyError, TypeError: the values are not a record.
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
