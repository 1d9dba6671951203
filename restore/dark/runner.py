"""Dark RAW files: a mosaic in, a photograph out."""

import math
import sys
import time
from dataclasses import dataclass, field, replace
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import ImageCms

from restore.checks import checked_number
from restore.dark.task import TASK
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.errors import UnsupportedImage, UsageError
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.compare import viewable
from restore.image.develop import auto_ratio, camera_to_srgb, gains_of, gray_world
from restore.image.dng import write_linear_dng
from restore.image.encode import check_depth, encode_as
from restore.image.metadata import with_orientation
from restore.image.picture import Picture, Transfer, upright_plane
from restore.image.raw import as_raw
from restore.image.raw_picture import (
    PLANE_COLOURS,
    RawPicture,
    fill_mosaic,
    normalised,
    pack,
    unpack,
)
from restore.models.isp_resunet import IspResUNetConfig
from restore.models.isp_unet import IspUNetConfig
from restore.reopen import Reopened
from restore.weights.file import shipped
from restore.weights.store import Weights

__all__ = ["DarkEnhancer", "Enhanced", "OutputColor", "WhiteBalance"]

OutputColor = Literal["srgb", "linear"]
WhiteBalance = Literal["camera", "auto"] | tuple[float, float, float]

_ROWS_AT_ONCE = 256
_MOST_RATIO = 10_000.0
_MOST_STOPS = 10.0


