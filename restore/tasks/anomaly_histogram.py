"""A histogram of scores with the threshold, as SVG that takes its colours from the page."""

from collections.abc import Sequence

import numpy as np

__all__ = ["histogram"]

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
