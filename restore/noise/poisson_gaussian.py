"""The Poisson-Gaussian noise of sensors, measured in a RAW file.

Var(x) = a x + b for samples x with black at 0 and white at 1 (Foi et al., "Practical
Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data", IEEE TIP 2008).
"""

import math
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.checks import checked_number
from restore.errors import UsageError
from restore.image.raw import as_raw
from restore.image.raw_picture import RawPicture
from restore.noise.iso import READ_SLOPE, READ_SPREAD, usual_read
from restore.noise.noise_floor import NoiseFloor, floor_of, patches_of

__all__ = ["NoiseProfile", "estimate_profile", "stated_profile"]

Floats = NDArray[np.float64]

_COLOURS = 3
_BASE_A = 1e-5
"""a of a sensor that counts 100,000 electrons at ISO 100: of most, e times more or fewer."""

_MOST_A, _DOUBTFUL = 4.0, 1.3
"""Highest a in units of ``_BASE_A``: of sensors of 25,000 electrons, as in small cameras, and of
large ones where it is doubtful. What looks noisier is texture; phones say it in their DNG."""

_WHITE, _MOST_UNEVEN = 1.1, 1.4
"""How much more the middle directions may vary than the quietest ones: noise alone does not at all,
but for a few samples."""

_USUAL_A, _USUAL_SPREAD = 3e-5, 2.0
_LEAST_A, _MOST_OF_ALL, _TINY = 1e-8, 0.05, 0.05
_MOST_UNUSUAL, _NEVER = 1.75, 1e4
_MODEL_ERROR, _INDEPENDENT = 0.03, 3.0
_ABOVE, _BELOW = 0.08, 0.5
_LEAST_BLOCKS, _ROUNDS = 8, 4


@dataclass(frozen=True, kw_only=True)
class NoiseProfile:
    """The noise of a sensor at one gain: Var(x) = a x + b.

    x is a sample minus black, over white minus black; without noise, that is.

    Attributes:
        a: variance of the shot noise per unit of light, for red, green and blue.
        b: variance of the read noise, for red, green and blue.

    Raises:
        UsageError: not three numbers from 0 to 1 each.

    >>> import restore
    >>> profile = restore.NoiseProfile(a=(1e-4, 1e-4, 1e-4), b=(5e-7, 5e-7, 5e-7))
    >>> [round(sigma, 5) for sigma in profile.sigma(0.25)]
    [0.00505, 0.00505, 0.00505]
    """

    a: tuple[float, float, float]
    b: tuple[float, float, float]

    def __post_init__(self) -> None:
        """Check once, so that nobody downstream has to."""
        for name in ("a", "b"):
            values = getattr(self, name)
            wanted = f"three numbers from 0 to 1 as {name}, for red, green and blue"
            if not isinstance(values, tuple | list) or len(values) != _COLOURS:
                raise UsageError(f"{argument('profile')}: {name} is {values!r:.60}; give {wanted}")
            checked = tuple(checked_number("profile", each, 0, 1, wanted) for each in values)
            object.__setattr__(self, name, checked)

    def sigma(self, light: float) -> tuple[float, float, float]:
        """Return the standard deviation of the noise at ``light`` in [0, 1], for each colour."""
        red, green, blue = (math.sqrt(a * light + b) for a, b in zip(self.a, self.b, strict=True))
        return red, green, blue


def stated_profile(raw: RawPicture) -> NoiseProfile | None:
    """Return the noise that a DNG states by NoiseProfile; None without it, or where it is absurd.

    Var(x) there has the same x: black at 0, the white level at 1.
    """
    planes = raw.dng.noise_profile if raw.dng else ()
    if len(planes) not in (1, _COLOURS):
        return None
    red, green, blue = planes if len(planes) == _COLOURS else 3 * planes
    # Negative offsets are artefacts of a fit.
    pairs = [(a, max(b, 0.0)) for a, b in (red, green, blue)]
    if not all(0 < a <= 1 and b <= 1 for a, b in pairs):
        return None
    (red_a, red_b), (green_a, green_b), (blue_a, blue_b) = pairs
    return NoiseProfile(a=(red_a, green_a, blue_a), b=(red_b, green_b, blue_b))


