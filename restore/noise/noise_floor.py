"""The white floor under the texture of a mosaic, in the blocks that are flattest.

The noise of a sensor is white and the same in all directions of a patch of samples; texture lies in
few of them, since neighbours of all colours vary together. The directions in which patches vary
least are thus nearly free of texture (as in Pyatykh et al., "Image Noise Level Estimation by
Principal Component Analysis", IEEE TIP 2013, of one plane).
"""

import math
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture

__all__ = ["NoiseFloor", "Patches", "floor_of", "patches_of"]

Floats = NDArray[np.float64]

_TILE, _MOST_TILES = 96, 256
_BLOCK, _PATCH = 12, 6
"""Sides of the blocks that are judged flat or not, and of the patches in them."""

_STEPS = {1: 2, 2: 2, 6: 3}
"""Period of a filter to the distance of patches. Three samples on, an X-Trans filter has green in
the same places, and red and blue exchanged."""

_TOP, _PILED = 0.98, 1e-3
_BINS = 10
_FLATTEST, _LEAST_IN_BIN, _MOST_IN_BIN = 0.05, 8, 600
_WHITE = 1.3
_DIRECTIONS = slice(0, 4), slice(14, 18)
"""The quietest and the middle ones of the directions of a patch, in the order of their variance."""

_SHARE = 0.25
"""Of the texture that the middle directions hold, the quietest ones hold about this much."""

