"""The Poisson-Gaussian noise of sensors, measured in a RAW file.

Var(x) = a x + b for samples x with black at 0 and white at 1 (Foi et al., "Practical
Poissonian-Gaussian Noise Modeling and Fitting for Single-Image Raw-Data", IEEE TIP 2008).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from restore.checks import checked_number
from restore.errors import UsageError
from restore.image.raw import as_raw
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture

__all__ = ["NoiseProfile", "estimate_profile", "stated_profile"]

Floats = NDArray[np.float64]

_COLOURS = 3
_SIDE = 96
_MOST_TILES = 256
_BLOCK = 4
"""Cells per side of the blocks whose variance is measured."""

_TOP = 0.98
_PILED = 1e-3

_LEAST_A = 1e-8
_SLOPE, _BIAS, _SPREAD, _MOST_UNUSUAL = 1.239, -3.27, 1.07, 1.75
"""ln b = slope ln a + bias +- spread: a line through the profiles of 433 camera models, and how
many times the spread a sensor may be above it."""

_BASE_A = 1e-5
"""a of a sensor that counts 100,000 electrons at ISO 100: of most, e times more or fewer."""

_MOST_A = 4.0
"""Highest a, in units of ``_BASE_A``: of sensors of 25,000 electrons, as in small cameras. What
looks noisier is texture; phones have fewer, and say so in their DNG."""

_USUAL_A, _USUAL_SPREAD = 1e-4, 3.0
_DARK = 1e-3

_FLAT, _FLATTEST = 1.25, 0.05
_LEAST_IN_BIN, _LEAST_BLOCKS, _LEAST_SHARE = 20, 200, 0.02
_ROUNDS = 5
_BINS = 24
_MOST_WEIGHT = 500.0


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
            wanted = "three numbers from 0 to 1, for red, green and blue"
            if not isinstance(values, tuple | list) or len(values) != _COLOURS:
                raise UsageError(f"noise profile: {name} is {values!r:.60}; give {wanted}")
            checked = tuple(
                checked_number(f"noise profile: {name}", each, 0, 1, wanted) for each in values
            )
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

    All colours get the same numbers: they share the sensor's amplifier. Only fine diagonal detail
    counts, of blocks that coarser detail shows to be flat; saturated and clipped blocks are left
    out. At most 2.4 million samples are looked at, evenly spread. Where a picture says little, as
    about read noise without shadows, or about any noise where all is texture, the numbers lean
    towards those that are usual at its ISO speed.

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
    >>> round(restore.estimate_profile(raw).sigma(light)[1] * (16383 - 512))
    40
    """
    raw = as_raw(source)
    fit = _fit(_blocks(raw), raw.iso)
    return NoiseProfile(a=(fit.a,) * 3, b=(fit.b,) * 3)


@dataclass(frozen=True, kw_only=True)
class _Blocks:
    """Mean light, variance of fine detail, and energy of coarser detail per block."""

    light: Floats
    variance: Floats
    coarse: Floats