def estimate_profile(source: RawPicture | str | PathLike[str]) -> NoiseProfile:
    """Measure the noise in a RAW picture.

    All colours get the same numbers: they share the sensor's amplifier. Only what is white counts,
    in the blocks that are flattest (see ``floor_of``); saturated and clipped blocks are left out.
    At most 2.4 million samples are looked at, evenly spread. Where a picture says little, as about
    read noise without shadows, or about any noise where all is texture, the numbers lean towards
    those that are usual at its ISO speed, and rather to less noise than to more.

    Args:
        source: ``RawPicture`` of any colour filter and size, or the path of a camera's RAW file.

    Returns:
        a and b; the usual ones of a low ISO where there is nothing to measure, as in a picture
        that is saturated everywhere.

    Raises:
        InputError: the file cannot be read.

    >>> import numpy as np
    >>> import restore
    >>> noisy = np.random.default_rng(0).normal(3000, 40, (512, 512))
    >>> raw = restore.RawPicture(
    ...     mosaic=noisy.astype(np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> light = (3000 - 512) / (16383 - 512)
    >>> round(restore.estimate_profile(raw).sigma(light)[1] * (16383 - 512), -1)
    40.0
    """
    raw = as_raw(source)
    a, b = _fit(raw)
    return NoiseProfile(a=(a,) * 3, b=(b,) * 3)


def _fit(raw: RawPicture) -> tuple[float, float]:
    """Return a and b of what is white in the flattest blocks."""
    usual, spread = (_BASE_A * raw.iso / 100, 0.9) if raw.iso else (_USUAL_A, _USUAL_SPREAD)
    patches = patches_of(raw)
    if len(patches) < _LEAST_BLOCKS:
        return usual, usual_read(usual)
    # From above: where too little noise is expected, none but the darkest blocks seem flat.
    a, b = _MOST_A * usual, usual_read(_MOST_A * usual)
    for _ in range(_ROUNDS):
        found = floor_of(patches, a, b)
        highest = _highest(found) * usual if raw.iso else 1.0
        a, b = _likeliest(found, usual, spread, highest)
    return a, b


def _highest(found: NoiseFloor) -> float:
    """Return the highest a that is believed, in units of the usual one at the ISO speed.

    The noisiest of sensors are believed where nothing but noise is seen. Grain and fine texture
    that is nearly white are the rule at low speeds, and to take them for noise does more harm than
    to leave some noise in.
    """
    ratio = float(np.median(found.middle / np.maximum(found.quietest, _TINY)))
    certainty = min(max((_MOST_UNEVEN - ratio) / (_MOST_UNEVEN - _WHITE), 0.0), 1.0)
    return _DOUBTFUL + (_MOST_A - _DOUBTFUL) * certainty


def _likeliest(
    found: NoiseFloor, usual: float, spread: float, highest: float
) -> tuple[float, float]:
    """Return a and b that explain the floor best, as far as cameras have them.

    Less noise than the floor says is likelier than more, in proportion to the texture above it.
    """
    measured = np.maximum(found.quietest, _TINY) ** 2 * (2 / found.count + _MODEL_ERROR**2)
    # All brightnesses err alike: they count as a few.
    alike = math.sqrt(len(found.count) / _INDEPENDENT)

    def cost(log_a: Floats, log_b: Floats) -> Floats:
        noise = (
            np.exp(log_a)[:, None, None] * found.per_a + np.exp(log_b)[None, :, None] * found.per_b
        )
        doubt = alike * found.texture * np.where(noise > found.floor, _ABOVE, _BELOW)
        misfit = ((noise - found.floor) ** 2 / (measured + doubt**2)).sum(axis=-1)
        shot = ((log_a - math.log(usual)) / spread)[:, None]
        read = (log_b[None] - np.log(usual_read(1.0)) - READ_SLOPE * log_a[:, None]) / READ_SPREAD
        impossible = np.maximum(0, read - _MOST_UNUSUAL) ** 2
        impossible += np.maximum(0, log_a - math.log(highest))[:, None] ** 2
        total: Floats = (misfit + shot**2 + read**2) / 2 + _NEVER * impossible
        return total

    ranges = [(math.log(_LEAST_A), math.log(_MOST_OF_ALL)), (-24.0, -3.0)]
    for count in (121, 31, 31):
        axes = [np.linspace(low, high, count) for low, high in ranges]
        best = np.unravel_index(np.argmin(cost(*axes)), (count, count))
        logs = [float(axis[place]) for axis, place in zip(axes, best, strict=True)]
        steps = [2 * (axis[1] - axis[0]) for axis in axes]
        ranges = [(each - step, each + step) for each, step in zip(logs, steps, strict=True)]
    return math.exp(logs[0]), math.exp(logs[1])
