"""Scores near the edges of pictures, where good parts differ more than in their middle."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_EDGES", "EdgeProfile"]

Scores = NDArray[np.float32]

_BAND_PX = 4
_BANDS = 8
_QUANTILE = 0.9


@dataclass(frozen=True)
class EdgeProfile:
    """How many times higher good parts score near the edges of a picture than in its middle.

    A part's own outline, its corners and the shadow that it throws lie along the edges, in every
    picture a little differently, and with a threshold for all of a picture they would decide it.

    Attributes:
        factors: one for each band of 4 pixels from the edge inwards, from 1, never rising.
    """

    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse factors that would raise scores, or that rise inwards."""
        if not all(1 <= factor < np.inf for factor in self.factors):
            raise ValueError("factors of edges are numbers from 1")
        if list(self.factors) != sorted(self.factors, reverse=True):
            raise ValueError("factors of edges do not rise inwards")

    @classmethod
    def of(cls, maps: Sequence[Scores]) -> "EdgeProfile":
        """Measure it.

        A band's level is the value that the highest score in it keeps below in nine of ten parts;
        factors are those levels relative to that of the middle.

        Args:
            maps: scores ``[H, W]`` of good parts; those without a middle are left out.
        """
        reach = _BANDS * _BAND_PX
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
        if not self.factors:
            return
        down, across = (self._along(size) for size in scores.shape)
        # Row by row: a factor for each pixel of a large picture would take as much memory as it.
        for row, factor in zip(scores, down, strict=True):
            row /= np.maximum(factor, across)

    def _along(self, size: int) -> NDArray[np.float32]:
        """Return the factor of every place in a line across the picture, without steps."""
        places = np.arange(size)
        distances = np.minimum(places, places[::-1])
        count = len(self.factors)
        # The factors of the middles of bands; nothing beyond the last band.
        known = _BAND_PX * np.array([*(np.arange(count) + 0.5), count])
        factors = np.interp(distances, known, [*self.factors, 1.0])
        return factors.astype(np.float32)


NO_EDGES = EdgeProfile()
"""Leaves scores as they are."""


def _highest_in_bands(scores: Scores) -> list[float]:
    """Return the highest score of every band from the edge inwards, and of the middle."""
    highest = []
    for _ in range(_BANDS):
        inner = scores[_BAND_PX:-_BAND_PX, _BAND_PX:-_BAND_PX]
        sides = (
            scores[:_BAND_PX],
            scores[-_BAND_PX:],
            scores[:, :_BAND_PX],
            scores[:, -_BAND_PX:],
        )
        highest.append(max(float(side.max()) for side in sides))
        scores = inner
    return [*highest, float(scores.max())]