def _blocks(raw: RawPicture) -> _Blocks:
    light, variance, coarse = [], [], []
    tiles, is_valid = _tiles(raw)
    for quad, valid in zip(_quads(raw, tiles), _quads(raw, is_valid), strict=True):
        a, b, c, d = quad
        mean, across = (a + b + c + d) / 2, (a - b + c - d) / 2
        down, diagonal = (a + b - c - d) / 2, (a - b - c + d) / 2
        within = np.logical_and.reduce(valid)
        e, f, g, h = (mean[:, i::2, j::2] for i in (0, 1) for j in (0, 1))
        second = sum(each**2 for each in ((e - f + g - h), (e + f - g - h), (e - f - g + h))) / 4
        good = _of_blocks(within, np.min).astype(bool)
        light.append(_of_blocks(mean / 2, np.mean)[good])
        variance.append(_of_blocks(diagonal**2, np.mean)[good])
        first = (_of_blocks(across**2, np.mean) + _of_blocks(down**2, np.mean))[good]
        # 32 first details and 12 second ones in a block.
        coarse.append((16 * first + 4 * _of_blocks(second, np.mean, _BLOCK // 2)[good]) / 44)
    joined = (np.concatenate(each).astype(np.float64) for each in (light, variance, coarse))
    return _Blocks(**dict(zip(("light", "variance", "coarse"), joined, strict=True)))


def _tiles(raw: RawPicture) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return tiles ``[N, 96, 96]`` of normalised samples, and which samples are not clipped."""
    tall, wide = (max(1, size // _SIDE) for size in raw.mosaic.shape)
    count = tall * wide
    taken = min(count, _MOST_TILES)
    chosen = [index * count // taken for index in range(taken)]
    rows = [slice(index // wide * _SIDE, index // wide * _SIDE + _SIDE) for index in chosen]
    columns = [slice(index % wide * _SIDE, index % wide * _SIDE + _SIDE) for index in chosen]
    stored = np.stack([raw.mosaic[each] for each in zip(rows, columns, strict=True)])
    side = len(raw.cfa)
    black = np.asarray(raw.black_level, np.float32)[np.minimum(raw.cfa, SECOND_GREEN)]
    across = [-(-size // side) for size in stored.shape[1:]]
    black = np.tile(black, across)[: stored.shape[1], : stored.shape[2]]
    samples = (stored - black) / (np.float32(raw.white_level) - black)
    top = (min(raw.saturated_from) - max(raw.black_level)) / (
        raw.white_level - max(raw.black_level)
    )
    is_valid = samples < _TOP * top
    is_lowest = stored == stored.min()
    if is_lowest.mean() > _PILED:
        is_valid &= ~is_lowest
    return samples, is_valid


def _quads(raw: RawPicture, tiles: NDArray[Any]) -> list[list[NDArray[Any]]]:
    """Return grids of the four samples of one colour that are nearest to each other.

    Of X-Trans sensors those are the green two by two squares, of others every second sample (or
    every sample) of each place in the pattern.
    """
    side = len(raw.cfa)
    if side == 6:
        top, left = _green_square(raw.cfa)
        grids = [[tiles[:, top + y :: 3, left + x :: 3] for y in (0, 1) for x in (0, 1)]]
    else:
        phases = [tiles[:, y::side, x::side] for y in range(side) for x in range(side)]
        grids = [[each[:, y::2, x::2] for y in (0, 1) for x in (0, 1)] for each in phases]
    result = []
    for corners in grids:
        tall, wide = (min(each.shape[axis] for each in corners) // 2 * 2 for axis in (1, 2))
        result.append([each[:, :tall, :wide] for each in corners])
    return result


def _green_square(cfa: NDArray[np.uint8]) -> tuple[int, int]:
    """Return where the first two by two greens of an X-Trans filter are; they repeat every 3."""
    is_green = np.isin(np.pad(cfa, (0, 1), mode="wrap"), (GREEN, SECOND_GREEN))
    squares = is_green[:-1, :-1] & is_green[:-1, 1:] & is_green[1:, :-1] & is_green[1:, 1:]
    top, left = np.argwhere(squares[:3, :3])[0]
    return int(top), int(left)


def _of_blocks(cells: NDArray[Any], reduce: Callable[..., Any], side: int = _BLOCK) -> NDArray[Any]:
    """Reduce blocks of ``side`` by ``side`` cells; incomplete ones are left out. Flat."""
    tall, wide = (size // side for size in cells.shape[1:])
    cut = cells[:, : tall * side, : wide * side]
    blocks = cut.reshape(len(cells), tall, side, wide, side)
    return np.asarray(reduce(blocks, axis=(2, 4))).reshape(-1)


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """Var = a x + b + c x^2: noise, and texture, whose contrast is alike in light and shadow."""

    a: float
    b: float
    c: float

    def at(self, light: Floats) -> Floats:
        """Return the variance of fine detail at ``light``."""
        light = light.clip(0)
        return self.a * light + self.b + self.c * light**2


def _fit(blocks: _Blocks, iso: float | None) -> _Fit:
    """Return what explains the blocks that are flat."""
    light, variance, coarse = blocks.light, blocks.variance, blocks.coarse
    if not len(light):
        return _Fit(a=_BASE_A, b=math.exp(_SLOPE * math.log(_BASE_A) + _BIAS), c=0.0)
    flattest = [
        part[np.argsort(coarse[part])[: max(_LEAST_IN_BIN, round(_FLATTEST * len(part)))]]
        for part in _bins(light)
    ]
    fit = _explaining(light, variance, flattest, iso)
    enough = min(len(light), max(_LEAST_BLOCKS, round(_LEAST_SHARE * len(light))))
    for _ in range(_ROUNDS):
        is_flat = coarse < _FLAT * fit.at(light)
        if is_flat.sum() < enough:
            break
        places = np.flatnonzero(is_flat)
        fit = _explaining(light, variance, [places[part] for part in _bins(light[places])], iso)
    return fit


def _bins(light: Floats) -> list[NDArray[np.intp]]:
    """Return the indices of blocks of about equal light, as many in each bin."""
    return [part for part in np.array_split(np.argsort(light), _BINS) if len(part)]


def _explaining(
    light: Floats, variance: Floats, bins: list[NDArray[np.intp]], iso: float | None
) -> _Fit:
    """Return the likeliest fit: variances of Gaussian samples follow Gamma distributions."""
    means, variances = (
        np.array([each[part].mean() for part in bins]) for each in (light, variance)
    )
    count = np.array([len(part) for part in bins]) * _BLOCK**2 / 2
    weight = np.minimum(count, _MOST_WEIGHT)
    usual, spread, highest = _USUAL_A, _USUAL_SPREAD, 0.0
    if iso is not None:
        usual, spread = _BASE_A * iso / 100, 1.0
        highest = math.log(usual * _MOST_A)

    def fit_of(logs: Floats) -> _Fit:
        a, b, c = (math.exp(each) for each in logs)
        return _Fit(a=a, b=b, c=c)

    def cost(logs: Floats) -> float:
        expected = fit_of(logs).at(means)
        misfit = weight @ (np.log(expected) + variances / expected)
        read = (logs[1] - _SLOPE * logs[0] - _BIAS) / _SPREAD
        shot = (logs[0] - math.log(usual)) / spread
        impossible = max(0.0, read - _MOST_UNUSUAL) + max(0.0, logs[0] - highest)
        return float(misfit + (read**2 + shot**2) / 2 + count.sum() * impossible**2)

    noise = float(np.quantile(variances / means.clip(_DARK), 0.2))
    log_a = min(math.log(max(_LEAST_A, noise)), -1.0)
    log_c = log_a - math.log(max(_DARK, float(np.median(means))))
    found = [
        minimize(
            cost,
            (log_a, _SLOPE * log_a + _BIAS, log_c + texture),
            method="Nelder-Mead",
            bounds=((math.log(_LEAST_A), 0.0), (-40.0, 0.0), (-60.0, 10.0)),
            options={"xatol": 1e-3, "fatol": 1e-3, "adaptive": True},
        )
        for texture in (-2.0, 2.0)
    ]
    return fit_of(min(found, key=lambda each: float(each.fun)).x)
