"""Evaluation of HDR networks: how well they recover the light that saturation clipped."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.arguments import argument
from restore.checks import LARGEST_SEED, checked_number, checked_whole
from restore.errors import InputError, UnsupportedImage
from restore.hdr.data import view, wrapped
from restore.hdr.metrics import (
    DEFAULT_PEAK_NITS,
    HdrScore,
    StopsError,
    hdr_score,
    stops_error,
)
from restore.hdr.optics.capture_errors import ERROR_NUMBERS, CaptureErrors
from restore.hdr.optics.sensor import Sensor, blurred, expose
from restore.hdr.runner import HdrReconstructor
from restore.hdr.task import TASK
from restore.image.decode import decode
from restore.image.metrics import Failure
from restore.image.picture import Picture, Transfer
from restore.models.optical_element import psf_of

__all__ = [
    "NOTHING",
    "Conditions",
    "Contender",
    "HdrResult",
    "evaluate_hdr",
    "protocol",
]

NOTHING = "the exposure itself"
"""Name of the baseline: the exposure without reconstruction."""

_MARGIN = 64
_FULL_WELL = 4000.0
_ERRING = (
    ", shot noise of 4000 electrons at white, and random errors of lens and camera of the sizes "
    "that `train hdr --capture-errors` draws"
)
_FOV_DEGREES, _PITCH_DEGREES = 75.0, 10.0
_WHOLE = (("size", 1, 4096), ("views", 1, 1000), ("bits", 0, 16), ("seed", 0, LARGEST_SEED))
_REAL = (("saturated", 0.0, 1.0), ("read_noise", 0.0, 1.0), ("peak_nits", 1.0, 1e6))


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The scenes of an evaluation, and their exposure.

    Attributes:
        size: Side of the scenes in pixels.
        views: Views into each panorama, at equal angles; other pictures give their centre.
        saturated: Share of the pixels above white.
        bits: Bits per sample of the sensor.
        read_noise: Standard deviation of the read noise, relative to white.
        peak_nits: Luminance of 64 times white in cd/m^2, for PU21.
        capture_errors: Whether lens and camera err as in ``CaptureErrors``, with shot noise.
        seed: Seed of the noise and of the errors.

    Raises:
        UsageError: a value that makes no scenes.
    """

    size: int = 320
    views: int = 4
    saturated: float = 0.015
    bits: int = 8
    read_noise: float = 0.0
    peak_nits: float = DEFAULT_PEAK_NITS
    capture_errors: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no scenes."""
        for name, least, most in _WHOLE:
            checked_whole(name, getattr(self, name), least, most)
        for name, low, high in _REAL:
            advice = f"a number from {low:g} to {high:g}"
            checked_number(name, getattr(self, name), low, high, advice)


def protocol(conditions: Conditions) -> str:
    """Return what the figures mean; to be printed beside them."""
    c = conditions
    return (
        f"{c.views} views of {c.size}x{c.size} pixels, {_FOV_DEGREES:g} degrees wide, into each "
        f"panorama; {100 * c.saturated:g} % of the pixels above white, light cut at 64 times "
        f"white; every network sees the scene through its own element, light from {_MARGIN} "
        f"pixels around it included, with {c.bits} linear bits and read noise of standard "
        f"deviation {c.read_noise:g}{_ERRING if c.capture_errors else ''}; PSNR of radiance and of "
        f"mu-law values (mu = 5000) with 64 times white as the peak, of PU21 with that at "
        f"{c.peak_nits:g} cd/m2 and 256 as the "
        "peak; saturated pixels are those above white in the scene; stops are errors there, "
        "log2 of result over scene; means over scenes, with Student's 95 % intervals over pictures"
    )


@dataclass(frozen=True, kw_only=True)
class HdrResult:
    """The scores of one network on one scene, over all pixels and over saturated ones.

    Attributes:
        path: Picture that the scene is from.
        view: Index of the view into it.
        model: Name of the network, or ``NOTHING`` for the exposure itself.
        all: PSNR over all pixels.
        saturated: PSNR over saturated pixels.
        stops: Error on saturated pixels.
    """

    path: Path
    view: int
    model: str
    all: HdrScore
    saturated: HdrScore
    stops: StopsError

    @property
    def figures(self) -> dict[str, Any]:
        """What is reported of it."""
        return {name: value for name, value in asdict(self).items() if name != "path"}


class Contender:
    """A network with the element that it sees through, if any.

    Args:
        model: a shipped name or a weight file.
        device: auto, cpu, cuda, cuda:N, cuda:all or mps.
        precision: auto, fp32, fp16 or bf16.
        tile: side of the tiles in pixels, or auto.
    """

    def __init__(self, model: str, *, device: str, precision: str, tile: str | int) -> None:
        weights = TASK.load(model)
        self.name = weights.name
        self.psf = psf_of(weights.tensors)
        self._reconstruct = HdrReconstructor(
            "single" if self.psf is None else "optics",
            model,
            device=device,
            precision=precision,
            tile=tile,
        )

    def __call__(self, capture: Tensor) -> Tensor:
        """Return radiance ``(3, H, W)`` of a capture."""
        picture = Picture(
            pixels=capture.numpy(), bit_depth=32, is_float=True, transfer=Transfer.LINEAR
        )
        return torch.from_numpy(self._reconstruct(picture, saturation=1.0).picture.pixels)


def evaluate_hdr(
    contenders: Sequence[Contender], paths: Sequence[Path], conditions: Conditions
) -> Iterator[HdrResult | Failure]:
    """Yield the results of all contenders on the scenes in ``paths``, scene by scene.

    Args:
        contenders: networks, compared on the same scenes.
        paths: HDR pictures and panoramas.
        conditions: scenes and exposure.
    """
    seeds = count(conditions.seed)
    for path in paths:
        try:
            scenes = _scenes(path, conditions)
        except InputError as error:
            yield Failure(path=path, reason=str(error))
            continue
        for index, scene in enumerate(scenes):
            yield from _compared(contenders, path, index, scene, conditions, seed=next(seeds))


def _compared(
    contenders: Sequence[Contender],
    path: Path,
    index: int,
    scene: Tensor,
    conditions: Conditions,
    *,
    seed: int,
) -> Iterator[HdrResult]:
    truth = _inner(scene)
    lost = truth.amax(dim=0) >= 1
    exposed = _Exposure(conditions, scene.shape, seed)

    def scored(model: str, result: Tensor) -> HdrResult:
        return HdrResult(
            path=path,
            view=index,
            model=model,
            all=hdr_score(result, truth, peak_nits=conditions.peak_nits),
            saturated=hdr_score(result, truth, lost, peak_nits=conditions.peak_nits),
            stops=stops_error(result, truth, lost),
        )

    yield scored(NOTHING, _inner(exposed(scene, None)))
    for contender in contenders:
        yield scored(contender.name, _inner(contender(exposed(scene, contender.psf))))


class _Exposure:
    """Captures a scene through any element with the same noise and the same errors."""

    def __init__(self, conditions: Conditions, shape: torch.Size, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.noise = torch.randn((1, *shape), generator=rng)
        self.draws = 2 * torch.rand((1, ERROR_NUMBERS), generator=rng) - 1
        self.errors = CaptureErrors() if conditions.capture_errors else None
        self.sensor = Sensor(
            bits=conditions.bits,
            read_noise=conditions.read_noise,
            full_well=_FULL_WELL if conditions.capture_errors else 0.0,
        )

    def __call__(self, scene: Tensor, psf: Tensor | None) -> Tensor:
        """Return what the sensor stores of a scene ``(3, H, W)``."""
        light, errors = scene[None], self.errors
        if errors is None:
            return self.sensor(light if psf is None else blurred(light, psf), self.noise)[0]
        if psf is not None:
            light = blurred(light, errors.spread(psf, self.draws))
        samples = self.sensor.exposed(errors.light(light, self.draws), self.noise)
        return self.sensor.rounded(errors.interpolated(samples, self.draws))[0]


def _scenes(path: Path, conditions: Conditions) -> list[Tensor]:
    """Return exposed scenes with a margin around them, ``(3, H, W)``."""
    picture = decode(path)
    if not picture.is_float or picture.transfer is not Transfer.LINEAR or picture.channels != 3:
        raise UnsupportedImage(f"{path}: is no HDR picture in colour (EXR, Radiance, float TIFF)")
    light = torch.from_numpy(picture.pixels).nan_to_num(0, 65_000, 0).clamp(min=0)
    side = conditions.size + 2 * _MARGIN
    if picture.width == 2 * picture.height:
        # The same angle per pixel with the margin as without.
        fov = 2 * math.atan(math.tan(math.radians(_FOV_DEGREES) / 2) * side / conditions.size)
        turns = (2 * math.pi * index / conditions.views for index in range(conditions.views))
        around, pitch = wrapped(light), math.radians(_PITCH_DEGREES)
        cut = [view(around, yaw, pitch, 0.0, fov, side=side) for yaw in turns]
    else:
        if min(picture.height, picture.width) < side:
            raise UnsupportedImage(
                f"{path}: smaller than the {side} pixels of a scene; give a smaller "
                f"{argument('size')}"
            )
        top, left = (picture.height - side) // 2, (picture.width - side) // 2
        cut = [light[:, top : top + side, left : left + side]]
    share = torch.full((len(cut),), conditions.saturated)
    return list(expose(torch.stack(cut), share, margin=_MARGIN))


def _inner(scene: Tensor) -> Tensor:
    return scene[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
