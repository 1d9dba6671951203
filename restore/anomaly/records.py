"""The records of an inspection, as JSON lines."""

import itertools
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from restore.anomaly.alignment import Registration
from restore.anomaly.regions import Region
from restore.anomaly.runner import Detector, Inspection
from restore.anomaly.verdict import Verdict

__all__ = ["Record", "as_jsonl", "read_jsonl", "record_of"]

_FILES = ("map", "mask", "overlay", "reconstruction")
_DIGITS = 6
_LARGEST_COUNT = 2**53
_LONGEST_LINE = 1 << 20
"""Bytes; a record of a thousand regions has a tenth of it."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one picture.

    Attributes:
        source: Name of the picture as it was given.
        verdict: Verdict on the part; see ``Verdict``.
        reason: Reason in one phrase if the part is unfamiliar, else "".
        score: Highest score in the map.
        relative_score: Score over threshold; above 1 for a defect.
        threshold: Score above which a part is called defective.
        review_threshold: Score above which a part is to be reviewed; None without reviews.
        familiarity: Share of good parts expected to look at least as unusual; None if the weights
            do not say how good parts look.
        familiarity_limit: Familiarity below which a part is unfamiliar, or None.
        model: Name of the weights.
        weights: Digest of the weights, which distinguishes them from others of that name.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        regions: Regions above the threshold, highest first; at most a thousand.
        region_count: Number of all regions.
        largest_area: Area of the largest region in pixels, 0 if there is none.
        peak_at: Column and row of the highest score.
        min_area: Area in pixels below which regions do not count.
        small_regions: Number of regions above the threshold that are smaller.
        placed: Where the part lies in its picture, None if parts are not registered.
        files: Kind -> path below the report: map, mask, overlay, reconstruction.
        moved_to: Where the picture was moved after the inspection, or "".
        remark: What was found out about the picture after its verdict, or "".
        error: Reason in one sentence if the picture failed, else "".
    """

    source: str
    verdict: Verdict
    reason: str = ""
    score: float | None = None
    relative_score: float | None = None
    threshold: float | None = None
    review_threshold: float | None = None
    familiarity: float | None = None
    familiarity_limit: float | None = None
    model: str | None = None
    weights: str | None = None
    width: int = 0
    height: int = 0
    regions: tuple[Region, ...] = ()
    region_count: int = 0
    largest_area: int = 0
    peak_at: tuple[int, int] = (0, 0)
    min_area: int = 0
    small_regions: int = 0
    placed: Registration | None = None
    files: dict[str, str] = field(default_factory=dict)
    moved_to: str = ""
    remark: str = ""
    error: str = ""

    def was_made_by(self, detector: Detector) -> bool:
        """Return whether a verdict, if there is one, came from these weights and thresholds."""
        made_by = (
            self.model,
            self.weights,
            self.threshold,
            self.review_threshold,
            self.familiarity_limit,
        )
        asked = (
            detector.weights.name,
            detector.digest,
            _rounded(detector.threshold),
            _rounded(detector.review_threshold),
            _rounded(detector.familiarity_limit),
        )
        return bool(self.error) or made_by == asked

    def as_mapping(self) -> dict[str, object]:
        """Return plain values, the regions spelled out; what is not known is left out."""
        regions = [asdict(region) | {"peak": _rounded(region.peak)} for region in self.regions]
        values = {
            "source": self.source,
            "verdict": str(self.verdict),
            "reason": self.reason or None,
            "score": _rounded(self.score),
            "relative_score": _rounded(self.relative_score),
            "threshold": _rounded(self.threshold),
            "review_threshold": _rounded(self.review_threshold),
            "familiarity": _rounded(self.familiarity),
            "familiarity_limit": _rounded(self.familiarity_limit),
            "model": self.model,
            "weights": self.weights,
            "width": self.width or None,
            "height": self.height or None,
            "region_count": None if self.error else self.region_count,
            "largest_area": None if self.error else self.largest_area,
            "peak_at": None if self.error else list(self.peak_at),
            "min_area": self.min_area or None,
            "small_regions": self.small_regions or None,
            **(self.placed.as_mapping() if self.placed else {}),
            "regions": None if self.error else regions,
            **self.files,
            "moved_to": self.moved_to or None,
            "remark": self.remark or None,
            "error": self.error or None,
        }
        return {key: value for key, value in values.items() if value is not None}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Record":
        """Return the record that ``as_mapping`` described; other keys are left out.

        Raises:
            ValueError: the values are not a record; says why.
        """
        source = _text(values, "source")
        if values.get("verdict") == Verdict.FAILED:
            return cls(source=source, verdict=Verdict.FAILED, error=_text(values, "error"))
        score, threshold = _number(values, "score"), _number(values, "threshold")
        review, familiarity, limit = (
            _number(values, key) if key in values else None
            for key in ("review_threshold", "familiarity", "familiarity_limit")
        )
        verdict = _verdict(values)
        is_lost = values.get("registered") is False
        if not _may_be(verdict, score, threshold, review, familiarity, limit, is_lost=is_lost):
            raise ValueError("verdict does not follow from score and threshold")
        return cls(
            source=source,
            verdict=verdict,
            reason=_text(values, "reason") if verdict is Verdict.UNFAMILIAR else "",
            score=score,
            relative_score=_number(values, "relative_score") if threshold > 0 else None,
            threshold=threshold,
            review_threshold=review,
            familiarity=familiarity,
            familiarity_limit=limit,
            model=_text(values, "model"),
            weights=_text(values, "weights"),
            width=_count(values, "width"),
            height=_count(values, "height"),
            regions=_regions(values),
            region_count=_count(values, "region_count"),
            largest_area=_count(values, "largest_area"),
            peak_at=_place(values, "peak_at"),
            moved_to=_text(values, "moved_to") if "moved_to" in values else "",
            remark=_text(values, "remark") if "remark" in values else "",
            min_area=_count(values, "min_area") if "min_area" in values else 0,
            small_regions=_count(values, "small_regions") if "small_regions" in values else 0,
            placed=Registration.from_mapping(values) if "registered" in values else None,
            files={kind: _path(values, kind) for kind in _FILES},
        )


