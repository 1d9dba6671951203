"""The noise of a camera, measured in its RAW files: flat frames, dark frames, or ordinary ones.

Photon transfer: Janesick, "Photon Transfer: DN -> lambda", SPIE Press 2007; EMVA 1288.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import InputError, UsageError
from restore.image.photosites import defects
from restore.image.raw import read_raw
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture
from restore.noise.measured_camera import IsoNoise, MeasuredCamera
from restore.noise.poisson_gaussian import estimate_profile

__all__ = ["FrameKind", "Measured", "Point", "kind_of", "measure_camera"]

Floats = NDArray[np.float64]

_BLOCK = 32
"""Side in samples of one colour of the blocks whose means tell what a frame shows."""

_DARKEST_FLAT, _BRIGHTEST_FLAT = 0.01, 0.9
_MOST_GLOW = 0.02
_UNEVEN = 0.03
"""Share of a flat frame's light by which blocks may differ from a quadratic surface."""

_ALIKE = 0.02
_TILE = 64
_COLOURS = 3
_LEAST_A = 1e-9
_ROUNDS = 4
_DEAD = 0.5


class FrameKind(StrEnum):
    """What a frame shows."""

    DARK = "dark"
    FLAT = "flat"
    SCENE = "scene"


@dataclass(frozen=True)
class Point:
    """One point of a photon transfer curve: light and variance, white at 1.

    Attributes:
        iso: ISO speed.
        colour: 0 red, 1 green, 2 blue.
        light: mean of the samples.
        variance: variance of the noise, rows without.
        samples: number of samples that it was measured in.
    """

    iso: float
    colour: int
    light: float
    variance: float
    samples: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A camera with the points that its noise was fitted to.

    Attributes:
        camera: the camera.
        points: points of the photon transfer curve.
        kinds: what each file was taken for.
    """

    camera: MeasuredCamera
    points: tuple[Point, ...]
    kinds: dict[Path, FrameKind]


def measure_camera(paths: Sequence[Path], warn: Callable[[str], None]) -> Measured:
    """Measure the noise of the camera that took some RAW files.

    At each ISO speed two flat frames of one exposure, and two dark ones, suffice: their differences
    hold no pattern and no vignetting, but noise alone. Single frames are compared with themselves,
    sample by sample of one row, which counts the pattern as noise. Speeds of which there are
    ordinary files only get what is estimated in these.

    Args:
        paths: RAW files of one camera.
        warn: called with one line about everything left out or assumed.

    Raises:
        UsageError: no usable file, or files of several cameras.
    """
    frames = _read(paths, warn)
    kinds = {path: kind_of(frame) for path, frame in frames.items()}
    first = next(iter(frames.values()))
    groups: dict[float, dict[FrameKind, list[RawPicture]]] = {}
    for path, frame in frames.items():
        own = groups.setdefault(float(frame.iso or 0), {kind: [] for kind in FrameKind})
        own[kinds[path]].append(frame)
    if 0 in groups and len(groups) > 1:
        unknown = sum(map(len, groups.pop(0).values()))
        warn(f"{unknown} files state no ISO speed; left out")
    if 0 in groups:
        warn("the files state no ISO speed; it is noted as 100")
    points: list[Point] = []
    speeds = []
    for iso, own in sorted(groups.items()):
        own_points, speed = _speed(iso or 100.0, own, warn)
        points += own_points
        speeds.append(speed)
    darks = [frame for own in groups.values() for frame in own[FrameKind.DARK]]
    flats = [frame for own in groups.values() for frame in own[FrameKind.FLAT]]
    camera = MeasuredCamera(
        make=first.make,
        model=first.model,
        height=first.height,
        width=first.width,
        black_level=_black_level(darks, warn) if darks else first.black_level,
        white_level=first.white_level,
        speeds=tuple(speeds),
        prnu=_prnu(flats),
        hot=_defective(darks, flats),
    )
    return Measured(camera=camera, points=tuple(points), kinds=kinds)


def _read(paths: Sequence[Path], warn: Callable[[str], None]) -> dict[Path, RawPicture]:
    frames: dict[Path, RawPicture] = {}
    for path in paths:
        try:
            frame = read_raw(path)
        except InputError as error:
            warn(f"{error}; left out")
            continue
        for other_path, other in frames.items():
            is_same = frame.mosaic.shape == other.mosaic.shape and np.array_equal(
                frame.cfa, other.cfa
            )
            if not is_same or (frame.make, frame.model) != (other.make, other.model):
                raise UsageError(
                    f"{path}: is of another camera, size or filter than {other_path}; "
                    "give the files of one"
                )
            break
        frames[path] = frame
    if not frames:
        raise UsageError("no usable RAW file to measure the noise in")
    return frames


def _planes(frame: RawPicture) -> list[tuple[int, Floats]]:
    """Return each place of the filter as its colour and its samples ``[h, w]``, white at 1."""
    side = len(frame.cfa)
    planes = []
    for y in range(side):
        for x in range(side):
            code = int(frame.cfa[y, x])
            black = frame.black_level[code]
            samples = frame.mosaic[y::side, x::side].astype(np.float64)
            colour = GREEN if code == SECOND_GREEN else code
            planes.append((colour, (samples - black) / (frame.white_level - black)))
    return planes


def kind_of(frame: RawPicture) -> FrameKind:
    """Return what a frame shows: nothing, an even surface, or a scene."""
    is_flat = is_dark = True
    for _, plane in _planes(frame):
        means = _block_means(plane, _BLOCK)
        if means.size < 9:
            return FrameKind.SCENE
        light = float(np.median(means))
        uneven = float(np.abs(means - _surface(means)).mean())
        is_dark &= light < _MOST_GLOW and float(np.abs(means - light).max()) < _MOST_GLOW / 4
        is_flat &= (
            light > _DARKEST_FLAT
            and float(means.max()) < _BRIGHTEST_FLAT
            and uneven < _UNEVEN * light
        )
    return FrameKind.DARK if is_dark else FrameKind.FLAT if is_flat else FrameKind.SCENE


def _block_means(plane: Floats, side: int) -> Floats:
    side = max(1, min(side, min(plane.shape) // 4))
    tall, wide = (size // side for size in plane.shape)
    blocks = plane[: tall * side, : wide * side].reshape(tall, side, wide, side)
    means: Floats = blocks.mean(axis=(1, 3))
    return means


def _surface(means: Floats) -> Floats:
    """Return the quadratic surface that fits means of blocks, as vignetting does."""
    rows, columns = (each.ravel() for each in np.indices(means.shape, dtype=np.float64))
    terms = np.stack([rows**0, rows, columns, rows**2, rows * columns, columns**2], axis=1)
    fit, *_ = np.linalg.lstsq(terms, means.ravel(), rcond=None)
    surface: Floats = (terms @ fit).reshape(means.shape)
    return surface


def _speed(
    iso: float, frames: dict[FrameKind, list[RawPicture]], warn: Callable[[str], None]
) -> tuple[list[Point], IsoNoise]:
    """Return points and noise at one ISO speed."""
    flats, darks, scenes = (
        frames[kind] for kind in (FrameKind.FLAT, FrameKind.DARK, FrameKind.SCENE)
    )
    pairs = _pairs(darks) or _pairs(flats)
    row = _row_noise(pairs) if pairs else 0.0
    points = [
        point
        for group in (flats, darks)
        for point in (_of_pairs(iso, group, row) or _of_singles(iso, group))
    ]
    counts = {"flat": len(flats), "dark": len(darks), "scenes": len(scenes)}
    if flats:
        if not _pairs(flats):
            warn(f"ISO {iso:g}: no two flat frames of one exposure: their pattern counts as noise")
        a, b = _fit(points)
    else:
        profiles = [estimate_profile(frame) for frame in scenes]
        if not profiles:
            raise UsageError(
                f"ISO {iso:g}: dark frames alone do not tell the shot noise; add two flat frames "
                "(an evenly lit surface, out of focus) or ordinary files of this speed"
            )
        warn(f"ISO {iso:g}: estimated in ordinary files; two flat frames would be exact")
        a = _geometric_means([profile.a for profile in profiles])
        b = _geometric_means([profile.b for profile in profiles])
        if darks:
            b = _mean_variances(points, b)
    return points, IsoNoise(iso=iso, a=a, b=b, row=row, **counts)


def _geometric_means(levels: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the geometric mean of each colour."""
    logs = np.log(np.maximum(np.asarray(levels), 1e-12))
    return tuple(np.exp(logs.mean(axis=0)).tolist())


