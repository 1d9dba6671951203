"""The histogram of the scores of an inspection, as SVG in the colours of the page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["histogram"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM, _TOP = 720, 200, 52, 14, 30, 14
_LABEL = 70
"""Width in pixels of the label beside a threshold."""
_BINS = 48
_TICKS = 5
_MOST_TIMES = 5
"""The axis ends at this many times the threshold; higher scores are in the last bar."""
_LOWEST = 0.7
"""Where the axis of counts begins, so that a bar of one part is seen."""
_GOOD, _REVIEW, _BAD, _FAINT, _LINE, _TEXT = (f"#00000{digit}" for digit in range(1, 7))
_COLORS = {
    _GOOD: "good", _REVIEW: "review", _BAD: "bad", _FAINT: "faint", _LINE: "line", _TEXT: "text",
}  # fmt: skip
"""Placeholder colours for Matplotlib, and the page's CSS variables that replace them."""


@dataclass(frozen=True)
class _Bars:
    """Counts between edges, and at which edges the verdicts change."""

    edges: NDArray[np.float64]
    counts: NDArray[np.intp]
    review: int
    defective: int
    is_open: bool

    def kind(self, index: int) -> str:
        """Return the verdict that a bar stands for."""
        if index >= self.defective:
            return "defective"
        return "review" if index >= self.review else "good"

    def title(self, index: int) -> str:
        """Return what a bar counts."""
        first, last = self.edges[index], self.edges[index + 1]
        if self.is_open and index == len(self.counts) - 1:
            return f"{self.counts[index]} with scores above {first:.3g}"
        return f"{self.counts[index]} with scores from {first:.3g} to {last:.3g}"


def histogram(scores: Sequence[float], threshold: float, review: float | None = None) -> str:
    """Return an SVG histogram of the scores, with lines at the thresholds and logarithmic counts.

    The axis ends just above the highest score, or the threshold if that is higher, but at five
    times the threshold: the last bar then holds all that are higher.

    Args:
        scores: At least one, none negative.
        threshold: Score above which bars are those of defective parts.
        review: Score above which bars are those of parts to be reviewed, if any.
    """
    bars = _counted(scores, threshold, review)
    drawn = _drawn(bars, threshold, review)
    for color, name in _COLORS.items():
        drawn = drawn.replace(color, f"var(--{name})")

    def titled(bar: re.Match[str]) -> str:
        index = int(bar[1])
        return f'<g class="{bars.kind(index)}"><title>{bars.title(index)}</title>'

    head = (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Histogram of the scores of {len(scores)} parts, counts on a logarithmic '
        'axis">'
    )
    body = drawn[drawn.index(">", drawn.index("<svg")) + 1 :]
    return head + re.sub(r'<g id="bar-(\d+)">', titled, body)


def _counted(scores: Sequence[float], threshold: float, review: float | None) -> _Bars:
    highest = max(scores)
    is_open = threshold > 0 and highest > _MOST_TIMES * threshold
    top = _MOST_TIMES * threshold if is_open else max(highest, threshold, 1e-6) * 1.02
    # Bins end at the thresholds, so that no bar holds parts of two verdicts.
    edges = [0.0]
    lower = threshold if review is None else min(review, threshold)
    bounds, places = (lower, threshold, top), []
    for bound in bounds:
        width = bound - edges[-1]
        if width > 0:
            count = max(1, round(_BINS * width / top))
            edges += list(np.linspace(edges[-1], bound, count + 1)[1:])
        places.append(len(edges) - 1)
    borders = np.asarray(edges)
    # Scores equal to a threshold are below it, and belong to the bin that ends there.
    found = np.searchsorted(borders, np.asarray(scores), side="left") - 1
    counts = np.bincount(np.clip(found, 0, len(borders) - 2), minlength=len(borders) - 1)
    return _Bars(borders, counts, places[0], places[1], is_open)


def _drawn(bars: _Bars, threshold: float, review: float | None) -> str:
    """Draw bars with the ids ``bar-INDEX``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    edges, counts = bars.edges, bars.counts
    top, most = float(edges[-1]), int(counts.max())
    # Matplotlib's SVG has 72 units to the inch; here they are pixels.
    figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _BOTTOM - _TOP
    axes = figure.add_axes(
        (_LEFT / _WIDTH, _BOTTOM / _HEIGHT, width / _WIDTH, height / _HEIGHT),
        xlim=(0, top),
        yscale="log",
        ylim=(_LOWEST, max(1.5, 1.05 * most)),
    )
    pixel = top / width
    filled = np.flatnonzero(counts)
    colors = {"good": _GOOD, "review": _REVIEW, "defective": _BAD}
    drawn = axes.bar(
        edges[filled] + pixel / 2,
        counts[filled] - _LOWEST,
        np.maximum(np.diff(edges)[filled] - pixel, pixel / 2),
        bottom=_LOWEST,
        align="edge",
        color=[colors[bars.kind(int(index))] for index in filled],
        clip_on=False,
    )
    for index, bar in zip(filled, drawn, strict=True):
        bar.set_gid(f"bar-{index}")
    lines = [("threshold", threshold)] + ([("review", review)] if review is not None else [])
    for name, score in lines:
        axes.axvline(score, linestyle=(0, (4, 3)), linewidth=1, color=_TEXT, clip_on=False)
        fits = name == "threshold" and score / pixel + _LABEL < width + _RIGHT
        axes.annotate(
            name,
            (score, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(4 if fits else -4, 2),
            textcoords="offset points",
            horizontalalignment="left" if fits else "right",
            verticalalignment="bottom",
            color=_TEXT,
            fontsize=12,
            gid=name,
        )
    ticks = np.linspace(0, top if bars.is_open else top / 1.02, _TICKS)
    labels = [f"{value:.3g}" for value in ticks]
    axes.set_xticks(ticks, [*labels[:-1], f"{labels[-1]}+" if bars.is_open else labels[-1]])
    decades = [10**power for power in range(len(str(most)))]
    shown = [count for count in decades if count <= most / 1.8] + [most]
    axes.set_yticks(shown, [f"{count:,}" for count in shown])
    axes.yaxis.set_minor_locator(NullLocator())
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