def _verdict(values: Mapping[str, Any]) -> Verdict:
    try:
        return Verdict(_text(values, "verdict"))
    except ValueError as error:
        raise ValueError("verdict is none of an inspection") from error


def _may_be(
    verdict: Verdict,
    score: float,
    threshold: float,
    review: float | None,
    familiarity: float | None,
    limit: float | None,
    *,
    is_lost: bool,
) -> bool:
    """Return whether a verdict follows from rounded figures: equal ones allow two of them.

    A part that is lost, which could not be registered, is unfamiliar.
    """
    if familiarity is None or limit is None:
        may_be_unfamiliar, may_be_familiar = False, True
    else:
        may_be_unfamiliar, may_be_familiar = familiarity <= limit, familiarity >= limit
    if is_lost:
        may_be_unfamiliar, may_be_familiar = True, False
    lower = threshold if review is None else review
    possible = {
        Verdict.GOOD: may_be_familiar and score <= lower,
        Verdict.REVIEW: may_be_familiar and review is not None and lower <= score <= threshold,
        Verdict.DEFECTIVE: may_be_familiar and score >= threshold,
        Verdict.UNFAMILIAR: may_be_unfamiliar,
    }
    return possible.get(verdict, False)


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"{key} is not a text")


def _number(values: Mapping[str, Any], key: str) -> float:
    value = values.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and value is not None and 0 <= value <= sys.float_info.max:
        return float(value)
    raise ValueError(f"{key} is not a number of 0 or more")


def _count(values: Mapping[str, Any], key: str) -> int:
    value = values.get(key)
    if type(value) is int and 0 <= value <= _LARGEST_COUNT:
        return value
    raise ValueError(f"{key} is not a count")


def _place(values: Mapping[str, Any], key: str) -> tuple[int, int]:
    place = values.get(key)
    if not isinstance(place, list) or len(place) != 2:
        raise ValueError(f"{key} is not a place")
    column, row = (_count({key: each}, key) for each in place)
    return column, row


def _regions(values: Mapping[str, Any]) -> tuple[Region, ...]:
    regions = values.get("regions")
    if not isinstance(regions, list) or not all(isinstance(one, dict) for one in regions):
        raise ValueError("regions are not a list of regions")
    counts = ("left", "top", "width", "height", "area")
    return tuple(
        Region(**{key: _count(one, key) for key in counts}, peak=_number(one, "peak"))
        for one in regions
    )


def _path(values: Mapping[str, Any], kind: str) -> str:
    """Return the path of a file of a kind, which lies in that kind's folder of the report."""
    text = _text(values, kind)
    folder, *below = text.split("/")
    names = [name for part in below for name in part.split(os.sep)]
    if folder != f"{kind}s" or not names or "\0" in text or {"", ".", ".."} & set(names):
        raise ValueError(f"{kind} is not a file in the folder {kind}s of the report")
    return text


def record_of(
    source: str, inspection: Inspection, detector: Detector, files: dict[str, str]
) -> Record:
    """Return the record of a picture that was inspected by ``detector``."""
    height, width = inspection.scores.shape
    return Record(
        source=source,
        verdict=inspection.verdict,
        reason=inspection.reason,
        score=inspection.score,
        relative_score=inspection.relative_score,
        threshold=inspection.threshold,
        review_threshold=inspection.review_threshold,
        familiarity=inspection.familiarity,
        familiarity_limit=inspection.familiarity_limit,
        model=detector.weights.name,
        weights=detector.digest,
        width=width,
        height=height,
        regions=inspection.regions,
        region_count=inspection.region_count,
        largest_area=inspection.largest_area,
        peak_at=inspection.peak_at,
        min_area=inspection.min_area,
        small_regions=inspection.small_regions,
        placed=inspection.placed,
        files=files,
    )


def as_jsonl(records: Iterable[Record]) -> str:
    """Return one JSON object per line."""
    return "".join(json.dumps(record.as_mapping()) + "\n" for record in records)


def read_jsonl(path: Path) -> list[Record]:
    """Return the records of an earlier run; a last line that a killed run cut short is left out.

    Raises:
        ValueError: the file holds something else; says what.
        OSError: it cannot be read.
    """
    records: list[Record] = []
    with path.open("rb") as file:
        for number in itertools.count(1):
            line = file.readline(_LONGEST_LINE)
            if not line:
                return records
            try:
                records.append(_record_in(line))
            except ValueError as error:
                if line.endswith(b"\n") or len(line) == _LONGEST_LINE:
                    raise ValueError(f"line {number}: {error}") from error
    return records


def _record_in(line: bytes) -> Record:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return Record.from_mapping(values)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