@dataclass(frozen=True, kw_only=True)
class Enhanced:
    """A developed picture, and the record of how it was made.

    Attributes:
        colour: float32 ``[3, H, W]``, output of the network: white-balanced camera RGB, encoded
            with sRGB's curve, or finished sRGB where ``to_srgb`` is None; not rotated upright.
        raw: RAW picture that it was made from.
        gains: white-balance factors of red, green and blue applied to ``colour``, at least 1.
        to_srgb: matrix ``[3, 3]`` from camera RGB to linear sRGB, or None.
        output_color: srgb, or linear for scene-linear light in sRGB's primaries.
        ratio: amplification applied to ``colour``.
        record: model, device, precision, tile, ratio, white balance, megapixels, seconds. Plain
            values, ready for JSON.

    >>> import numpy as np
    >>> import restore
    >>> raw = restore.RawPicture(
    ...     mosaic=np.full((64, 64), 600, np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> enhanced = restore.DarkEnhancer()(raw, ratio=20, output_color="linear")
    >>> enhanced.picture.is_float, enhanced.record["sensor"]
    (True, 'RGGB')
    """

    colour: NDArray[np.float32]
    raw: RawPicture
    gains: NDArray[np.float32]
    ratio: float
    to_srgb: NDArray[np.float32] | None
    output_color: OutputColor = "srgb"
    record: dict[str, str | float | int | bool] = field(default_factory=dict)

    @property
    def picture(self) -> Picture:
        """The finished picture, upright: 16-bit sRGB, or floating point where it is linear."""
        is_linear = self.output_color == "linear"
        exif = self.raw.exif
        return Picture(
            pixels=upright_plane(self.on_sensor(), self.raw.orientation),
            bit_depth=32 if is_linear else 16,
            is_float=is_linear,
            transfer=Transfer.LINEAR if is_linear else Transfer.SRGB,
            exif=with_orientation(exif, 1) if exif else None,
            icc=None if is_linear else _srgb_profile(),
        )

    def on_sensor(self) -> NDArray[np.float32]:
        """Return the pixels of the finished picture ``[3, H, W]``, not turned upright."""
        return _developed(self.colour, self.to_srgb, linear=self.output_color == "linear")

    @property
    def before(self) -> NDArray[np.uint8]:
        """The mosaic amplified and developed in the same way: uint8 ``[H, W, 3]``, upright.

        Each pixel has the colours of its own cell of the mosaic, and nothing is denoised.
        """
        packed = pack(normalised(self.raw), self.raw.cfa)
        scale = 2 if len(packed.planes) == 4 else 3
        factors = self.gains * np.float32(self.ratio)
        cells = (packed.planes[:3] * factors[:, None, None]).clip(0, 1)
        colour = unpack(cells.repeat(scale, axis=1).repeat(scale, axis=2), packed)
        developed = _developed(linear_to_srgb(colour), self.to_srgb, linear=False)
        return viewable(Picture(pixels=upright_plane(developed, self.raw.orientation)))

    def encoded(self, image_format: ImageFormat, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file; DNG holds linear camera RGB before white balance.

        Raises:
            UsageError: a depth or quality that the container does not have.
            OutputError: the container cannot hold this picture.
        """
        check_depth(image_format, options.bit_depth, is_light=self.output_color == "linear")
        if image_format is not ImageFormat.DNG:
            return encode_as(self.picture, image_format, options)
        if self.to_srgb is None:
            raise UsageError("these weights make finished sRGB pictures, which a DNG cannot hold")
        light = srgb_to_linear(self.colour)
        light /= self.gains[:, None, None]
        raw = replace(self.raw, exif=None) if options.strip_metadata else self.raw
        red, green, blue = self.gains.tolist()
        return write_linear_dng(light, replace(raw, white_balance=(red, green, blue)))


class DarkEnhancer(Reopened):
    """Develops dark RAW files with a network for Bayer and X-Trans sensors, or one for each.

    Args:
        model: ``auto`` for the shipped network of each sensor, a shipped name, or a weight file.
        device: as for ``Placement``.
        precision: as for ``Placement``.
        tile: as for ``Placement``, in pixels of the mosaic.

    Raises:
        WeightsError: the weights are missing, damaged or for another task.
        UsageError: an option is invalid.
        DeviceError: the device is not on this machine.

    It can be pickled: another process opens the networks anew.

    >>> import numpy as np
    >>> import restore
    >>> raw = restore.RawPicture(
    ...     mosaic=np.full((64, 64), 600, np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> enhancer = restore.DarkEnhancer("isp-bayer")
    >>> enhancer(raw, ratio=20).picture.pixels.shape
    (3, 64, 64)
    """

    def __init__(
        self,
        model: str | Path = "auto",
        *,
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
    ) -> None:
        self._networks: dict[int, _Network] = {}
        placement = Placement(device=device, precision=precision, tile=tile)
        names = [str(model)]
        if str(model) == "auto":
            usual = list(dict.fromkeys(TASK.default_weights.values()))
            names = [name for name in usual if name in shipped()] or usual[:1]
        for name in names:
            weights = TASK.load(name)
            network = _Network(Runner(weights, placement), weights.config, _lowest(weights))
            for period in weights.config.periods:
                self._networks.setdefault(period, network)

    @property
    def lanes(self) -> int:
        """Number of pictures processed at once when it is called from several threads."""
        return max(network.runner.lanes for network in self._networks.values())

    @property
    def periods(self) -> tuple[int, ...]:
        """Periods of the colour filters that there is a network for: 2 is Bayer, 6 X-Trans."""
        return tuple(sorted(self._networks))

    def __call__(
        self,
        source: RawPicture | str | PathLike[str],
        *,
        ratio: float | Literal["auto"] = "auto",
        ev: float = 0.0,
        white_balance: WhiteBalance = "camera",
        output_color: OutputColor = "srgb",
    ) -> Enhanced:
        """Develop a mosaic into a photograph.

        Args:
            source: ``RawPicture`` of any size, or the path of a camera's RAW file.
            ratio: amplification, or auto to choose it from the data (see ``auto_ratio``).
            ev: stops by which the amplification is raised.
            white_balance: camera for what the file says, auto for ``gray_world``, or factors for
                red, green and blue.
            output_color: see ``Enhanced``.

        Raises:
            UsageError: a value out of range.
            UnsupportedImage: no network for this kind of sensor, or no RAW file.
            InputError: the file cannot be read.
            DeviceError: not even a small tile fits the device's memory.
        """
        _check(ratio, ev, white_balance, output_color)
        raw = as_raw(source)
        started = time.perf_counter()
        network = self._network(raw)
        config = network.config
        packed = pack(normalised(raw), raw.cfa)
        is_finished = config.head == "srgb"
        balance = _balance(raw, packed.planes, white_balance)
        gains = np.ones(3, np.float32) if is_finished else gains_of(balance)
        colours = np.array(PLANE_COLOURS[len(raw.cfa)])
        planes = packed.planes
        planes *= gains[colours][:, None, None]
        amplification = (auto_ratio(planes) if ratio == "auto" else ratio) * 2**ev
        planes *= np.float32(amplification)
        np.clip(planes, network.lowest, config.highest, out=planes)
        colour = unpack(network(planes, len(raw.cfa)), packed)
        return Enhanced(
            colour=colour,
            raw=raw,
            gains=gains,
            ratio=amplification,
            to_srgb=None if is_finished else camera_to_srgb(raw),
            output_color=output_color,
            record={
                **network.runner.record(),
                "ratio": round(amplification, 2),
                "ratio_auto": ratio == "auto",
                "white_balance": ",".join(f"{factor:.4g}" for factor in balance),
                "sensor": "X-Trans" if raw.is_xtrans else raw.pattern.upper(),
                "megapixels": round(raw.width * raw.height / 1e6, 6),
                "seconds": round(time.perf_counter() - started, 4),
            },
        )

    def _network(self, raw: RawPicture) -> "_Network":
        network = self._networks.get(len(raw.cfa))
        if network is None:
            kind = "an X-Trans" if raw.is_xtrans else "a Bayer"
            names = ", ".join(one.runner.name for one in self._networks.values())
            raise UnsupportedImage(
                f"is from {kind} sensor, for which {names} was not trained; give other weights "
                "with --model (`imrestore train dark-enhance` makes them)"
            )
        return network


@dataclass(frozen=True)
class _Network:
    """A network, what it takes, and the lowest sample that it was trained on."""

    runner: Runner
    config: IspUNetConfig | IspResUNetConfig
    lowest: float

    def __call__(self, planes: NDArray[np.float32], period: int) -> NDArray[np.float32]:
        """Return colour for every pixel of a packed mosaic in reference phase, ``[3, H, W]``."""
        inputs = planes if self.config.packs else _with_filters(planes, period)
        return self.runner.tiled(inputs, channels=self.runner.traits.channels)


def _with_filters(planes: NDArray[np.float32], period: int) -> NDArray[np.float32]:
    """Return the mosaic of ``planes`` and the filter over each of its pixels, ``[2, H, W]``."""
    step = 2 if period == 2 else 3
    result = np.empty((2, step * planes.shape[1], step * planes.shape[2]), np.float32)
    colours = np.array(PLANE_COLOURS[period], np.float32)[:, None, None]
    fill_mosaic(result[0], planes, period)
    fill_mosaic(result[1], np.broadcast_to(colours, planes.shape), period)
    return result


def _lowest(weights: Weights) -> float:
    """Return the lowest sample that a network was trained on.

    Chen et al. (CVPR 2018) and all ports of their code clip noise below black; networks trained
    here see it.
    """
    return 0.0 if "converted_from" in weights.provenance else -math.inf


def _check(
    ratio: float | str, ev: float, white_balance: WhiteBalance, output_color: OutputColor
) -> None:
    if not (isinstance(ratio, str) and ratio == "auto"):
        expected = f"a number up to {_MOST_RATIO:g}, or auto"
        checked_number("ratio", ratio, 0, _MOST_RATIO, expected, above=True)
    stops = f"stops from -{_MOST_STOPS:g} to {_MOST_STOPS:g}"
    checked_number("ev", ev, -_MOST_STOPS, _MOST_STOPS, stops)
    if isinstance(white_balance, tuple):
        factors = "three positive factors, for red, green and blue"
        if len(white_balance) != 3:
            raise UsageError(f"white balance {white_balance}: give {factors}")
        for factor in white_balance:
            checked_number("white balance", factor, 0, sys.float_info.max, factors, above=True)
    elif white_balance not in get_args(get_args(WhiteBalance)[0]):
        raise UsageError(f"white balance {white_balance!r}: give camera, auto or a tuple of three")
    if output_color not in get_args(OutputColor):
        raise UsageError(f"output colour {output_color!r}: give srgb or linear")


def _balance(
    raw: RawPicture, planes: NDArray[np.float32], white_balance: WhiteBalance
) -> tuple[float, float, float]:
    if white_balance == "camera":
        return raw.white_balance
    return gray_world(planes) if white_balance == "auto" else white_balance


def _developed(
    colour: NDArray[np.float32], to_srgb: NDArray[np.float32] | None, *, linear: bool
) -> NDArray[np.float32]:
    """Convert the network's output to sRGB samples or linear light, a few rows at a time."""
    result = np.empty_like(colour)
    for top in range(0, colour.shape[1], _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        light = srgb_to_linear(colour[:, rows])
        if to_srgb is not None:
            light = np.einsum("ij,jhw->ihw", to_srgb, light)
        result[:, rows] = light if linear else linear_to_srgb(light)
    return result


@cache
def _srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
