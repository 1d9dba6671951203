"""The range of samples that a network was trained on, stored with it and used with it again."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import WeightsError
from restore.image.picture import Picture
from restore.weights.file import stored_list

__all__ = ["SampleRange", "kind_of", "method_of_noisy"]

_PART = "samples"
_LEAST_SHARE, _MOST_SHARE = 0.001, 0.999
_NEAR_ZERO = 0.05
_MOST_SAMPLES = 100_000


@dataclass(frozen=True, kw_only=True)
class SampleRange:
    """Samples that a network saw as 0 and as 1; they were not encoded before.

    Attributes:
        black: sample value that it saw as 0.
        white: sample value that it saw as 1.
        kind: kind of the pictures: ``float``, or the bits of integers, whose samples are counted
            from 0 to 1.
    """

    black: float = 0.0
    white: float = 1.0
    kind: str = "8"

    @classmethod
    def of(cls, kind: str, pictures: Iterable[NDArray[np.float32]], *, count: int) -> "SampleRange":
        """Return the range of samples of one kind: all of eight bits, else the usual ones.

        Args:
            kind: see ``kind_of``.
            pictures: samples of any shape, which are looked at one after the other.
            count: how many there are.
        """
        if kind == "8":
            return cls()
        each = max(1, _MOST_SAMPLES // count)
        parts = []
        for picture in pictures:
            values = picture.ravel()[:: max(1, picture.size // each)]
            parts.append(values[np.isfinite(values)])
        values = np.concatenate(parts)
        if not values.size:
            return cls(kind=kind)
        low, high = (float(each) for each in np.quantile(values, (_LEAST_SHARE, _MOST_SHARE)))
        if 0 <= low < _NEAR_ZERO * high:
            low = 0.0
        return cls(black=low, white=high if high > low else low + 1, kind=kind)

    @classmethod
    def stored(cls, name: str, provenance: Mapping[str, Any]) -> "SampleRange | None":
        """Return the range in the provenance of weights; None where there is none.

        Raises:
            WeightsError: something else is stored in its place.
        """
        limits = stored_list(name, provenance, _PART, "range", float)
        if limits is None:
            return None
        part = provenance[_PART]
        kind = part.get("kind") if isinstance(part, dict) else None
        if len(limits) != 2 or not limits[0] < limits[1] or not isinstance(kind, str):
            raise WeightsError(f"{name}: metadata that make no sense: {_PART} is {part!r}")
        return cls(black=float(limits[0]), white=float(limits[1]), kind=kind)

    @property
    def provenance(self) -> dict[str, Any]:
        """The range as it is stored with weights."""
        values = asdict(self)
        return {_PART: {"range": [values["black"], values["white"]], "kind": values["kind"]}}

    def fits(self, picture: Picture) -> bool:
        """Return whether the samples of a picture are of the kind that was trained on."""
        return kind_of(picture) == self.kind


def method_of_noisy(provenance: Mapping[str, Any]) -> str | None:
    """Return the method by which weights were trained on noisy pictures alone; else None."""
    data, recipe = provenance.get("data"), provenance.get("recipe")
    if not (isinstance(data, dict) and "noisy" in data and isinstance(recipe, dict)):
        return None
    method = recipe.get("method")
    return method if isinstance(method, str) else None


def kind_of(picture: Picture) -> str:
    """Return ``float``, or the bits of integers."""
    return "float" if picture.is_float else str(picture.bit_depth)