def _pairs(frames: Sequence[RawPicture]) -> list[tuple[RawPicture, RawPicture]]:
    """Return frames next to each other that have the same exposure."""
    means = [float(frame.mosaic.mean()) - max(frame.black_level) for frame in frames]
    order = sorted(range(len(frames)), key=lambda index: means[index])
    pairs = []
    while len(order) > 1:
        one, other = order[:2]
        first, second = frames[one], frames[other]
        allowed = _ALIKE * max(means[one], _DARKEST_FLAT * first.range_dn)
        is_alike = first.exposure_time_s == second.exposure_time_s
        is_alike &= means[other] - means[one] < allowed
        if is_alike:
            pairs.append((first, second))
        order = order[2 if is_alike else 1 :]
    return pairs


def _difference(
    pair: tuple[RawPicture, RawPicture],
) -> list[tuple[int, Floats, Floats]]:
    """Return colour, mean and difference of each place of the filter; brightness made equal."""
    parts = []
    for (colour, one), (_, other) in zip(*map(_planes, pair), strict=True):
        mean_one, mean_other = float(one.mean()), float(other.mean())
        ratio = mean_one / mean_other if mean_other > _DARKEST_FLAT else 1.0
        difference = (one - other * ratio) / math.sqrt((1 + ratio**2) / 2)
        parts.append((colour, (one + other) / 2, difference))
    return parts


