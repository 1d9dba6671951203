"""Relief for the edges of pictures, where good parts score higher than in the middle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BAND_PX", "NO_EDGES", "EdgeProfile", "outline_edges"]

BAND_PX = 4
"""Width in pixels of the bands that a factor is for."""

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class EdgeProfile:
    """How many times higher good parts score near the edges of a picture than in its middle.

    A part's outline, its corners and its shadow lie along the edges and vary from picture to
    picture; without this profile they alone would set the threshold of the whole picture.

    Attributes:
        factors: factors of bands of 4 pixels from the edge inwards, at least 1, never rising.
    """

    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse factors that would raise scores, or that rise inwards."""
        if not all(1 <= factor < np.inf for factor in self.factors):
            raise ValueError("factors of edges must be finite and at least 1")
        if list(self.factors) != sorted(self.factors, reverse=True):
            raise ValueError("factors of edges must not rise inwards")

    @property
    def is_level(self) -> bool:
        """Whether it leaves scores as they are."""
        return all(factor == 1 for factor in self.factors)

    @classmethod
    def of(cls, maps: Sequence[Scores]) -> "EdgeProfile":
        """Measure the profile.

        The level of a band is the 90 % quantile over parts of the highest score in it; factors are
        these levels relative to that of the middle.

        Args:
            maps: scores ``[H, W]`` of good parts; those without a middle are left out.
        """
        reach = _BANDS * BAND_PX
        highest = [_highest_in_bands(each) for each in maps if min(each.shape) > 2 * reach]
        if not highest:
            return cls()
        levels = np.quantile(np.array(highest), _QUANTILE, axis=0)
        if levels[-1] <= 0:
            return cls()
        ratios = np.maximum(levels[:-1] / levels[-1], 1)
        falling = np.maximum.accumulate(ratios[::-1])[::-1]
        return cls(tuple(round(float(ratio), 4) for ratio in falling))

    def relieve(self, scores: Scores) -> None:
        """Divide scores ``[H, W]`` of a whole picture, in place, by the factors of their places."""
        if self.is_level:
            return
        down, across = (self._along(size) for size in scores.shape)
        # Row by row: a factor for each pixel of a large picture would take as much memory as it.
        for row, factor in zip(scores, down, strict=True):
            row /= np.maximum(factor, across)

    def _along(self, size: int) -> NDArray[np.float32]:
        """Return the factor of each pixel along a side, interpolated between bands."""
        places = np.arange(size)
        distances = np.minimum(places, places[::-1])
        count = len(self.factors)
        # The factors of the middles of bands; nothing beyond the last band.
        known = BAND_PX * np.array([*(np.arange(count) + 0.5), count])
        factors = np.interp(distances, known, [*self.factors, 1.0])
        return factors.astype(np.float32)


NO_EDGES = EdgeProfile()
"""Leaves scores as they are."""


def outline_edges(relieved: Scores, unrelieved: Scores, score: float) -> None:
    """Let the map of a part show defects along its edges, and leave verdicts as they are.

    Relief is for the verdict: an edge must not call a good part defective. Of a part whose score is
    high, it would hide how far a defect on an edge reaches. Scores are raised to those before the
    relief, but no further than half of the way to the score of the part, so that the part's score,
    the place of its peak, and which parts lie above a threshold stay the same.

    Args:
        relieved: ``[H, W]``; changed in place.
        unrelieved: The same scores before their relief, ``[H, W]``.
        score: Score of the part, from its relieved scores.
    """
    highest = np.float32(score)
    for top in range(0, len(relieved), _ROWS_AT_ONCE):
        rows = relieved[top : top + _ROWS_AT_ONCE]
        most = rows + np.maximum(highest - rows, 0) / 2
        np.maximum(rows, np.minimum(unrelieved[top : top + _ROWS_AT_ONCE], most), out=rows)


_BANDS = 8
_ROWS_AT_ONCE = 64
_QUANTILE = 0.9


def _highest_in_bands(scores: Scores) -> list[float]:
    """Return the highest score of every band from the edge inwards, and of the middle."""
    highest = []
    for _ in range(_BANDS):
        inner = scores[BAND_PX:-BAND_PX, BAND_PX:-BAND_PX]
        sides = (
            scores[:BAND_PX],
            scores[-BAND_PX:],
            scores[:, :BAND_PX],
            scores[:, -BAND_PX:],
        )
        highest.append(max(float(side.max()) for side in sides))
        scores = inner
    return [*highest, float(scores.max())]
