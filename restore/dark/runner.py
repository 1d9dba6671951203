"""Dark RAW files: a mosaic in, a photograph out."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.checks import checked_number
from restore.dark.enhanced import Enhanced, OutputColor
from restore.dark.exposed import Exposed, expose, packed_for
from restore.dark.fidelity import keep_known_light, without_mesh
from restore.dark.task import TASK
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.engine.tiles import Area
from restore.errors import UnsupportedImage, UsageError
from restore.image.colour import linear_to_srgb
from restore.image.dark_frame import DarkFrame
from restore.image.develop import GUESSED_BALANCE, GUESSED_COLOURS, camera_to_srgb, gray_world
from restore.image.photosites import without_defects
from restore.image.raw import as_raw
from restore.image.raw_picture import PLANE_COLOURS, RawPicture, fill_mosaic, unpack
from restore.models.isp_resunet import IspResUNetConfig
from restore.models.isp_unet import IspUNetConfig
from restore.reopen import Reopened
from restore.weights.file import shipped
from restore.weights.store import Weights

__all__ = ["DarkEnhancer", "WhiteBalance"]

WhiteBalance = Literal["camera", "auto"] | tuple[float, float, float]

_SENSORS = {1: "monochrome", 6: "X-Trans"}
_MOST_RATIO = 10_000.0
_MOST_STOPS = 10.0


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

    It may be called from several threads, and pickled: another process opens the networks anew.
    After a fork, make one of its own.

    >>> import numpy as np
    >>> import restore
    >>> raw = restore.RawPicture(
    ...     mosaic=np.full((64, 64), 600, np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> enhancer = restore.DarkEnhancer("isp")
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
        strength: float = 1.0,
        repair: bool = True,
        in_doubt: bool = False,
        dark_frame: DarkFrame | None = None,
    ) -> Enhanced:
        """Develop a mosaic into a photograph.

        Args:
            source: ``RawPicture`` of any size, or the path of a camera's RAW file.
            ratio: amplification, or auto to choose it from the data (see ``auto_ratio``).
            ev: stops by which the amplification is raised.
            white_balance: camera for what the file says, which is auto if it says nothing; auto
                for ``gray_world``; or factors for red, green and blue.
            output_color: see ``Enhanced``.
            strength: 0 leaves all the noise in, 1 is the full result, between is a blend.
            repair: whether hot and dead photosites are filled before anything else.
            in_doubt: whether they are filled even where they may be specks of light, see
                ``without_defects``; needs ``repair``.
            dark_frame: what the sensor shows without light, to be subtracted; None for nothing.

        Raises:
            UsageError: a value out of range.
            UnsupportedImage: no network for this kind of sensor, a dark frame of another, or no
                RAW file.
            InputError: the file cannot be read.
            DeviceError: not even a small tile fits the device's memory.
        """
        _check(ratio, ev, white_balance, output_color)
        if in_doubt and not repair:
            raise UsageError(
                f"{argument('in_doubt', True)} does nothing with {argument('repair', False)}"
            )
        strength = checked_number("strength", strength, 0, 1, "a number from 0 to 1")
        stored = as_raw(source)
        started = time.perf_counter()
        network = self._network(stored)
        raw, defects, left = _prepared(stored, dark_frame, repair=repair, in_doubt=in_doubt)
        packed = packed_for(raw, self.periods)
        balance, origin = _balance(raw, packed.planes, white_balance)
        exposed = expose(
            raw,
            packed,
            balance,
            ratio=None if ratio == "auto" else ratio,
            stops=ev,
            is_balanced=not network.is_finished,
        )
        colour = network.developed(exposed, strength)
        matrix = np.eye(1, dtype=np.float32) if raw.is_monochrome else camera_to_srgb(raw)
        remarks = _remarks(raw, dark_frame, guessed_balance=origin == "guessed")
        if raw.has_guessed_colours and not network.is_finished:
            remarks.append(GUESSED_COLOURS)
        factors = [float(f"{factor:.4g}") for factor in balance]
        record: dict[str, object] = {
            **network.runner.record(),
            "ratio": round(exposed.ratio, 2),
            "ratio_auto": ratio == "auto",
            "white_balance": factors,
            "white_balance_source": origin,
            "sensor": _SENSORS.get(len(raw.cfa), raw.pattern.upper()),
            "defects": defects,
            "defects_in_doubt": left,
            "saturated": round(exposed.saturated, 6),
            "strength": strength,
            "megapixels": round(raw.width * raw.height / 1e6, 6),
            "seconds": round(time.perf_counter() - started, 4),
            **({"remarks": remarks} if remarks else {}),
        }
        return Enhanced(
            colour=colour,
            raw=stored,
            gains=exposed.gains,
            ratio=exposed.ratio,
            to_srgb=None if network.is_finished else matrix,
            output_color=output_color,
            record=record,
        )

    def _network(self, raw: RawPicture) -> "_Network":
        period = len(raw.cfa)
        # A monochrome sensor sees what one behind a filter sees of gray light.
        network = self._networks.get(min(self.periods) if raw.is_monochrome else period)
        if network is None:
            kind = "an X-Trans" if raw.is_xtrans else "a Bayer"
            names = ", ".join(one.runner.name for one in self._networks.values())
            raise UnsupportedImage(
                f"is from {kind} sensor, for which {names} was not trained; give other weights "
                f"as {argument('model')} (`imrestore train dark-enhance` makes them)"
            )
        return network


@dataclass(frozen=True)
class _Network:
    """A network, what it takes, and the lowest sample that it was trained on."""

    runner: Runner
    config: IspUNetConfig | IspResUNetConfig
    lowest: float

    @property
    def is_finished(self) -> bool:
        """Whether it makes finished pictures of one camera, white balance and all."""
        return bool(self.config.head == "srgb")

    def developed(self, exposed: Exposed, strength: float) -> NDArray[np.float32]:
        """Return the picture of a mosaic, see ``Enhanced.colour``.

        Raises:
            UsageError: a strength below 1 for weights that make finished pictures.
        """
        if self.is_finished and strength < 1:
            raise UsageError(
                f"{argument('strength')} works with weights that make camera colours alone"
            )
        made = self(exposed.packed.planes, exposed.period)
        colour = np.ascontiguousarray(unpack(made, exposed.packed))
        del made  # a copy, where rows or columns were added
        if self.is_finished:
            return colour
        without_mesh(colour, exposed.period)
        if exposed.raw.is_monochrome:
            colour = colour.mean(axis=0, keepdims=True)
        if self.config.packs or strength < 1:
            keep_known_light(colour, exposed.known(colour, self.config.highest), strength=strength)
        else:
            # A network that sees the whole mosaic keeps its light better than noisy samples tell.
            highest = linear_to_srgb(np.full(1, self.config.highest, np.float32))
            np.minimum(colour, highest, out=colour)
        return colour

    def __call__(self, planes: NDArray[np.float32], period: int) -> NDArray[np.float32]:
        """Return colour for every pixel of a packed mosaic in reference phase, ``[3, H, W]``."""
        channels = self.runner.traits.channels
        if self.config.packs:
            samples = planes.clip(self.lowest, self.config.highest)
            return self.runner.tiled(samples, channels=channels)
        step = 2 if period == 2 else 3
        mosaic = np.empty((step * planes.shape[1], step * planes.shape[2]), np.float32)
        fill_mosaic(mosaic, planes, period)
        np.clip(mosaic, self.lowest, self.config.highest, out=mosaic)
        filters = _filters(period)
        results: list[NDArray[np.float32]] = []

        def read(area: Area) -> NDArray[np.float32]:
            rows, columns = (np.arange(part.start, part.stop) % period for part in area)
            return np.stack([mosaic[area], filters[rows[:, None], columns]])

        def take(area: Area, _samples: NDArray[np.float32], restored: NDArray[np.float32]) -> None:
            results[-1][:, *area] = restored

        def begin() -> Callable[[Area, NDArray[np.float32], NDArray[np.float32]], None]:
            results[:] = [np.empty((channels, *mosaic.shape), np.float32)]
            return take

        height, width = mosaic.shape
        self.runner.by_tiles(read, begin, height=height, width=width)
        return results[-1]


def _filters(period: int) -> NDArray[np.float32]:
    """Return the colours of a filter in reference phase, ``[period, period]``."""
    colours = np.array(PLANE_COLOURS[period], np.float32)[:, None, None]
    side = 1 if period == 2 else 2
    result = np.empty((period, period), np.float32)
    fill_mosaic(result, np.broadcast_to(colours, (len(colours), side, side)), period)
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
            raise UsageError(f"{argument('white_balance')} {white_balance}: give {factors}")
        for factor in white_balance:
            checked_number("white_balance", factor, 0, sys.float_info.max, factors, above=True)
    elif white_balance not in get_args(get_args(WhiteBalance)[0]):
        raise UsageError(
            f"{argument('white_balance')} {white_balance!r}: give camera, auto or a tuple of three"
        )
    if output_color not in get_args(OutputColor):
        raise UsageError(f"{argument('output_color')} {output_color!r}: give srgb or linear")


def _prepared(
    raw: RawPicture, dark_frame: DarkFrame | None, *, repair: bool, in_doubt: bool
) -> tuple[RawPicture, int, int]:
    """Return a RAW picture without what its sensor adds.

    And how many photosites were filled, and how many were left in doubt.
    """
    known = None
    if dark_frame is not None:
        raw, known = dark_frame.subtracted_from(raw), dark_frame.hot
    if not repair:
        return raw, 0, 0
    return without_defects(raw, known, in_doubt=in_doubt)


def _balance(
    raw: RawPicture, planes: NDArray[np.float32], white_balance: WhiteBalance
) -> tuple[tuple[float, float, float], str]:
    """Return factors of red, green and blue, and where they come from."""
    if raw.is_monochrome:
        return (1.0, 1.0, 1.0), "none"
    if isinstance(white_balance, tuple):
        return white_balance, "given"
    if white_balance == "auto":
        return gray_world(planes), "auto"
    if raw.has_white_balance:
        return raw.white_balance, "camera"
    return gray_world(planes), "guessed"


def _remarks(raw: RawPicture, dark_frame: DarkFrame | None, *, guessed_balance: bool) -> list[str]:
    """Return what a person should know of how a file was developed, a sentence each."""
    remarks = dark_frame.differences(raw) if dark_frame else []
    if guessed_balance:
        remarks.append(GUESSED_BALANCE)
    if raw.unapplied:
        remarks.append(f"corrections that the file asks for: not applied ({_names(raw)})")
    return remarks


def _names(raw: RawPicture) -> str:
    return ", ".join(raw.unapplied)
