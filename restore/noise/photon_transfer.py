"""The noise of a camera, measured in its RAW files: flat frames, dark frames, or ordinary ones.

Photon transfer: Janesick, "Photon Transfer: DN -> lambda", SPIE Press 2007; EMVA 1288.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from restore.errors import InputError, UsageError
from restore.image.raw import read_raw
from restore.image.raw_picture import GREEN, RawPicture
from restore.noise.fixed_pattern import black_level_of, defective_in, prnu_of
from restore.noise.frame_kinds import (
    DARKEST_FLAT,
    Floats,
    FrameKind,
    kind_of,
    pairs_of,
    planes_of,
)
from restore.noise.measured_camera import IsoNoise, MeasuredCamera
from restore.noise.poisson_gaussian import estimate_profile
from restore.words import counted

__all__ = ["Measured", "Point", "measure_camera"]

_TILE = 64
_COLOURS = 3
_LEAST_A = 1e-9
_ROUNDS = 4


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
    kinds: dict[Path, FrameKind] = {}
    groups: dict[float, _Group] = {}
    first: RawPicture | None = None
    for path, frame in _read(paths, warn):
        first = first or frame
        kinds[path] = kind_of(frame)
        groups.setdefault(float(frame.iso or 0), _Group()).add(path, frame, kinds[path])
    if first is None:
        raise UsageError("no usable RAW file to measure the noise in")
    if 0 in groups and len(groups) > 1:
        unknown = len(groups.pop(0))
        warn(f"without an ISO speed: {counted(unknown, 'file')}, left out")
    if 0 in groups:
        warn("the files state no ISO speed; it is noted as 100")
    points: list[Point] = []
    speeds = []
    for iso, own in sorted(groups.items()):
        own_points, speed = _speed(iso or 100.0, own, warn)
        points += own_points
        speeds.append(speed)
    darks = [frame for own in groups.values() for frame in own.darks]
    flats = [frame for own in groups.values() for frame in own.flats]
    camera = MeasuredCamera(
        make=first.make,
        model=first.model,
        height=first.height,
        width=first.width,
        black_level=black_level_of(darks, warn) if darks else first.black_level,
        white_level=first.white_level,
        speeds=tuple(speeds),
        prnu=prnu_of(flats),
        hot=defective_in(darks, flats, warn),
    )
    return Measured(camera=camera, points=tuple(points), kinds=kinds)


@dataclass(frozen=True)
class _Group:
    """The files of one ISO speed; of ordinary ones, which may be many, none is in memory."""

    flats: list[RawPicture] = field(default_factory=list)
    darks: list[RawPicture] = field(default_factory=list)
    scenes: list[Path] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.flats) + len(self.darks) + len(self.scenes)

    def add(self, path: Path, frame: RawPicture, kind: FrameKind) -> None:
        if kind is FrameKind.SCENE:
            self.scenes.append(path)
        else:
            (self.flats if kind is FrameKind.FLAT else self.darks).append(frame)


def _read(paths: Sequence[Path], warn: Callable[[str], None]) -> Iterator[tuple[Path, RawPicture]]:
    """Yield the files that can be read.

    Raises:
        UsageError: they are of several cameras.
    """
    first: tuple[Path, RawPicture] | None = None
    for path in paths:
        try:
            frame = read_raw(path)
        except InputError as error:
            warn(f"{error}; left out")
            continue
        first = first or (path, frame)
        other_path, other = first
        is_same = frame.mosaic.shape == other.mosaic.shape and np.array_equal(frame.cfa, other.cfa)
        if not is_same or (frame.make, frame.model) != (other.make, other.model):
            raise UsageError(
                f"{path}: is of another camera, size or filter than {other_path}; "
                "give the files of one"
            )
        yield path, frame


def _speed(iso: float, group: _Group, warn: Callable[[str], None]) -> tuple[list[Point], IsoNoise]:
    """Return points and noise at one ISO speed."""
    flats, darks, scenes = group.flats, group.darks, group.scenes
    pairs = pairs_of(darks) or pairs_of(flats)
    row = _row_noise(pairs) if pairs else 0.0
    points = [
        point
        for frames in (flats, darks)
        for point in (_of_pairs(iso, frames, row) or _of_singles(iso, frames))
    ]
    counts = {"flat": len(flats), "dark": len(darks), "scenes": len(scenes)}
    if flats:
        if not pairs_of(flats):
            warn(f"ISO {iso:g}: no two flat frames of one exposure: their pattern counts as noise")
        a, b = _fit(points)
    else:
        profiles = [estimate_profile(read_raw(path)) for path in scenes]
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


def _difference(
    pair: tuple[RawPicture, RawPicture],
) -> list[tuple[int, Floats, Floats]]:
    """Return colour, mean and difference of each place of the filter; brightness made equal."""
    parts = []
    for (colour, one), (_, other) in zip(*map(planes_of, pair), strict=True):
        mean_one, mean_other = float(one.mean()), float(other.mean())
        ratio = mean_one / mean_other if mean_other > DARKEST_FLAT else 1.0
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
    for pair in pairs_of(frames):
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
        for colour, plane in planes_of(frame):
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