def _row_noise(pairs: Sequence[tuple[RawPicture, RawPicture]]) -> float:
    """Return the deviation of the offsets of rows, from the differences of pairs."""
    variances = []
    for pair in pairs:
        parts = _difference(pair)
        side = len(pair[0].cfa)
        for y in range(side):  # the places of one row
            own = [difference for _, _, difference in parts[y * side : y * side + side]]
            count = sum(part.shape[1] for part in own)
            centred = [part - part.mean() for part in own]
            rows = sum(part.sum(axis=1) for part in centred) / count
            white = sum(float(part.var()) * part.shape[1] for part in own) / count**2
            variances.append(max(float(np.var(rows)) - white, 0.0) / 2)
    return math.sqrt(float(np.mean(variances)))


def _of_pairs(iso: float, frames: Sequence[RawPicture], row: float) -> list[Point]:
    points = []
    for pair in _pairs(frames):
        for colour, mean, difference in _difference(pair):
            for light, part in zip(_tiles(mean), _tiles(difference), strict=True):
                is_sound = np.abs(part - np.median(part)) < 8 * _robust(part) + 1e-9
                variance = float(part[is_sound].var()) / 2 - row**2
                points.append(Point(iso, colour, float(light.mean()), variance, part.size))
    return points


def _of_singles(iso: float, frames: Sequence[RawPicture]) -> list[Point]:
    """Return points from differences of neighbours in a row, which have no row noise."""
    points = []
    for frame in frames:
        for colour, plane in _planes(frame):
            difference = (plane[:, 1:] - plane[:, :-1]) / math.sqrt(2)
            for light, part in zip(_tiles(plane[:, 1:]), _tiles(difference), strict=True):
                is_sound = np.abs(part - np.median(part)) < 8 * _robust(part) + 1e-9
                points.append(
                    Point(iso, colour, float(light.mean()), float(part[is_sound].var()), part.size)
                )
    return points


