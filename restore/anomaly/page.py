"""The report page of an inspection: one file that works without others, for any number of parts.

Every part is in the page's list. Pictures of the parts that matter most are embedded, up to a
bound that keeps the page small enough for a mail; of the others it shows those in the report's
folder, where it lies there.
"""

import base64
import hashlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from restore.anomaly.files import thumbnail_of
from restore.anomaly.histogram import histogram
from restore.anomaly.records import Record
from restore.anomaly.runner import Detector
from restore.anomaly.sheet import tiles_of
from restore.anomaly.verdict import Verdict
from restore.batch.inputs import STANDARD_STREAM
from restore.errors import one_line
from restore.pages.environment import page_environment

__all__ = ["Page", "page_of"]

_MOST_EMBEDDED = 12_000_000
"""Bytes of embedded pictures as text: with 10,000 parts the page has 15 MB, and a mail 20."""
_LARGEST_SHEET = 1 << 20
_NEAR = 1.25
"""A part is near the threshold if its score differs from it by at most this factor."""
_MOST_BOXES = 24
_NOT_GOOD = (Verdict.DEFECTIVE, Verdict.UNFAMILIAR, Verdict.REVIEW)
_PARTS, _EPOCH = "<!-- parts -->", "SOURCE_DATE_EPOCH"


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a report page.

    Attributes:
        records: Records of all pictures.
        report: Folder that the page will lie in.
        detector: The detector that inspected them.
        warnings: What a person must know about the run or the detector, a sentence each.
        facts: More lines of its head: term and value.
    """

    records: Sequence[Record]
    report: Path
    detector: Detector
    warnings: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()


def page_of(page: Page) -> Iterator[bytes]:
    """Yield the page as HTML, made from ``report.html``, ``report.css`` and ``report.js``.

    The date is that of now, or of the environment variable SOURCE_DATE_EPOCH.
    """
    counts = Counter(record.verdict for record in page.records)
    scored = [record for record in page.records if record.score is not None]
    scores = [record.score for record in scored if record.score is not None]
    detector, embedded = page.detector, _embedded(page)
    review = detector.review_threshold
    verdicts = (*_NOT_GOOD, Verdict.GOOD, Verdict.FAILED)
    shown = [("parts", len(scored)), *((each, counts[each]) for each in verdicts if counts[each])]
    html = (
        page_environment(Path(__file__).parent)
        .get_template("report.html")
        .render(
            counts=shown,
            facts=[*_facts(page), *page.facts],
            warnings=_warnings(page),
            histogram=Markup(histogram(scores, detector.threshold, review)) if scores else "",
            not_good=[record for record in _by_score(scored) if record.verdict in _NOT_GOOD],
            failed=[record.error for record in page.records if record.error],
            left_out=len(scored) - len(embedded),
            near=_NEAR,
            threshold=detector.threshold,
            storage=_storage(detector),
            parts=Markup(_PARTS),
        )
    )
    head, tail = html.split(_PARTS)
    yield _encoded(head)
    for number, record in enumerate(page.records):
        yield _encoded(("," if number else "") + _row(record, page.report))
        if record.source in embedded:
            yield b',"sheet":"' + base64.b64encode(_sheet(record, page.report)) + b'"'
        yield b"}\n"
    yield _encoded(tail)


def _row(record: Record, report: Path) -> str:
    """Return a part as JSON without its end: what follows may be its sheet."""
    row: dict[str, object] = {
        "name": record.source,
        "verdict": str(record.verdict),
        "score": record.score,
        "relative": record.relative_score,
        "size": [record.width, record.height],
        "places": record.region_count,
        "area": record.largest_area,
        "peak": record.peak_at,
        "boxes": [
            [box.left, box.top, box.width, box.height] for box in record.regions[:_MOST_BOXES]
        ],
        "familiarity": record.familiarity,
        "note": record.error or "; ".join(filter(None, (record.reason, record.remark))),
        "original": _original(record, report),
        "moved": record.moved_to,
    }
    if record.score is not None:
        tiles = tiles_of(record.width, record.height, record.regions, record.peak_at)
        row["tiles"] = [
            [t.left, t.top, t.width, t.height, t.row, t.shown_width, t.shown_height] for t in tiles
        ]
        row["files"] = {kind: _address(path) for kind, path in record.files.items()}
    told = {key: value for key, value in row.items() if value not in (None, "", 0, [], ())}
    # A "<" could end the script that the rows lie in.
    return json.dumps(told, separators=(",", ":")).replace("<", "\\u003c")[:-1]


def _address(path: str) -> str:
    """Return a relative URL; a name may be bytes that are no UTF-8."""
    return quote(os.fsencode(path))


def _original(record: Record, report: Path) -> str:
    """Return the URL of the picture itself from the page, or "" if it has none."""
    name = record.moved_to or record.source
    if name == STANDARD_STREAM:
        return ""
    try:
        return _address(Path(os.path.relpath(name, report)).as_posix())
    except ValueError:  # on another drive
        return ""


def _by_score(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (-(record.score or 0), record.source))


def _embedded(page: Page) -> set[str]:
    """Return the names of the parts whose pictures are embedded.

    First those that are not good, then those near the threshold, then by descending score.
    """

    def rank(record: Record) -> tuple[int, float]:
        if record.verdict in _NOT_GOOD:
            return 0, -(record.score or 0)
        distance = abs(math.log(record.relative_score)) if record.relative_score else math.inf
        return (1, distance) if distance <= math.log(_NEAR) else (2, -(record.score or 0))

    chosen, room = set(), _MOST_EMBEDDED
    for record in sorted((each for each in page.records if each.score is not None), key=rank):
        size = 4 * _sheet_size(record, page.report) // 3
        if size > room:
            break
        if size:
            chosen.add(record.source)
            room -= size
    return chosen


def _sheet_size(record: Record, report: Path) -> int:
    path = thumbnail_of(record, report)
    try:
        return min(path.stat().st_size, _LARGEST_SHEET) if path else 0
    except OSError:
        return 0


def _sheet(record: Record, report: Path) -> bytes:
    path = thumbnail_of(record, report)
    return _webp_inside(path, report) if path else b""


def _webp_inside(path: Path, report: Path) -> bytes:
    """Return a sheet; nothing if a link leads out of the report, or if it is something else."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(report.resolve()) or not real.is_file():
            return b""
        with real.open("rb") as file:
            data = file.read(_LARGEST_SHEET)
    except OSError:
        return b""
    return data if data.startswith(b"RIFF") and data[8:12] == b"WEBP" else b""


