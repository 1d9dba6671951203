"""One page that shows an inspection: no script, no other file needed, light and dark."""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from restore.anomaly.files import thumbnail_of
from restore.anomaly.records import Record
from restore.anomaly.runner import Detector

__all__ = ["Page", "histogram", "page_of"]

_MOST_SHOWN = 200
_STYLE = (Path(__file__).with_name("report.css")).read_text(encoding="utf-8")


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


_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 200, 40, 30, 14
_LABEL = 70
"""Room that the word beside the line takes."""
_BINS = 48
_TICKS = 5


def histogram(scores: Sequence[float], threshold: float) -> str:
    """Return how many parts have which score: bars, and a line at the threshold.

    The axis ends where the highest score is, or the threshold.

    Args:
        scores: at least one, not negative.
        threshold: above which bars are those of defective parts.
    """
    # A bin ends at the threshold, so that no bar holds parts of both verdicts.
    top = max(max(scores), threshold, 1e-6) * 1.02
    below = max(1, min(_BINS - 1, round(_BINS * threshold / top))) if threshold > 0 else 0
    edges = np.concatenate(
        [
            np.linspace(0, threshold, below + 1)[:-1],
            np.linspace(threshold, top, _BINS - below + 1),
        ]
    )
    # Scores equal to the threshold are good, and belong to the bin below it.
    places = np.clip(np.searchsorted(edges, np.asarray(scores), side="left") - 1, 0, _BINS - 1)
    counts = np.bincount(places, minlength=_BINS)
    most = int(counts.max())

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 10) * value / top

    def y(count: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * count / most

    bars = "".join(
        f'<rect class="{"defective" if index >= below else "good"}" x="{x(left) + 0.5:.1f}" '
        f'y="{y(count):.1f}" width="{max(0.5, x(right) - x(left) - 1):.1f}" '
        f'height="{_HEIGHT - _BOTTOM - y(count):.1f}">'
        f"<title>{count} with scores from {left:.3g} to {right:.3g}</title></rect>"
        for index, (left, right, count) in enumerate(
            zip(edges[:-1], edges[1:], counts, strict=True)
        )
        if count
    )
    base = _HEIGHT - _BOTTOM
    fits = x(threshold) + _LABEL < _WIDTH
    anchor, shift = ("start", 4) if fits else ("end", -4)
    ticks = "".join(
        f'<text x="{x(value):.1f}" y="{base + 16}" text-anchor="middle">{value:.3g}</text>'
        for value in np.linspace(0, top / 1.02, _TICKS)
    )
    return (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Histogram of the scores of {len(scores)} parts">'
        f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - 10}" y2="{base}"/>'
        f"{bars}"
        f'<text x="{_LEFT - 6}" y="{y(most) + 4:.1f}" text-anchor="end">{most}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end">0</text>{ticks}'
        f'<line class="threshold" x1="{x(threshold):.1f}" y1="{_TOP - 10}" '
        f'x2="{x(threshold):.1f}" y2="{base}"/>'
        f'<text class="threshold" x="{x(threshold) + shift:.1f}" y="{_TOP - 2}" '
        f'text-anchor="{anchor}">threshold</text>'
        "</svg>"
    )
