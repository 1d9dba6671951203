"""Evaluation of HDR networks on real captures through an optical element, against brackets."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, optimize

from restore.errors import InputError, UsageError
from restore.hdr.evaluate import NOTHING, Contender
from restore.hdr.merge.align import warped
from restore.hdr.merge.exposures import Exposure
from restore.hdr.merge.merge import merge_bracket
from restore.hdr.metrics import StopsError, stops_error
from restore.image.colour import REC709_LUMINANCE
from restore.image.decode import decode
from restore.image.metrics import Failure

__all__ = ["CAPTURES_PROTOCOL", "CaptureResult", "capture_scenes", "evaluate_captures", "placed"]

CAPTURES_PROTOCOL = (
    "each folder holds wPSF_0_stop.png, the capture through the element, and a bracket without it, "
    "woutPSF_X_stop.png with X in stops relative to the capture, all linear; the bracket is merged "
    "and is the truth; mounting an element moves the camera, so each result is moved, turned and "
    "scaled until its logarithm correlates best with that of the merged bracket around saturated "
    "pixels, and moved again around each light, for scenes have depth; its channels are scaled to "
    "the same median where neither is dark or bright; pixels that saturate in the uncoded exposure "
    "X = 0 count; networks without an element see that exposure"
)

_CODED = "wPSF_0_stop.png"
_UNCODED = re.compile(r"woutPSF_(-?\d+(?:\.\d+)?)_stop\.png")
_DARK, _BRIGHT = 0.05, 0.8
_SATURATED = 254.5 / 255
_DARKEST = 0.01
_REACH_PX, _LEAST_WEIGHT = 24.0, 0.05
_SPACING_PX, _LEAST_PIXELS = 12, 50
# Blur in pixels of the reduced pictures, pixels averaged into one, and whether only to move.
_STAGES = ((2.0, 4, True), (1.5, 2, False))
_OF_LIGHT = (1.0, 1, True)

Light = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class CaptureResult:
    """The error of one network on one scene.

    Attributes:
        path: Folder of the scene.
        model: Name of the network, or ``NOTHING`` for the uncoded exposure.
        stops: Error on the pixels that saturate in the uncoded exposure.
        shift_px: Distance that the middle of the result was moved.
        correlation: Correlation with the bracket after registration.
    """

    path: Path
    model: str
    stops: StopsError
    shift_px: float
    correlation: float

    @property
    def figures(self) -> dict[str, Any]:
        """What is reported of it."""
        return {name: value for name, value in asdict(self).items() if name != "path"}


def capture_scenes(folder: Path) -> list[Path]:
    """Return the folders of scenes in ``folder``, or itself where it is one.

    Raises:
        UsageError: no capture in it.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    scenes = [path for path in (folder, *sorted(folder.iterdir())) if (path / _CODED).is_file()]
    if not scenes:
        raise UsageError(f"{folder}: holds no folder with a {_CODED}")
    return scenes


def evaluate_captures(
    contenders: Sequence[Contender], scenes: Sequence[Path]
) -> Iterator[CaptureResult | Failure]:
    """Yield the results of the uncoded exposure and of all contenders, scene by scene.

    Args:
        contenders: networks, compared on the same scenes.
        scenes: folders as ``capture_scenes`` returns them.
    """
    for scene in scenes:
        try:
            yield from _compared(contenders, scene)
        except InputError as error:
            yield Failure(path=scene, reason=str(error))


