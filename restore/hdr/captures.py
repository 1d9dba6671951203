"""Evaluation of HDR networks on real captures through an optical element, against brackets."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, optimize

from restore.errors import InputError, UsageError
from restore.hdr.evaluate import NOTHING, Contender, HdrFailure
from restore.hdr.merge.align import warped
from restore.hdr.merge.brackets import Exposure
from restore.hdr.merge.merge import merge_bracket
from restore.hdr.metrics import StopsError, stops_error
from restore.image.colour import REC709_LUMINANCE
from restore.image.decode import decode

__all__ = ["CAPTURES_PROTOCOL", "CaptureResult", "capture_scenes", "evaluate_captures", "placed"]

CAPTURES_PROTOCOL = (
    "each folder holds wPSF_0_stop.png, the capture through the element, and a bracket without it, "
    "woutPSF_X_stop.png with X in stops relative to the capture, all linear; the bracket is merged "
    "and is the truth; each result is moved, turned and scaled until its logarithm correlates best "
    "with that of the merged bracket, and its channels are scaled to the same median where neither "
    "is dark or bright; pixels that saturate in the uncoded exposure X = 0 count; networks without "
    "an element see that exposure"
)

_CODED = "wPSF_0_stop.png"
_UNCODED = re.compile(r"woutPSF_(-?\d+(?:\.\d+)?)_stop\.png")
_DARK, _BRIGHT = 0.05, 0.8
_SATURATED = 254.5 / 255
_DARKEST = 0.01
# Blur in pixels of the reduced pictures, and how many pixels are averaged into one.
_STAGES = ((2.0, 4), (1.5, 2), (1.5, 1))

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
) -> Iterator[CaptureResult | HdrFailure]:
    """Yield the results of the uncoded exposure and of all contenders, scene by scene.

    Args:
        contenders: networks, compared on the same scenes.
        scenes: folders as ``capture_scenes`` returns them.
    """
    for scene in scenes:
        try:
            yield from _compared(contenders, scene)
        except InputError as error:
            yield HdrFailure(path=scene, reason=str(error))


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
        matrix, correlation = _registered(result, truth)
        centre = np.array([result.shape[2] / 2, result.shape[1] / 2, 1])
        return CaptureResult(
            path=scene,
            model=model,
            stops=stops_error(
                torch.from_numpy(placed(result, truth, matrix, lost)),
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
    result: Light, truth: Light, matrix: NDArray[np.float64], lost: NDArray[np.bool_]
) -> Light:
    """Return ``result`` on the grid and in the unit of ``truth``, both ``[3, H, W]``.

    An element loses a little light, and more of some colours, so that each channel is scaled to
    the same median where neither is dark, bright or ``lost``.
    """
    moved = np.stack([warped(plane, matrix, fill=0.0) for plane in result])
    for plane, true in zip(moved, truth, strict=True):
        known = (true > _DARK) & (true < _BRIGHT) & (plane > _DARK / 2) & (plane < 2 * _BRIGHT)
        known &= ~lost
        if known.any():
            plane *= np.median(true[known] / plane[known])
    return moved


def _registered(result: Light, truth: Light) -> tuple[NDArray[np.float64], float]:
    """Return the matrix from places in ``truth`` to ``result``, and their correlation."""
    height, width = truth.shape[1:]
    logs = [
        np.log2(np.maximum(np.tensordot(REC709_LUMINANCE, light, axes=1), _DARKEST))
        for light in (result, truth)
    ]
    parameters, correlation = np.zeros(4), 0.0
    for blur, step in _STAGES:
        moving, fixed = (
            ndimage.gaussian_filter(_reduced(log, step), blur).astype(np.float32) for log in logs
        )

        def cost(
            values: NDArray[np.float64],
            moving: Light = moving,
            fixed: Light = fixed,
            step: int = step,
        ) -> float:
            matrix = _motion(values, height / step, width / step, step)
            moved = warped(moving, matrix, fill=np.nan)
            inside = np.isfinite(moved)
            return -float(np.corrcoef(moved[inside], fixed[inside])[0, 1])

        found = optimize.minimize(
            cost, parameters, method="Powell", options={"xtol": 1e-3, "ftol": 1e-6, "maxiter": 8}
        )
        parameters, correlation = found.x, -float(found.fun)
    return _motion(parameters, height, width, 1), correlation


def _motion(
    values: NDArray[np.float64], height: float, width: float, step: int
) -> NDArray[np.float64]:
    """Return the matrix of a motion on a grid of cells of ``step`` pixels.

    Args:
        values: tens of pixels right and down, hundredths of a radian and of scale.
        height: of the grid in cells.
        width: of the grid in cells.
        step: side of a cell in pixels.
    """
    angle, scale = values[2] / 100, 1 + values[3] / 100
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    # Cells are centred half a cell from their corner.
    centre = np.array([width - 1, height - 1]) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = centre - turn @ centre + 10 / step * values[:2]
    return matrix


def _reduced(plane: Light, step: int) -> Light:
    height, width = (size // step * step for size in plane.shape)
    cells = plane[:height, :width].reshape(height // step, step, width // step, step)
    reduced: Light = cells.mean(axis=(1, 3), dtype=np.float32)
    return reduced
