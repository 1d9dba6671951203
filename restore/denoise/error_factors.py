"""The factors that calibrate error maps, by denoiser, texture and noise level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.denoise.texture import Texture
from restore.errors import WeightsError

__all__ = ["ESTIMATES", "LEVELS", "ErrorCalibration", "ErrorFactors", "level_of_removed"]

LEVELS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Levels of what was removed, of 255, that have factors of their own."""

_NAMES = ("expected", "bound", "deviation")
ESTIMATES = len(_NAMES)
"""Estimates of an ErrorNet, in the order of its outputs."""

_LEAST, _MOST = 0.05, 20.0
_BAND = 256


@dataclass(frozen=True)
class ErrorFactors:
    """Factors on the three estimates of an ``ErrorNet``.

    Attributes:
        values: ``[estimate, texture, level]``, the levels being ``LEVELS``.
    """

    values: NDArray[np.float32]

    def put(self, texture: int, level: int, factors: Sequence[float]) -> None:
        """Set the factors of a texture at one of ``LEVELS``, but for what no network needs."""
        self.values[:, texture, level] = np.clip(factors, _LEAST, _MOST)

    @classmethod
    def none(cls) -> "ErrorFactors":
        """Return factors that change nothing."""
        return cls(np.ones((ESTIMATES, len(Texture), len(LEVELS)), np.float32))

    @classmethod
    def read(cls, name: str, stored: object) -> "ErrorFactors":
        """Return factors as ``stored`` has them.

        Args:
            name: of the weights.
            stored: from a weight file's provenance.

        Raises:
            WeightsError: they make no sense.
        """
        try:
            assert isinstance(stored, dict)
            values = np.array(
                [[stored[each][kind.name.lower()] for kind in Texture] for each in _NAMES],
                np.float32,
            )
            is_sound = values.shape == (ESTIMATES, len(Texture), len(LEVELS)) and bool(
                ((values >= _LEAST) & (values <= _MOST)).all()
            )
        except (AssertionError, KeyError, TypeError, ValueError):
            is_sound = False
        if not is_sound:
            raise WeightsError(f"{name}: its calibration makes no sense; train it again")
        return cls(values)

    @property
    def stored(self) -> dict[str, Any]:
        """The factors as plain values, for a weight file."""
        return {
            "levels": list(LEVELS),
            **{
                name: {
                    kind.name.lower(): [round(float(value), 4) for value in values[kind]]
                    for kind in Texture
                }
                for name, values in zip(_NAMES, self.values, strict=True)
            },
        }

    def at(self, level: float) -> NDArray[np.float32]:
        """Return the factors ``[estimate, texture]`` at a level of what was removed, of 255."""
        place = np.log(np.clip(level, LEVELS[0], LEVELS[-1]))
        logarithms = np.log(self.values.reshape(-1, len(LEVELS)))
        at = [np.exp(np.interp(place, np.log(LEVELS), each)) for each in logarithms]
        return np.array(at, np.float32).reshape(ESTIMATES, len(Texture))


@dataclass(frozen=True)
class ErrorCalibration:
    """The factors for each denoiser whose errors were learned.

    Denoisers differ in what they leave and what they make up, which an ``ErrorNet`` sees in part
    alone.

    Attributes:
        own: factors by the name of the denoiser.
        others: factors of all of them together, for any other.
    """

    own: Mapping[str, ErrorFactors]
    others: ErrorFactors

    @classmethod
    def read(cls, name: str, stored: object) -> "ErrorCalibration":
        """Return the factors as ``stored`` has them.

        Args:
            name: of the weights.
            stored: from a weight file's provenance.

        Raises:
            WeightsError: they make no sense.
        """
        values = stored if isinstance(stored, dict) else {}
        own = values.get("denoisers")
        if not isinstance(own, dict):
            raise WeightsError(f"{name}: its calibration makes no sense; train it again")
        return cls(
            {denoiser: ErrorFactors.read(name, each) for denoiser, each in own.items()},
            ErrorFactors.read(name, values.get("others")),
        )

    @property
    def stored(self) -> dict[str, Any]:
        """The factors as plain values, for a weight file."""
        own = {denoiser: each.stored for denoiser, each in self.own.items()}
        return {"denoisers": own, "others": self.others.stored}

    def of(self, denoiser: str) -> ErrorFactors:
        """Return the factors for the results of a denoiser."""
        return self.own.get(denoiser, self.others)


def level_of_removed(noisy: NDArray[np.float32], result: NDArray[np.float32]) -> float:
    """Return the root mean square of what was removed, of 255, of pictures ``[C, H, W]``."""
    total = 0.0
    for theirs, ours in zip(noisy, result, strict=True):
        for top in range(0, len(ours), _BAND):
            removed = theirs[top : top + _BAND] - ours[top : top + _BAND]
            total += float(np.square(removed, out=removed).sum(dtype=np.float64))
    return 255 * float(np.sqrt(total / max(1, result.size)))