def _compared(contenders: Sequence[Contender], scene: Path) -> Iterator[CaptureResult]:
    bracket = [
        Exposure(path=path, light=2 ** float(match[1]))
        for path in sorted(scene.iterdir())
        if (match := _UNCODED.fullmatch(path.name))
    ]
    like_capture = [one.path for one in bracket if one.light == 1]
    if not like_capture:
        raise InputError(f"{scene}: holds no woutPSF_0_stop.png")
    merged = merge_bracket(bracket, align=False, is_linear=True, deghost=None)
    # The merge is in units of its middle exposure; the capture's own is X = 0.
    lights = sorted(one.light for one in bracket if one.light)
    truth = merged.picture.pixels / np.float32(lights[(len(lights) - 1) // 2])
    coded, plain = (decode(path).pixels for path in (scene / _CODED, like_capture[0]))
    if coded.shape != truth.shape or len(truth) != 3:
        raise InputError(f"{scene / _CODED}: differs in size from the bracket, or is gray")
    lost: NDArray[np.bool_] = np.any(plain >= _SATURATED, axis=0)
    if not lost.any():
        raise InputError(f"{like_capture[0]}: nothing in it is saturated")

    def scored(model: str, result: Light) -> CaptureResult:
        motion, correlation = _fitted(result, truth, lost, np.zeros(4), _STAGES)
        matrix = _motion(motion, lost.shape, 1)
        centre = np.array([result.shape[2] / 2, result.shape[1] / 2, 1])
        return CaptureResult(
            path=scene,
            model=model,
            stops=stops_error(
                torch.from_numpy(placed(result, truth, lost, motion)),
                torch.from_numpy(truth),
                torch.from_numpy(lost),
            ),
            shift_px=float(np.hypot(*(matrix @ centre - centre)[:2])),
            correlation=correlation,
        )

    yield scored(NOTHING, plain)
    for contender in contenders:
        seen = plain if contender.psf is None else coded
        yield scored(contender.name, contender(torch.from_numpy(seen)).numpy())


def placed(
    result: Light, truth: Light, lost: NDArray[np.bool_], motion: NDArray[np.float64]
) -> Light:
    """Return ``result`` on the grid and in the unit of ``truth``, both ``[3, H, W]``.

    Around each light it is moved once more. An element loses a little light, and more of some
    colours, so that each channel is scaled to the same median where neither is dark, bright or
    ``lost``.

    Args:
        result: radiance as restored.
        truth: radiance of the bracket.
        lost: ``[H, W]``, where the uncoded exposure saturates.
        motion: of the whole result, see ``_motion``.
    """
    moved = _moved(result, _motion(motion, lost.shape, 1))
    lights, count = ndimage.label(ndimage.binary_dilation(lost, iterations=_SPACING_PX))
    for index in range(1, count + 1):
        is_light = lights == index
        if (is_light & lost).sum() >= _LEAST_PIXELS:
            own, _ = _fitted(result, truth, is_light & lost, motion, (_OF_LIGHT,))
            matrix = _motion(own, lost.shape, 1)
            moved[:, is_light] = _moved(result, matrix)[:, is_light]
    for plane, true in zip(moved, truth, strict=True):
        known = (true > _DARK) & (true < _BRIGHT) & (plane > _DARK / 2) & (plane < 2 * _BRIGHT)
        known &= ~lost
        if known.any():
            plane *= np.median(true[known] / plane[known])
    return moved


def _moved(light: Light, matrix: NDArray[np.float64]) -> Light:
    return np.stack([warped(plane, matrix, fill=0.0) for plane in light])


def _fitted(
    result: Light,
    truth: Light,
    lost: NDArray[np.bool_],
    start: NDArray[np.float64],
    stages: Sequence[tuple[float, int, bool]],
) -> tuple[NDArray[np.float64], float]:
    """Return the motion after which both correlate best around ``lost``, and the correlation."""
    logs = [
        np.log2(np.maximum(np.tensordot(REC709_LUMINANCE, light, axes=1), _DARKEST))
        for light in (result, truth)
    ]
    distance = ndimage.distance_transform_edt(~lost)
    nearness = np.exp(-0.5 * (distance / _REACH_PX) ** 2).astype(np.float32)
    motion, correlation = start, 0.0
    for blur, step, only_moves in stages:
        moving, fixed = (
            ndimage.gaussian_filter(_reduced(log, step), blur).astype(np.float32) for log in logs
        )
        weight = _reduced(nearness, step)
        inside = tuple(
            slice(int(where[0]), int(where[-1]) + 1)
            for where in (
                np.flatnonzero((weight > _LEAST_WEIGHT).any(axis=axis)) for axis in (1, 0)
            )
        )
        matcher = _Matcher(moving, fixed[inside], weight[inside], inside, step)
        free = 2 if only_moves else 4
        held = motion[free:]

        def cost(
            values: NDArray[np.float64],
            matcher: _Matcher = matcher,
            held: NDArray[np.float64] = held,
        ) -> float:
            return -matcher.correlation(np.concatenate([values, held]))

        found = optimize.minimize(
            cost,
            motion[:free],
            method="Powell",
            options={"xtol": 1e-2, "ftol": 1e-5, "maxiter": 6},
        )
        motion, correlation = np.concatenate([found.x, held]), -float(found.fun)
    return motion, correlation


@dataclass(frozen=True)
class _Matcher:
    """Correlates a picture that is moved with a window of one that is not.

    Attributes:
        moving: ``[h, w]``.
        fixed: the window of the other.
        weight: weights of its pixels.
        inside: rows and columns of the window.
        step: side in pixels of the cells that both pictures consist of.
    """

    moving: Light
    fixed: Light
    weight: Light
    inside: tuple[slice, ...]
    step: int

    def correlation(self, motion: NDArray[np.float64]) -> float:
        matrix = _motion(motion, self.moving.shape, self.step)[:2, [1, 0, 2]][::-1]
        corner = [part.start for part in self.inside]
        moved = ndimage.affine_transform(
            self.moving,
            matrix[:, :2],
            offset=matrix[:, :2] @ corner + matrix[:, 2],
            output_shape=self.fixed.shape,
            order=1,
            mode="nearest",
        )
        share = self.weight / self.weight.sum()
        one, other = (each - (share * each).sum() for each in (moved, self.fixed))
        norm = (share * one**2).sum() * (share * other**2).sum()
        return float((share * one * other).sum() / max(float(norm), 1e-12) ** 0.5)


def _motion(values: NDArray[np.float64], shape: tuple[int, ...], step: int) -> NDArray[np.float64]:
    """Return the matrix of a motion from places in the truth, on cells of ``step`` pixels.

    Args:
        values: tens of pixels right and down, hundredths of a radian and of scale.
        shape: rows and columns of the grid in cells.
        step: side of a cell in pixels.
    """
    angle, scale = values[2] / 100, 1 + values[3] / 100
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    # Cells are centred half a cell from their corner.
    centre = (np.array(shape[::-1]) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = centre - turn @ centre + 10 / step * values[:2]
    return matrix


def _reduced(plane: Light, step: int) -> Light:
    height, width = (size // step * step for size in plane.shape)
    cells = plane[:height, :width].reshape(height // step, step, width // step, step)
    reduced: Light = cells.mean(axis=(1, 3), dtype=np.float32)
    return reduced
