"""Whether a picture is like the good parts as a whole: the test before the search for defects.

A picture's oddity is its distance from the nearest good part, in the space of standardised traits
and of main directions of a network's features. Good parts that did not take part in a fit
calibrate it (Vovk's conformal p-value). Beyond most of them, where too few remain to count, an
exponential tail is fitted to the logarithm of the distance, with the uncertainty of its mean: the
predictive distribution, which is Lomax.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.anomaly.appearance import TRAITS, Appearance, Trait, traits_for
from restore.anomaly.calibration import least_rate
from restore.anomaly.packing import number, packed, unpacked
from restore.errors import WeightsError

__all__ = ["LEAST_LOOKS", "MOST_LOOKS", "UNFAMILIAR_FPR", "Familiarity", "Judgement"]

Vector = NDArray[np.float64]

UNFAMILIAR_FPR = 0.001
LEAST_LOOKS, MOST_LOOKS = 10, 500

_FOLDS = 5
_MOST_DIRECTIONS = 8
_WEIGHT = 0.5
"""Weight of the network's features against the traits."""
_TAIL_SHARE, _LEAST_IN_TAIL = 0.1, 5
_LEAST_EXCESS = 0.1
"""Least mean of the tail, so that parts without any variation leave room."""
_LEAST_DISTANCE = 0.5
_FEATURE_TOLERANCE, _LEAST_DEVIATION = 0.005, 0.1
_NORMAL_MAD = 1.4826
_DECIMALS = 4
_TELLING = ("level", "width", "height", "contrast")
"""Traits whose deviation explains those of all others."""
_TELLING_SHARE = 3
_POLARITIES = ("polarity", "coarse polarity")
_NOT_A_PART = "contains nothing that looks like the part"


