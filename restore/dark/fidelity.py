"""What a mosaic knows for certain, kept in the picture that a network makes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.image.colour import (
    SRGB_EXPONENT,
    SRGB_KNEE,
    SRGB_OFFSET,
    SRGB_SLOPE,
    linear_to_srgb,
    srgb_to_linear,
)

__all__ = ["Known", "keep_known_light", "without_mesh"]

Plane = NDArray[np.float32]

# Blocks of whole periods of the filter, by its period; and the scales at which they are averaged,
# as standard deviations of a Gaussian in blocks.
_BLOCK = {1: 4, 2: 4, 6: 6}
_SCALES = (8.0, 4.0, 2.0, 1.0, 0.0)
# How many standard errors a mean must differ by before any of the difference is believed.
_SIGMAS, _FINE_SIGMAS = 3.0, 2.0
# Of the noise of a sample, the part that all samples of its row share.
_ROW_NOISE = 0.25
# A network that sees little for noise gives the middle of what may be, in encoded samples, and so
# less light on average than there is: right as it is, up to this part of a sample's noise.
_DOUBT = 0.1
_MOST_GIVEN = 0.25
_KERNELS = {1: (0.0, 1.0, 0.0), 2: (0.5, 1.0, 0.5), 6: (0.25, 0.5, 1.0, 0.5, 0.25)}
_ENERGY_PX = 7
_MESH, _MESH_CELLS = 3 / 255, 9
# Periods to each side from which the mesh of a row is found.
_MESH_MARGIN = _MESH_CELLS // 2 + 2
_BAND, _MARGIN = 256, 8
_NEAR_WHITE, _MOSTLY, _LEAST = 0.9, 0.999, 1e-12


@dataclass(frozen=True, kw_only=True)
class Known:
    """A mosaic in linear light, of the scale of its picture.

    Attributes:
        mosaic: ``[H, W]``, black at 0, white balanced and amplified, not clipped.
        colours: integers ``[H, W]``, the filter over each sample: 0 red, 1 green, 2 blue.
        period: period of the filter.
        sigma: standard deviation of each sample's noise, ``[H, W]``; 0 where the sensor is
            saturated, and light is at least ``highest``.
        black_error: standard deviation of the error of the black level of each colour, ``[3]``.
        highest: level at which the network's samples, and its picture, are clipped.
    """

    mosaic: Plane
    colours: NDArray[np.uint8]
    period: int
    sigma: Plane
    black_error: Plane
    highest: float = 1.0


def keep_known_light(colour: Plane, known: Known, *, strength: float = 1.0) -> None:
    """Correct a picture, ``[3, H, W]``, in place where its mosaic contradicts it for certain.

    Networks shift colours a little, in flat areas and in thin lines. But every sample of the
    mosaic tells the light of its colour up to noise, and a mean over many of them nearly without.
    From large areas to single pixels, the mean of what the samples have beyond the picture is
    added to it, as far as it exceeds what noise, and an error of the black level, explain: Wiener's
    gain with the noise taken ``_SIGMAS`` times; at the finest scale in the manner of Kiku et al.,
    "Residual Interpolation for Color Image Demosaicking", ICIP 2013. Where noise hides all, the
    network's picture stays.

    Args:
        colour: camera RGB, white balanced, encoded with sRGB's curve.
        known: mosaic of the same size.
        strength: 1 to believe single samples only as far as they are certain, 0 to believe all of
            them: then the result is the mosaic with all its noise, interpolated along the picture.
    """
    # As the samples that it was made of: what lies beyond is no highlight that a network saw.
    np.minimum(colour, linear_to_srgb(np.full(1, known.highest, np.float32)), out=colour)
    _add_blocks(colour, _given(_Blocks.of(colour, known), known), _BLOCK[known.period])
    for rows, light in _corrected(colour, known, strength):
        colour[:, rows] = linear_to_srgb(light)


def without_mesh(colour: Plane, period: int) -> None:
    """Take from a picture, ``[3, H, W]`` encoded, in place, what repeats with the colour filter.

    A network that makes all pixels of a cell at once gives each place in the cell a slight error of
    its own, which looks like a mesh over smooth areas. The mean of the finest detail over equal
    places nearby, small as it is, is taken away; texture, which does not repeat so, stays.
    """
    if period == 1 or min(colour.shape[1:]) < 4 * period:
        return
    band, margin = _BAND // period * period, _MESH_MARGIN * period
    for plane in colour:
        above = plane[:0]
        for top in range(0, len(plane), band):
            rows = slice(top, top + band)
            around = np.concatenate([above, plane[top : top + band + margin]])
            mesh = _mesh(around, period)[len(above) :]
            above = plane[rows][-margin:].copy()
            plane[rows] -= mesh[:band]


def _mesh(plane: Plane, period: int) -> Plane:
    """Return what repeats with the colour filter in rows ``[h, W]`` of a picture."""
    # Twice a period, once to each side of the middle: a triangle, in which every place of the cell
    # has the same weight.
    smooth = ndimage.uniform_filter(plane, period, mode="nearest")
    fine = plane - ndimage.uniform_filter(smooth, period, origin=-1, mode="nearest")
    np.clip(fine, -_MESH, _MESH, out=fine)
    cells = [
        ndimage.uniform_filter(fine[y::period, x::period], _MESH_CELLS, mode="nearest")
        for y in range(period)
        for x in range(period)
    ]
    rows, columns = (min(each.shape[axis] for each in cells) for axis in (0, 1))
    usual = np.mean([each[:rows, :columns] for each in cells], axis=0)
    result = np.empty_like(plane)
    for index, cell in enumerate(cells):
        y, x = divmod(index, period)
        padding = [(0, cell.shape[axis] - usual.shape[axis]) for axis in (0, 1)]
        result[y::period, x::period] = cell - np.pad(usual, padding, mode="edge")
    return result


@dataclass(frozen=True)
class _Blocks:
    """Sums over blocks, ``[3, rows, columns]`` each, of encoded samples.

    Attributes:
        missing: what the samples have beyond the picture.
        noise: variance of their noise.
        slope: slope of sRGB's curve.
        count: number of samples.
    """

    missing: NDArray[np.float64]
    noise: NDArray[np.float64]
    slope: NDArray[np.float64]
    count: NDArray[np.float64]

    @classmethod
    def of(cls, colour: Plane, known: Known) -> "_Blocks":
        """Sum a picture and its mosaic up."""
        side = _BLOCK[known.period]
        height, width = known.mosaic.shape
        shape = (len(colour), -(-height // side), -(-width // side))
        sums = cls(*(np.zeros(shape) for _ in range(4)))
        across = np.arange(0, width, side)
        band = _BAND // side * side
        for top in range(0, height, band):
            rows = slice(top, min(top + band, height))
            made = srgb_to_linear(_seen(colour, known, rows))
            residual = _residual(made, known, rows)
            slope = _slope(made)
            # Beyond white, networks clip, and means of blocks would spread what they clipped.
            is_usable = made < _NEAR_WHITE * known.highest
            parts = (
                (sums.missing, residual * slope),
                (sums.noise, (known.sigma[rows] * slope) ** 2),
                (sums.slope, slope),
                (sums.count, np.ones_like(slope)),
            )
            down = np.arange(0, rows.stop - rows.start, side)
            blocks = slice(top // side, top // side + len(down))
            for channel in range(len(colour)):
                here = is_usable & (known.colours[rows] == channel)
                for target, values in parts:
                    by_row = np.add.reduceat(values * here, down, axis=0, dtype=np.float64)
                    target[channel, blocks] = np.add.reduceat(by_row, across, axis=1)
        return sums


def _given(sums: _Blocks, known: Known) -> NDArray[np.float64]:
    """Return what blocks must be given, ``[3, rows, columns]``."""
    given = np.zeros_like(sums.missing)
    side = _BLOCK[known.period]
    for channel in range(len(given)):
        missing, count = sums.missing[channel].copy(), sums.count[channel]
        for scale in _SCALES:
            samples = np.maximum(_smooth(count, scale), _LEAST)
            mean = _smooth(missing, scale) / samples
            per_sample = _smooth(sums.noise[channel], scale) / samples
            # The sum of the squares of a Gaussian's weights over blocks, and over rows of pixels.
            share, row_share = (
                (1 / (4 * np.pi * scale**2), 1 / (2 * np.pi**0.5 * scale * side))
                if scale
                else (1.0, 1 / side)
            )
            slope = _smooth(sums.slope[channel], scale) / samples
            shares = share / samples + _ROW_NOISE**2 * row_share + _DOUBT**2
            variance = per_sample * shares
            variance += (float(known.black_error[channel]) * slope) ** 2
            believed = mean * _gain(variance, mean**2, _SIGMAS)
            given[channel] += believed
            missing -= believed * count
    return np.clip(given, -_MOST_GIVEN, _MOST_GIVEN)


def _residual(made: Plane, known: Known, rows: slice) -> Plane:
    """Return what the samples have beyond a picture seen through the filter, clipped alike."""
    return np.minimum(known.mosaic[rows], known.highest) - np.minimum(made, known.highest)


def _seen(picture: Plane, known: Known, rows: slice) -> Plane:
    """Return rows of a picture through the colour filter, ``[h, W]``."""
    colours = known.colours[rows]
    seen: Plane = np.take_along_axis(picture[:, rows], colours[None].astype(np.intp), axis=0)[0]
    return seen


def _slope(light: Plane) -> Plane:
    """Return the slope of sRGB's curve."""
    exponent = 1 / SRGB_EXPONENT
    curve = (1 + SRGB_OFFSET) * exponent * np.maximum(light, SRGB_KNEE) ** (exponent - 1)
    return np.where(light <= SRGB_KNEE, SRGB_SLOPE, curve).astype(np.float32)