def _robust(values: Floats) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _tiles(plane: Floats) -> list[Floats]:
    side = min(_TILE, *plane.shape)
    tall, wide = (size // side for size in plane.shape)
    return [
        plane[y * side : (y + 1) * side, x * side : (x + 1) * side]
        for y in range(tall)
        for x in range(wide)
    ]


def _fit(points: Sequence[Point]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return a and b of each colour: least squares, weighted by what the variances vary by."""
    every = [_line([point for point in points if point.colour == c]) for c in range(_COLOURS)]
    green = every[GREEN] or next(filter(None, every))
    lines = [line or green for line in every]
    return tuple(max(a, _LEAST_A) for a, _ in lines), tuple(max(b, 0.0) for _, b in lines)


def _line(points: Sequence[Point]) -> tuple[float, float] | None:
    if not points:
        return None
    light = np.array([point.light for point in points])
    variance = np.array([point.variance for point in points])
    count = np.array([point.samples for point in points])
    a, b = max(float(variance.sum() / max(light.sum(), 1e-9)), _LEAST_A), 0.0
    for _ in range(_ROUNDS):
        expected = (a * light.clip(0) + b).clip(1e-15)
        weight = np.sqrt(count) / expected
        terms = np.stack([light, np.ones_like(light)], axis=1) * weight[:, None]
        (a, b), *_ = np.linalg.lstsq(terms, variance * weight, rcond=None)
        a, b = max(float(a), _LEAST_A), max(float(b), 0.0)
    return a, b


def _mean_variances(points: Sequence[Point], otherwise: tuple[float, ...]) -> tuple[float, ...]:
    means = []
    for colour, other in enumerate(otherwise):
        own = [max(point.variance, 0.0) for point in points if point.colour == colour]
        means.append(float(np.mean(own)) if own else other)
    return tuple(means)


def _black_level(
    darks: Sequence[RawPicture], warn: Callable[[str], None]
) -> tuple[float, float, float, float]:
    """Return the means of dark frames without their hot photosites, for each colour."""
    first = darks[0]
    levels = list(first.black_level)
    side = len(first.cfa)
    for y in range(side):
        for x in range(side):
            planes = np.stack([frame.mosaic[y::side, x::side] for frame in darks])
            low, high = np.quantile(planes, (0.001, 0.999))
            within = planes[(planes >= low) & (planes <= high)]
            levels[int(first.cfa[y, x])] = round(float(within.mean()), 3)
    if side == 1:
        levels = 4 * [levels[GREEN]]
    most = max(abs(one - other) for one, other in zip(levels, first.black_level, strict=True))
    if most > 1:
        warn(f"dark frames lie up to {most:.3g} from the black level that the files state")
    red, green, blue, second = levels
    return red, green, blue, second


def _prnu(flats: Sequence[RawPicture]) -> float | None:
    """Return how much the gains of photosites differ: what two flat frames have in common."""
    values = []
    for pair in _pairs(flats):
        for (_, one), (_, other) in zip(*map(_planes, pair), strict=True):
            common = float((_fine(one) * _fine(other)).mean())
            values.append(max(common, 0.0) / float(one.mean() * other.mean()))
    return round(math.sqrt(float(np.median(values))), 6) if values else None


def _fine(plane: Floats) -> Floats:
    """Return differences of neighbours, with the variance of samples, and without the largest."""
    width = plane.shape[1] // 2 * 2
    fine: Floats = (plane[:, 1:width:2] - plane[:, :width:2]) / math.sqrt(2)
    return fine.clip(*np.quantile(fine, (0.0005, 0.9995)))


def _defective(
    darks: Sequence[RawPicture], flats: Sequence[RawPicture]
) -> tuple[tuple[int, int], ...]:
    """Return rows and columns of photosites that are hot in the dark, or dead in the light."""
    found: NDArray[np.bool_] | None = None
    for frames in (darks, flats):
        if not frames:
            continue
        mean = np.mean([frame.mosaic for frame in frames], axis=0)
        averaged = replace(frames[0], mosaic=np.rint(mean).astype(np.uint16))
        own = defects(averaged)
        found = own if found is None else found | own
    if found is None:
        return ()
    rows, columns = np.nonzero(found)
    return tuple(zip(rows.tolist(), columns.tolist(), strict=True))