_LEAST_ENERGY, _NO_LIGHT = 0.1, 1e-6


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Blocks of a mosaic.

    Attributes:
        light: float32 ``[N, 12, 12]``, the mean of the samples of a block that have one colour, at
            each of them; black at 0, the white level at 1.
        detail: float32 ``[N, 12, 12]``, what the samples differ from it by.
        colours: ``[12, 12]``, the filter over each of them.
        step: distance of patches within a block.
    """

    light: NDArray[np.float32]
    detail: NDArray[np.float32]
    colours: NDArray[np.uint8]
    step: int

    def __len__(self) -> int:
        return len(self.light)


@dataclass(frozen=True, kw_only=True)
class NoiseFloor:
    """What the flattest blocks of each brightness say about a noise Var(x) = a x + b.

    All are arrays with an element for each brightness, in units of the variance expected.

    Attributes:
        floor: variance of the noise.
        texture: variance that texture adds to the middle directions.
        quietest: variance in the directions that vary least; no noise is above it.
        middle: variance in the middle directions.
        count: number of samples that it was measured on.
        per_a, per_b: what a and b are multiplied by to make up the floor.
    """

    floor: Floats
    texture: Floats
    quietest: Floats
    middle: Floats
    count: Floats
    per_a: Floats
    per_b: Floats


def patches_of(raw: RawPicture) -> Patches:
    """Return blocks without saturated and clipped samples; at most 2.4 million samples, spread."""
    tiles, is_valid = _tiles(raw)
    blocks = _in_blocks(tiles)[_in_blocks(is_valid).all(axis=(1, 2))]
    side = len(raw.cfa)
    colours = np.where(raw.cfa == SECOND_GREEN, GREEN, raw.cfa).astype(np.uint8)
    colours = np.tile(colours, (_BLOCK // side, _BLOCK // side))
    light = np.empty_like(blocks)
    for colour in np.unique(colours):
        own = colours == colour
        light[:, own] = blocks[:, own].mean(axis=1, keepdims=True)
    return Patches(light=light, detail=blocks - light, colours=colours, step=_STEPS[side])


def _tiles(raw: RawPicture) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return tiles ``[N, 96, 96]`` of normalised samples, and which samples are not clipped."""
    tall, wide = (max(1, size // _TILE) for size in raw.mosaic.shape)
    count = tall * wide
    taken = min(count, _MOST_TILES)
    chosen = [index * count // taken for index in range(taken)]
    rows = [slice(index // wide * _TILE, index // wide * _TILE + _TILE) for index in chosen]
    columns = [slice(index % wide * _TILE, index % wide * _TILE + _TILE) for index in chosen]
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


def _in_blocks(tiles: NDArray[Any]) -> NDArray[Any]:
    """Return ``[N, 12, 12]``; incomplete blocks are left out."""
    count, tall, wide = tiles.shape[0], tiles.shape[1] // _BLOCK, tiles.shape[2] // _BLOCK
    cut = tiles[:, : tall * _BLOCK, : wide * _BLOCK]
    parts = cut.reshape(count, tall, _BLOCK, wide, _BLOCK).transpose(0, 1, 3, 2, 4)
    return parts.reshape(-1, _BLOCK, _BLOCK)


def floor_of(patches: Patches, a: float, b: float) -> NoiseFloor:
    """Return the floor under the flattest blocks, beside a noise that is expected.

    The directions are found on one half of the blocks and measured on the other.

    Args:
        patches: at least one block.
        a: variance of the shot noise per unit of light.
        b: variance of the read noise.
    """
    expected = np.float32(a) * patches.light.clip(0) + np.float32(b)
    noise = patches.detail / np.sqrt(expected)
    level, roughness = patches.light.mean(axis=(1, 2)), _roughness(noise)
    flat = [_flattest(part, roughness[part]) for part in _bins(level)]
    chosen = np.concatenate(flat)
    owner = np.repeat(np.arange(len(flat)), [len(part) for part in flat])
    light, expected = patches.light[chosen].clip(0), expected[chosen]
    samples, per_a, per_b = (
        _cut(each, patches.step) for each in (noise[chosen], light / expected, 1 / expected)
    )
    constant = _take_means(samples, patches)
    quiet, middling = (slice(part.start + constant, part.stop + constant) for part in _DIRECTIONS)
    is_first = np.random.default_rng(0).permutation(len(chosen)) % 2 == 0
    found = np.empty((4, len(chosen)))
    for own in (is_first, ~is_first) if len(chosen) > 1 else (is_first,):
        other = ~own if len(chosen) > 1 else own
        directions = _directions(samples[other])
        energy = np.einsum("kpi,ij->kpj", samples[own], directions, optimize=True) ** 2
        share = (directions[:, quiet] ** 2).mean(axis=1)
        found[:, own] = (
            energy[..., quiet].mean(axis=(1, 2)),
            energy[..., middling].mean(axis=(1, 2)),
            (per_a[own] @ share).mean(axis=1),
            (per_b[own] @ share).mean(axis=1),
        )
    quietest, middle, of_a, of_b = (
        np.array([each[owner == index].mean() for index in range(len(flat))]) for each in found
    )
    texture = np.maximum(middle - quietest, 0) / (1 - _SHARE)
    used = (quiet.stop - quiet.start) / _PATCH**2
    return NoiseFloor(
        floor=quietest - _SHARE * texture,
        texture=texture,
        quietest=quietest,
        middle=middle,
        count=np.array([len(part) for part in flat]) * _BLOCK**2 * used,
        per_a=of_a,
        per_b=of_b,
    )


def _bins(level: Floats) -> list[NDArray[np.intp]]:
    """Return the indices of blocks of about equal light, dark ones in narrower bins."""
    root = np.sqrt(level.clip(0))
    low, high = np.quantile(root, (0.005, 0.995))
    place = ((root - low) / max(float(high - low), _NO_LIGHT) * _BINS).clip(0, _BINS - 1)
    parts = [np.flatnonzero(place.astype(int) == index) for index in range(_BINS)]
    enough = [part for part in parts if len(part) >= _LEAST_IN_BIN]
    return enough or [np.arange(len(level))]


def _flattest(places: NDArray[np.intp], roughness: Floats) -> NDArray[np.intp]:
    """Return the flattest of these blocks, and all others that are nearly as flat as noise."""
    least = max(_LEAST_IN_BIN, round(_FLATTEST * len(places)))
    white = min(int(np.count_nonzero(roughness < _WHITE)), _MOST_IN_BIN)
    return places[np.argsort(roughness, kind="stable")[: max(least, white)]]


def _cosines() -> NDArray[np.float32]:
    places, waves = 2 * np.arange(_BLOCK) + 1, np.arange(_PATCH + 1)[:, None]
    basis = np.cos(np.pi * places * waves / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    basis[0] /= math.sqrt(2)
    return basis.astype(np.float32)


_COSINES = _cosines()
_SLOW = [(y, x) for y, x in product(range(_PATCH + 1), repeat=2) if 0 < y * y + x * x <= _PATCH**2]


def _roughness(noise: NDArray[np.float32]) -> Floats:
    """Return the variance of the slow waves in blocks, 1 for white noise."""
    waves = np.einsum("ui,kij,vj->kuv", _COSINES, noise, _COSINES, optimize=True) ** 2
    return np.asarray(sum(waves[:, y, x] for y, x in _SLOW) / len(_SLOW), dtype=np.float64)


def _cut(blocks: NDArray[Any], step: int) -> NDArray[Any]:
    """Return the overlapping patches of blocks, ``[N, P, 36]``."""
    starts = range(0, _BLOCK - _PATCH + 1, step)
    patches = [blocks[:, y : y + _PATCH, x : x + _PATCH] for y in starts for x in starts]
    return np.stack(patches, axis=1).reshape(len(blocks), len(patches), -1)


def _take_means(samples: NDArray[np.float32], patches: Patches) -> int:
    """Take from patches the mean of each of their colours, in place, and return their number.

    As many directions then hold nothing.
    """
    owners = _cut(patches.colours[None], patches.step)[0]
    present = np.unique(owners)
    for index, owner in enumerate(owners):
        for colour in present:
            own = owner == colour
            samples[:, index, own] -= samples[:, index, own].mean(axis=1, keepdims=True)
    return len(present)


def _directions(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the orthonormal directions of patches as columns, that of the least variance first."""
    # No block counts more because its texture is strong.
    weight = 1 / np.maximum((patches**2).mean(axis=(1, 2)), _LEAST_ENERGY)
    covariance = np.einsum("kpi,kpj,k->ij", patches, patches, weight, optimize=True)
    directions: NDArray[np.float32] = np.linalg.eigh(covariance)[1]
    return directions