def _gain(variance: NDArray[np.float64], square: NDArray[np.float64], sigmas: float) -> Any:
    return np.clip(1 - sigmas**2 * variance / np.maximum(square, _LEAST), 0, 1)


def _smooth(blocks: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    if not scale:
        return blocks
    return np.asarray(ndimage.gaussian_filter(blocks, scale, mode="nearest", truncate=3))


def _add_blocks(picture: Plane, blocks: NDArray[np.float64], side: int) -> None:
    """Add blocks to a picture in place, linear between their centres."""
    means = blocks.astype(np.float32)
    left, right, share = _between(means.shape[2], np.arange(picture.shape[2]), side)
    for top in range(0, picture.shape[1], _BAND):
        band = picture[:, top : top + _BAND]
        above, below, down = _between(means.shape[1], np.arange(top, top + band.shape[1]), side)
        down = down[:, None]
        lines = (1 - down) * means[:, above] + down * means[:, below]
        band += (1 - share) * lines[:, :, left] + share * lines[:, :, right]


def _between(
    count: int, places: NDArray[np.intp], side: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], Plane]:
    """Return the blocks around each place, and the share of the second one."""
    centred = np.clip((places + 0.5) / side - 0.5, 0, count - 1)
    first = centred.astype(np.intp)
    return first, np.minimum(first + 1, count - 1), (centred - first).astype(np.float32)


