"""The report page of an inspection: self-contained, without scripts, in light and dark."""

import base64
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from restore.anomaly.files import thumbnail_of
from restore.anomaly.records import Record
from restore.anomaly.runner import Detector
from restore.anomaly.verdict import Verdict
from restore.pages.environment import page_environment

__all__ = ["Page", "histogram", "page_of"]

_MOST_SHOWN = 200
_LARGEST_THUMBNAIL = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a report page.

    Attributes:
        records: Records of all pictures.
        report: Folder that the page will lie in.
        detector: The detector that inspected them.
    """

    records: Sequence[Record]
    report: Path
    detector: Detector


def page_of(page: Page) -> str:
    """Return the page as HTML, made from ``report.html`` and ``report.css``."""
    scored = sorted(
        (record for record in page.records if record.score is not None),
        key=lambda record: (-(record.score or 0), record.source),
    )
    failed = [record for record in page.records if record.error]
    scores = [record.score for record in scored if record.score is not None]
    verdicts = Counter(record.verdict for record in scored)
    counts = [("parts", len(scored)), ("defective", verdicts[Verdict.DEFECTIVE])]
    rare = (Verdict.UNFAMILIAR, Verdict.REVIEW)
    counts += [(verdict, verdicts[verdict]) for verdict in rare if verdicts[verdict]]
    counts.append(("good", verdicts[Verdict.GOOD]))
    environment = page_environment(Path(__file__).parent)
    # A file name may be bytes that are no UTF-8, which Jinja's own urlencode refuses.
    environment.filters["address"] = lambda path: quote(os.fsencode(path))
    environment.filters["thumbnail"] = partial(_thumbnail, report=page.report)
    return environment.get_template("report.html").render(
        detector=page.detector,
        counts=[*counts, ("failed", len(failed))] if failed else counts,
        histogram=Markup(histogram(scores, page.detector.threshold)) if scores else "",
        failed=failed,
        scored=scored,
        most_shown=_MOST_SHOWN,
    )


def _thumbnail(record: Record, report: Path) -> str:
    path = thumbnail_of(record, report)
    data = _jpeg_inside(path, report) if path else b""
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _jpeg_inside(path: Path, report: Path) -> bytes:
    """Return a thumbnail; nothing if a link leads out of the report, or if it is something else."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(report.resolve()) or not real.is_file():
            return b""
        with real.open("rb") as file:
            data = file.read(_LARGEST_THUMBNAIL)
    except OSError:
        return b""
    return data if data.startswith(b"\xff\xd8\xff") else b""


_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 720, 200, 40, 10, 30, 14
_LABEL = 70
"""Width in pixels of the label beside the threshold."""
_BINS = 48
_TICKS = 5
_GOOD, _BAD, _FAINT, _LINE, _TEXT = (f"#00000{digit}" for digit in range(1, 6))
_COLORS = {_GOOD: "good", _BAD: "bad", _FAINT: "faint", _LINE: "line", _TEXT: "text"}
"""Placeholder colours for Matplotlib, and the page's CSS variables that replace them."""


def histogram(scores: Sequence[float], threshold: float) -> str:
    """Return an SVG histogram of the scores, with a line at the threshold.

    The axis ends just above the highest score, or the threshold if that is higher.

    Args:
        scores: At least one, none negative.
        threshold: Score above which bars are those of defective parts.
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
    drawn = _drawn(edges, counts, threshold, below)
    for color, name in _COLORS.items():
        drawn = drawn.replace(color, f"var(--{name})")

    def titled(bar: re.Match[str]) -> str:
        index = int(bar[1])
        kind = "defective" if index >= below else "good"
        scores_from = f"with scores from {edges[index]:.3g} to {edges[index + 1]:.3g}"
        return f'<g class="{kind}"><title>{counts[index]} {scores_from}</title>'

    head = (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Histogram of the scores of {len(scores)} parts">'
    )
    body = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    return head + re.sub(r'<g id="bar-(\d+)">', titled, body)


def _drawn(
    edges: NDArray[np.float64], counts: NDArray[np.intp], threshold: float, below: int
) -> str:
    """Draw bars with the ids ``bar-INDEX``; those from the index ``below`` on are defective."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    top, most = float(edges[-1]), int(counts.max())
    # Matplotlib's SVG has 72 units to the inch; here they are pixels.
    figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - _TOP / 2
    axes = figure.add_axes(
        (_LEFT / _WIDTH, _BOTTOM / _HEIGHT, width / _WIDTH, height / _HEIGHT),
        xlim=(0, top),
        ylim=(0, most * height / (height - _TOP / 2)),
    )
    pixel = top / width
    filled = np.flatnonzero(counts)
    bars = axes.bar(
        edges[filled] + pixel / 2,
        counts[filled],
        np.maximum(np.diff(edges)[filled] - pixel, pixel / 2),
        align="edge",
        color=[_BAD if index >= below else _GOOD for index in filled],
        clip_on=False,
    )
    for index, bar in zip(filled, bars, strict=True):
        bar.set_gid(f"bar-{index}")
    axes.axvline(threshold, linestyle=(0, (4, 3)), linewidth=1, color=_TEXT, clip_on=False)
    fits = threshold / pixel + _LABEL < width + _RIGHT
    axes.annotate(
        "threshold",
        (threshold, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(4 if fits else -4, 0),
        textcoords="offset points",
        horizontalalignment="left" if fits else "right",
        verticalalignment="center",
        color=_TEXT,
        fontsize=12,
        gid="threshold",
    )
    ticks = np.linspace(0, top / 1.02, _TICKS)
    axes.set_xticks(ticks, [f"{value:.3g}" for value in ticks])
    axes.set_yticks([0, most])
    axes.tick_params(length=0, pad=6, labelsize=12, labelcolor=_FAINT)
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.spines["bottom"].set(color=_LINE, linewidth=1)
    written = StringIO()
    # Text stays text, and neither ids nor metadata differ from run to run.
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "histogram", "font.sans-serif": ["DejaVu Sans"]}
    ):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    return written.getvalue()