@dataclass(frozen=True)
class Judgement:
    """How familiar a picture is.

    Attributes:
        familiarity: Share of good parts expected to be at least as odd, 0 to 1.
        reason: What is most unusual about it, in one phrase.
    """

    familiarity: float
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class _Space:
    """A space in which good parts lie close to each other.

    Attributes:
        centre, spread: Median and robust spread of each trait, ``[T]``.
        mean, scale: Mean and standard deviation of each feature, ``[D]``.
        directions: Main directions of the standardised features, each divided by its standard
            deviation, ``[R, D]``.
        rest: Standard deviation of what lies in no main direction.
    """

    centre: Vector
    spread: Vector
    mean: Vector
    scale: Vector
    directions: Vector
    rest: float

    @classmethod
    def of(cls, looks: Sequence[Appearance]) -> "_Space":
        """Fit to good parts."""
        traits = np.stack([look.traits for look in looks])
        features = np.stack([look.features for look in looks])
        centre = np.median(traits, axis=0)
        spread = _NORMAL_MAD * np.median(np.abs(traits - centre), axis=0)
        tolerances = [trait.tolerance for trait in _traits_of(traits.shape[1])]
        mean = features.mean(axis=0)
        usual = np.sqrt(np.square(features).mean(axis=0))
        scale = np.hypot(features.std(axis=0), _FEATURE_TOLERANCE * usual) + 1e-9
        _, singular, directions = np.linalg.svd((features - mean) / scale, full_matrices=False)
        count = min(_MOST_DIRECTIONS, max(1, len(looks) // 5))
        deviations = np.maximum(singular / np.sqrt(len(looks)), _LEAST_DEVIATION)
        return cls(
            centre=centre,
            spread=np.maximum(spread, tolerances),
            mean=mean,
            scale=scale,
            directions=directions[:count] / deviations[:count, None],
            rest=max(1.0, float(np.linalg.norm(deviations[count:]))),
        )

    def places(self, looks: Sequence[Appearance]) -> Vector:
        """Return where pictures lie, ``[N, T + R + 1]``."""
        traits = (np.stack([look.traits for look in looks]) - self.centre) / self.spread
        features = (np.stack([look.features for look in looks]) - self.mean) / self.scale
        along = features @ self.directions.T
        lengths = np.square(np.linalg.norm(self.directions, axis=1))
        inside = (np.square(along) / lengths).sum(axis=1)
        beside = np.sqrt(np.maximum(np.square(features).sum(axis=1) - inside, 0))
        share = _WEIGHT * np.sqrt(len(TRAITS) / len(self.directions))
        far = 3 * _WEIGHT * np.log(np.maximum(beside / self.rest, 0.5))
        return np.concatenate([traits, share * along, far[:, None]], axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """How good parts look as a whole.

    Attributes:
        space: Space in which pictures are compared.
        places: Where the good parts lie in it, ``[N, T + R + 1]``.
        oddities: Oddities of good parts, each left out of the fit that it was measured with,
            in ascending order.
        bit_depths: Bit depths of the good parts.
    """

    space: _Space
    places: Vector
    oddities: tuple[float, ...]
    bit_depths: tuple[int, ...]

    @classmethod
    def of(cls, looks: Sequence[Appearance]) -> "Familiarity":
        """Learn how good parts look.

        Args:
            looks: Appearances of at least ``LEAST_LOOKS`` good parts, in random order; of more than
                ``MOST_LOOKS``, the first.
        """
        looks = looks[:MOST_LOOKS]
        oddities: list[float] = []
        for index in range(_FOLDS):
            out = looks[index::_FOLDS]
            kept = [look for i, look in enumerate(looks) if i % _FOLDS != index]
            space = _Space.of(kept)
            oddities += list(_nearest(space.places(out), space.places(kept))[1])
        space = _Space.of(looks)
        return cls(
            space=space,
            places=space.places(looks),
            oddities=tuple(sorted(round(float(oddity), _DECIMALS) for oddity in oddities)),
            bit_depths=tuple(sorted({look.bit_depth for look in looks})),
        )

    def __call__(self, look: Appearance) -> Judgement:
        """Judge a picture of as many channels as the good parts."""
        place = self.space.places([look])
        neighbour, oddity = _nearest(place, self.places)
        reason = self._reason(look, place[0], place[0] - self.places[neighbour[0]])
        return Judgement(self.share_as_odd(float(oddity[0])), reason)

    def share_as_odd(self, oddity: float) -> float:
        """Return the share of good parts that are expected to be at least as odd."""
        count = len(self.oddities)
        tail = min(count - 1, max(_LEAST_IN_TAIL, round(_TAIL_SHARE * count)))
        start = self.oddities[-tail - 1]
        if oddity <= start:
            return (1 + sum(each >= oddity for each in self.oddities)) / (count + 1)
        excess = sum(each - start for each in self.oddities[-tail:])
        excess = max(excess, tail * _LEAST_EXCESS)
        return float((tail + 1) / (count + 1) * (1 + (oddity - start) / excess) ** -tail)

    def shares(self) -> list[float]:
        """Return ``share_as_odd`` of each of the good parts."""
        return [self.share_as_odd(oddity) for oddity in self.oddities]

    def shortfall(self, rate: float) -> str:
        """Return a sentence if the parts are too few to guarantee a rate, else ""."""
        count = len(self.oddities)
        if rate >= least_rate(count):
            return ""
        return (
            f"a rate of {rate:.3g} unfamiliar good parts is extrapolated: {count} good parts "
            f"guarantee {least_rate(count):.2g}"
        )

    def _reason(self, look: Appearance, place: Vector, away: Vector) -> str:
        """Return what is unusual.

        Args:
            look: The picture.
            place: Where it lies.
            away: How far from the nearest good part, in each dimension.
        """
        traits = _traits_of(len(look.traits))
        count = len(traits)
        low, high = self.places[:, :count].min(axis=0), self.places[:, :count].max(axis=0)
        may_be_told = [trait.name in _POLARITIES for trait in traits]
        may_be_told |= (place[:count] < low) | (place[:count] > high)
        sizes = np.where(may_be_told, np.abs(away[:count]), 0)
        strange = float(np.linalg.norm(away[count:]))
        large = max(strange, float(sizes.max())) / _TELLING_SHARE
        telling = [i for i in range(count) if traits[i].name in _TELLING and sizes[i] > large]
        index = telling[0] if telling else int(sizes.argmax())
        if not telling and strange >= 2 * sizes[index]:
            return _NOT_A_PART + self._depth_note(look)
        trait, is_less = traits[index], away[index] < 0
        text = trait.low if is_less else trait.high
        if trait.name in ("width", "height"):
            text = self._size_note(look, index, trait)
        if trait.name == "level" and is_less:
            text += _bits_note(look)
        return text + self._depth_note(look)

    def _size_note(self, look: Appearance, index: int, trait: Trait) -> str:
        own = self.space.centre[index] + self.space.spread[index] * self.places[:, index]
        low, high, found = (
            round(float(np.exp(value))) for value in (own.min(), own.max(), look.traits[index])
        )
        spans = f"{low}" if low == high else f"{low} to {high}"
        return f"another {trait.name}: {found} pixels, good parts have {spans}"

    def _depth_note(self, look: Appearance) -> str:
        if look.bit_depth in self.bit_depths:
            return ""
        depths = " or ".join(map(str, self.bit_depths))
        return f" ({look.bit_depth} bits; good parts have {depths})"

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a weight file."""
        space = self.space
        return {
            "parts": len(self.oddities),
            "centre": [float(f"{value:.6g}") for value in space.centre],
            "spread": [float(f"{value:.6g}") for value in space.spread],
            "mean": packed(space.mean),
            "scale": packed(space.scale),
            "directions": packed(space.directions),
            "rest": space.rest,
            "places": packed(self.places, half=True),
            "oddities": list(self.oddities),
            "bit_depths": list(self.bit_depths),
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], channels: int) -> "Familiarity":
        """Return what ``as_mapping`` described.

        Args:
            values: Plain values.
            channels: Channels of the network's pictures.

        Raises:
            WeightsError: the values are invalid.
        """
        traits = len(traits_for(channels))
        try:
            mean = unpacked(values["mean"])
            directions = unpacked(values["directions"], columns=mean.size)
            space = _Space(
                centre=np.array([number(value) for value in values["centre"]]),
                spread=np.array([number(value) for value in values["spread"]]),
                mean=mean,
                scale=unpacked(values["scale"]),
                directions=directions,
                rest=number(values["rest"]),
            )
            columns = traits + len(directions) + 1
            made = cls(
                space=space,
                places=unpacked(values["places"], columns=columns, half=True),
                oddities=tuple(sorted(number(value) for value in values["oddities"])),
                bit_depths=tuple(int(value) for value in values["bit_depths"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(f"how good parts look is invalid: {error}") from error
        sizes = (space.centre.size, space.spread.size, space.scale.size)
        is_positive = space.rest > 0 and (space.spread > 0).all() and (space.scale > 0).all()
        if sizes != (traits, traits, mean.size) or not is_positive or len(made.oddities) < 2:
            raise WeightsError("how good parts look is invalid")
        return made


def _nearest(places: Vector, good: Vector) -> tuple[NDArray[np.intp], Vector]:
    """Return for each of ``[N, K]`` the nearest of ``[M, K]``, and the log of its distance."""
    squares = np.stack([np.square(good - place).sum(axis=1) for place in places])
    nearest = squares.argmin(axis=1)
    distances = np.sqrt(squares[np.arange(len(places)), nearest])
    return nearest, np.log(distances + _LEAST_DISTANCE)


def _traits_of(count: int) -> tuple[Trait, ...]:
    """Return the traits of pictures that have so many."""
    return traits_for(max(1, count - len(TRAITS)))


def _bits_note(look: Appearance) -> str:
    if look.bit_depth != 16 or look.used_bits > 14:
        return ""
    usual = next(bits for bits in (8, 10, 12, 14) if look.used_bits <= bits)
    return f"; its samples use {look.used_bits} of 16 bits: are they {usual} bits in 16?"