def _corrected(colour: Plane, known: Known, strength: float) -> Iterator[tuple[slice, Plane]]:
    """Yield the light with what single samples are certain of, by bands of rows.

    Each band is given after the next has been looked at, so that it may be stored at once.
    """
    height = colour.shape[1]
    waiting = []
    for top in range(0, height, _BAND):
        start, stop = max(0, top - _MARGIN), min(height, top + _BAND + _MARGIN)
        inside = slice(top - start, min(top + _BAND, height) - start)
        light = _corrected_band(colour, known, slice(start, stop), strength)[:, inside]
        waiting.append((slice(top, top + light.shape[1]), light))
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting


def _corrected_band(colour: Plane, known: Known, rows: slice, strength: float) -> Plane:
    kernel = np.array(_KERNELS[known.period], dtype=np.float32)
    light = srgb_to_linear(colour[:, rows])
    colours = known.colours[rows]
    made = np.take_along_axis(light, colours[None].astype(np.intp), axis=0)[0]
    residual = _residual(made, known, rows)
    squares = known.sigma[rows] ** 2
    beyond = np.maximum(known.mosaic[rows] - known.highest, 0)
    for channel in range(len(colour)):
        here = (colours == channel).astype(np.float32)
        energy, noise = (
            ndimage.uniform_filter(each * here, _ENERGY_PX, mode="mirror")
            for each in (residual**2, squares)
        )
        weight = np.maximum(_spread(here, kernel), _LEAST)
        share = 1 - strength * (1 - _gain(noise, energy, _FINE_SIGMAS))
        added = _spread(residual * here * share, kernel) / weight
        light[channel] += added
        is_sure = here * (squares == 0)
        if is_sure.any():
            # All around is at least that bright; how much more is added below.
            is_white = _spread(is_sure, kernel) > _MOSTLY * weight
            light[channel][is_white] = known.highest
        if (beyond * here).any():
            # Only where the picture is clipped as well: highlights must not spread.
            nearly = light[channel] / (known.highest * _NEAR_WHITE)
            share = np.clip((nearly - 1) / (1 / _NEAR_WHITE - 1), 0, 1)
            light[channel] += share * _spread(beyond * here, kernel) / weight
    return light


def _spread(plane: Plane, kernel: Plane) -> Plane:
    rows = ndimage.correlate1d(plane, kernel, axis=0, mode="mirror")
    result: Plane = ndimage.correlate1d(rows, kernel, axis=1, mode="mirror")
    return result