def _storage(detector: Detector) -> str:
    """Return the name under which a browser keeps the operator's verdicts on these parts."""
    made_by = f"{detector.digest} {detector.threshold!r}"
    return f"imrestore-{hashlib.sha256(made_by.encode()).hexdigest()[:16]}"


def _warnings(page: Page) -> list[str]:
    detector = page.detector
    sentences = [detector.shortfall, *detector.departures]
    if detector.familiarity_limit is None:
        sentences.append(
            "parts that are unlike all good ones, as a black picture is, are not noticed"
        )
    own = [f"{text[0].upper()}{text[1:]}." for text in sentences if text]
    return [*own, *page.warnings]


def _facts(page: Page) -> Iterator[tuple[str, str]]:
    """Yield what identifies the run: when, with what, on what."""
    detector = page.detector
    provenance: Mapping[str, object] = detector.weights.provenance
    yield "inspected", _date()
    yield "with", f"imrestore {version('imrestore')}"
    yield "parts from", _folders(page.records)
    yield "weights", f"{detector.weights.name}, {detector.digest}"
    yield "network", f"{detector.weights.architecture}, trained {_training(provenance)}"
    yield "threshold", _threshold(detector)


def _date() -> str:
    given = os.environ.get(_EPOCH, "")
    if given.isascii() and given.isdigit() and len(given) < 12:
        return f"{datetime.fromtimestamp(int(given), UTC):%Y-%m-%d %H:%M} UTC"
    return f"{datetime.now().astimezone():%Y-%m-%d %H:%M} {time.strftime('%Z')}"


def _folders(records: Sequence[Record]) -> str:
    """Return the folders of the parts, as they were given."""
    if not records:
        return "nowhere"
    folders = Counter(os.path.dirname(record.source) or os.curdir for record in records)
    try:
        common = os.path.commonpath(list(folders))
    except ValueError:  # absolute and relative ones
        common = ""
    names = [common or os.curdir] if common or len(folders) > 3 else list(folders)
    resolved = [Path(name).resolve().name if name == os.curdir else name for name in names]
    return one_line(", ".join(resolved))


def _training(provenance: Mapping[str, object]) -> str:
    data, steps = provenance.get("data"), provenance.get("steps")
    told = []
    if isinstance(data, Mapping):
        told.append(f"on {data.get('pictures')} good parts of {data.get('folder')!r}")
    if isinstance(steps, int):
        told.append(f"for {steps:,} steps")
    return one_line(" ".join(told)) or "elsewhere"


def _threshold(detector: Detector) -> str:
    text = f"{detector.threshold:.4g}"
    if detector.calibration is None or detector.fpr is None:
        return f"{text}, given by hand"
    count = len(detector.calibration.scores)
    return (
        f"{text}, for {100 * detector.fpr:g} % false alarms among good parts, from {count} that "
        "were kept out of training"
    )


def _encoded(text: str) -> bytes:
    # File names need not be valid UTF-8; records hold them exactly, escaped in ASCII.
    return text.encode(errors="backslashreplace")
