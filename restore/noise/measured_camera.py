"""The noise of one camera by its ISO speed, as it was measured, and the JSON file that holds it."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore.arguments import argument
from restore.errors import UsageError
from restore.image.raw_picture import RawPicture
from restore.noise.eld import DarkNoise
from restore.noise.iso_noise import dark_noise
from restore.noise.poisson_gaussian import NoiseProfile

__all__ = ["FORMAT", "MOST_HOT", "IsoNoise", "MeasuredCamera", "read_camera"]

FORMAT = "imrestore camera noise 1"
"""What the field ``format`` of the file says."""

MOST_HOT = 1_000_000
"""Defective photosites that the file may name."""

_COLOURS = 3
_LARGEST_FILE = 1 << 26
_LEAST_A = 1e-9


@dataclass(frozen=True, kw_only=True)
class IsoNoise:
    """The noise at one ISO speed, with black at 0 and white at 1.

    Attributes:
        iso: ISO speed.
        a: variance of the shot noise per unit of light, for red, green and blue.
        b: variance of the read noise, rounding with it and rows without, likewise.
        row: standard deviation of the offsets that the samples of a row share.
        flat: number of flat frames that it was measured in.
        dark: number of dark frames.
        scenes: number of ordinary files.
    """

    iso: float
    a: tuple[float, ...]
    b: tuple[float, ...]
    row: float = 0.0
    flat: int = 0
    dark: int = 0
    scenes: int = 0


@dataclass(frozen=True, kw_only=True)
class MeasuredCamera:
    """The noise of one camera.

    Attributes:
        make, model: names of the maker and the camera, or "".
        height, width: photosites of the sensor.
        black_level: digital numbers of no light, for red, green, blue and second green.
        white_level: digital number at which the sensor saturates.
        speeds: noise at each ISO speed, ascending.
        prnu: photo response non-uniformity: relative standard deviation of the photosites' gains;
            None where no flat frames were given.
        hot: rows and columns of defective photosites.
    """

    make: str = ""
    model: str = ""
    height: int
    width: int
    black_level: tuple[float, float, float, float]
    white_level: float
    speeds: tuple[IsoNoise, ...]
    prnu: float | None = None
    hot: tuple[tuple[int, int], ...] = ()

    @property
    def name(self) -> str:
        """Maker and model."""
        return " ".join(part for part in (self.make, self.model) if part) or "a camera"

    @property
    def isos(self) -> tuple[float, float]:
        """Lowest and highest ISO speed."""
        return self.speeds[0].iso, self.speeds[-1].iso

    def at(self, iso: float) -> IsoNoise:
        """Return the noise at an ISO speed: logarithms interpolated, and held beyond the ends."""
        own = [speed.iso for speed in self.speeds]

        def level(values: Iterable[float]) -> float:
            logs = [math.log(max(value, 1e-20)) for value in values]
            return math.exp(float(np.interp(math.log(iso), np.log(own), logs)))

        a, b = (
            tuple(map(level, zip(*(getattr(speed, name) for speed in self.speeds), strict=True)))
            for name in ("a", "b")
        )
        return IsoNoise(iso=iso, a=a, b=b, row=level(speed.row for speed in self.speeds))

    def profile(self, iso: float | None) -> NoiseProfile:
        """Return the noise that a denoiser is told, rows counted as read noise.

        Args:
            iso: ISO speed of the picture; None where the file does not say it, which takes a
                camera that was measured at one speed only.

        Raises:
            UsageError: the speed is not known, and there are several.
        """
        if iso is None and len(self.speeds) > 1:
            low, high = self.isos
            raise UsageError(
                f"states no ISO speed, and the noise of {self.name} was measured at "
                f"{len(self.speeds)} from {low:g} to {high:g}; give "
                f"a and b as {argument('profile')}"
            )
        noise = self.at(iso or self.speeds[0].iso)
        read = (b + noise.row**2 for b in noise.b)
        red, green, blue = zip(noise.a, read, strict=True)
        return NoiseProfile(a=(red[0], green[0], blue[0]), b=(red[1], green[1], blue[1]))

    def hot_photosites(self, raw: RawPicture) -> NDArray[np.bool_] | None:
        """Return where photosites are defective ``[H, W]``; None for a mosaic of another size."""
        if (raw.height, raw.width) != (self.height, self.width):
            return None
        where = np.zeros(raw.mosaic.shape, dtype=bool)
        if self.hot:
            rows, columns = np.array(self.hot).T
            where[rows, columns] = True
        return where

    def levels(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw a, b and the row noise of ``count`` pictures at random speeds, ``(B,)`` each.

        Args:
            count: number of pictures; the logarithm of their ISO speed is uniform.
            generator: on the device of the result.
        """
        device = generator.device
        low, high = (math.log(iso) for iso in self.isos)
        draws = torch.rand(count, generator=generator, device=device).tolist()
        noise = [self.at(math.exp(low + (high - low) * draw)) for draw in draws]
        values = [(sum(n.a) / _COLOURS, sum(n.b) / _COLOURS, n.row) for n in noise]
        a, b, row = torch.tensor(values, device=device).unbind(dim=1)
        return a, b, row

    def dark_noise(self, count: int, range_dn: float, generator: torch.Generator) -> DarkNoise:
        """Draw the noise of ``count`` pictures as ``add_dark_noise`` takes it."""
        return self._as_dark_noise(self.levels(count, generator), range_dn)

    def dark_noise_at(self, iso: float, range_dn: float) -> DarkNoise:
        """Return the noise of one picture at an ISO speed."""
        noise = self.at(iso)
        values = (sum(noise.a) / _COLOURS, sum(noise.b) / _COLOURS, noise.row)
        a, b, row = (torch.tensor([value]) for value in values)
        return self._as_dark_noise((a, b, row), range_dn)

    @staticmethod
    def _as_dark_noise(levels: tuple[Tensor, Tensor, Tensor], range_dn: float) -> DarkNoise:
        a, b, row = levels
        plain = dark_noise(a, b, range_dn)
        return DarkNoise(
            gain=plain.gain,
            read_scale=plain.read_scale,
            shape=plain.shape,
            row_sigma=row * range_dn,
            black_error=plain.black_error,
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """What is stored with weights that were trained on this noise."""
        return {
            "make": self.make,
            "model": self.model,
            "speeds": [asdict(speed) for speed in self.speeds],
        }

    def to_json(self) -> str:
        """Return the text of the file."""
        values = {"format": FORMAT, **asdict(self)}
        hot = json.dumps(values.pop("hot"), separators=(",", ":"))
        return json.dumps(values, indent=2)[:-2] + f',\n  "hot": {hot}\n}}\n'


def read_camera(path: str | PathLike[str]) -> MeasuredCamera:
    """Read a file that ``imrestore noise-profile`` wrote.

    Raises:
        UsageError: it cannot be read, or is no such file; the message names the first field that is
            wrong.
    """
    try:
        size = Path(path).stat().st_size
        if size > _LARGEST_FILE:
            raise UsageError(f"{path}: is no camera noise file: {size:,} bytes")
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is no camera noise file: it is not JSON") from error
    try:
        return _checked(stored)
    except _Misfit as misfit:
        raise UsageError(
            f"{path}: is no camera noise file: {misfit}; make one with `imrestore noise-profile`"
        ) from misfit


class _Misfit(Exception):
    """A field that is missing or wrong."""


def _checked(stored: Any) -> MeasuredCamera:
    fields = _of(stored, dict, "the whole")
    if fields.get("format") != FORMAT:
        raise _Misfit(f"format is {fields.get('format')!r:.60}, not {FORMAT!r}")
    known = {"format", *MeasuredCamera.__dataclass_fields__}
    if unknown := sorted(fields.keys() - known):
        raise _Misfit(f"unknown field {unknown[0]!r:.60}")
    height, width = (int(_number(fields, name, 1, 1 << 20)) for name in ("height", "width"))
    white = _number(fields, "white_level", 1, 1 << 24)
    black = _numbers(fields, "black_level", 4, 0, white)
    if max(black) >= white:
        raise _Misfit("black_level is not below white_level")
    speeds = [_speed(each) for each in _of(fields.get("speeds"), list, "speeds")]
    isos = [speed.iso for speed in speeds]
    if not speeds or isos != sorted(set(isos)):
        raise _Misfit("speeds must be a list with ascending iso")
    hot = _of(fields.get("hot", []), list, "hot")
    if len(hot) > MOST_HOT:
        raise _Misfit(f"hot has {len(hot):,} photosites")
    return MeasuredCamera(
        make=_of(fields.get("make", ""), str, "make"),
        model=_of(fields.get("model", ""), str, "model"),
        height=height,
        width=width,
        black_level=black,
        white_level=white,
        speeds=tuple(speeds),
        prnu=None if fields.get("prnu") is None else _number(fields, "prnu", 0, 1),
        hot=tuple(_place(each, height, width) for each in hot),
    )


def _speed(stored: Any) -> IsoNoise:
    fields = _of(stored, dict, "speeds")
    if unknown := sorted(fields.keys() - IsoNoise.__dataclass_fields__.keys()):
        raise _Misfit(f"unknown field speeds.{unknown[0]!s:.60}")
    counts = {
        name: int(_number({name: fields.get(name, 0)}, name, 0, 1 << 30))
        for name in ("flat", "dark", "scenes")
    }
    return IsoNoise(
        iso=_number(fields, "iso", 1, 1e8),
        a=_numbers(fields, "a", _COLOURS, _LEAST_A, 1),
        b=_numbers(fields, "b", _COLOURS, 0, 1),
        row=_number({"row": fields.get("row", 0)}, "row", 0, 1),
        **counts,
    )


def _place(stored: Any, height: int, width: int) -> tuple[int, int]:
    place = _of(stored, list, "hot")
    if len(place) != 2 or not all(type(each) is int for each in place):
        raise _Misfit("hot must be a list of [row, column]")
    row, column = place
    if not (0 <= row < height and 0 <= column < width):
        raise _Misfit(f"hot has [{row}, {column}], outside of {height} by {width} photosites")
    return row, column


def _of(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        what: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
        raise _Misfit(f"{name} must be {what[kind]}")
    return value


def _number(fields: dict[str, Any], name: str, low: float, high: float) -> float:
    value = fields.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Compared before it is converted: JSON's integers may be too large for a float.
    if value is None or not is_number or not low <= value <= high:
        raise _Misfit(f"{name} is {value!r:.60}; give a number from {low:g} to {high:g}")
    return float(value)


def _numbers(fields: dict[str, Any], name: str, count: int, low: float, high: float) -> Any:
    values = fields.get(name)
    if not isinstance(values, list) or len(values) != count:
        raise _Misfit(f"{name} must be a list of {count} numbers")
    return tuple(_number({name: each}, name, low, high) for each in values)
