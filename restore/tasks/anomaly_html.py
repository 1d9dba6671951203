"""One page that shows an inspection: no script, no other file needed, light and dark."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from restore.tasks.anomaly import Detector
from restore.tasks.anomaly_files import thumbnail_of
from restore.tasks.anomaly_histogram import histogram
from restore.tasks.anomaly_records import Record

__all__ = ["Page", "page_of"]

_MOST_SHOWN = 200
_STYLE = (Path(__file__).with_name("anomaly_report.css")).read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page is made of.

    Attributes:
        records: all pictures.
        report: folder that the page will lie in.
        detector: what inspected them.
    """

    records: Sequence[Record]
    report: Path
    detector: Detector


def page_of(page: Page) -> str:
    """Return the page as HTML."""
    scored = sorted(
        (record for record in page.records if record.score is not None),
        key=lambda record: (-(record.score or 0), record.source),
    )
    failed = [record for record in page.records if record.error]
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        "<title>Inspection</title>",
        f"<style>\n{_STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        _head(page, scored, failed),
        _failures(failed),
        _gallery(page, scored),
        _table(scored),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _head(page: Page, scored: Sequence[Record], failed: Sequence[Record]) -> str:
    defective = sum(record.verdict == "defective" for record in scored)
    figures = [("parts", len(scored)), ("defective", defective), ("good", len(scored) - defective)]
    figures += [("failed", len(failed))] if failed else []
    tiles = "".join(
        f'<div class="figure {name}"><b>{value}</b><span>{name}</span></div>'
        for name, value in figures
    )
    scores = [record.score for record in scored if record.score is not None]
    drawn = histogram(scores, page.detector.threshold) if scores else ""
    return (
        f"<header><h1>Inspection</h1><p>{_origin(page.detector)}</p></header>\n"
        f'<section class="figures">{tiles}</section>\n{drawn}'
    )


def _origin(detector: Detector) -> str:
    """Say which network, and where its threshold comes from."""
    name = escape(detector.weights.name)
    model = f"Model <b>{name}</b>, threshold <b>{detector.threshold:.4g}</b>"
    calibration = detector.calibration
    if calibration is None or detector.fpr is None:
        return f"{model}, given by hand."
    caution = f" {escape(detector.shortfall)}." if detector.shortfall else ""
    return (
        f"{model}: made for {100 * detector.fpr:g}&nbsp;% false alarms among good parts, from the "
        f"scores of {len(calibration.scores)} good parts that were kept out of training.{caution}"
    )


def _failures(failed: Sequence[Record]) -> str:
    if not failed:
        return ""
    lines = "".join(f"<li>{escape(record.error)}</li>" for record in failed)
    return f'<section class="failures"><h2>Not inspected</h2><ul>{lines}</ul></section>'


def _gallery(page: Page, scored: Sequence[Record]) -> str:
    cards = "\n".join(_card(page, record) for record in scored[:_MOST_SHOWN])
    more = len(scored) - _MOST_SHOWN
    note = f"<p>The {more} lowest are in the table only.</p>" if more > 0 else ""
    return (
        "<section><h2>Highest scores first</h2>"
        "<p>Each: the part, where it is suspicious, and the part as the network would have it. "
        f"Defects are outlined in red.</p>{note}\n"
        f'<div class="gallery">\n{cards}\n</div></section>'
    )


def _card(page: Page, record: Record) -> str:
    name = escape(record.source)
    regions = record.region_count
    places = f", {regions} place{'s' if regions > 1 else ''}" if regions else ""
    picture = _embedded(thumbnail_of(record, page.report))
    image = f'<img src="{picture}" alt="{name}: part, overlay, reconstruction" loading="lazy">'
    return (
        f'<figure class="{record.verdict}">{_linked(image, record.files.get("overlay"))}'
        f"<figcaption><b>{_relative(record)}</b> {record.verdict}{places}<br>"
        f"<small>{name}</small></figcaption></figure>"
    )


def _table(scored: Sequence[Record]) -> str:
    rows = "\n".join(
        f'<tr class="{record.verdict}"><td>{escape(record.source)}</td><td>{record.verdict}</td>'
        f"<td>{record.score:.4g}</td><td>{_relative(record)}</td><td>{record.region_count}</td>"
        f"<td>{record.largest_area}</td><td>{_files(record)}</td></tr>"
        for record in scored
    )
    return (
        "<section><h2>All parts</h2>"
        '<div class="wide"><table><thead><tr><th>part</th><th>verdict</th><th>score</th>'
        "<th>relative</th><th>places</th><th>largest, px</th><th>files</th></tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table></div></section>"
    )


def _files(record: Record) -> str:
    return " ".join(_linked(kind, path) for kind, path in record.files.items())


def _relative(record: Record) -> str:
    if record.relative_score is None:
        return f"{record.score:.3g}"
    return f"{record.relative_score:.2f} &times;"


def _linked(inner: str, path: str | None) -> str:
    return f'<a href="{quote(os.fsencode(path))}">{inner}</a>' if path else inner


def _embedded(path: Path | None) -> str:
    try:
        data = path.read_bytes() if path else b""
    except OSError:
        data = b""
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
