"""The response of a camera: from light to the samples of its finished pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from restore.image.colour import srgb_to_linear

__all__ = ["SRGB", "Response", "estimate_response"]

_CODES = 256
_SMOOTHNESS = 40.0
_MOST_SAMPLES = 180
_LOW, _HIGH = 0.03, 0.97
_EXPLAINED = 0.06
_LEAST_PAIRS = 30
_MIDDLE = 118


@dataclass(frozen=True, kw_only=True)
class Response:
    """Light for each of 256 sample values, channel by channel.

    Attributes:
        name: srgb, or estimated.
        curves: float32 ``[3, 256]``, rising, the brightest about 1.
    """

    name: str
    curves: NDArray[np.float32]

    def light(self, samples: NDArray[np.float32], channel: int) -> NDArray[np.float32]:
        """Return linear light for samples in [0, 1] of one channel, any shape."""
        if self.name == "srgb":
            return srgb_to_linear(samples)
        codes = np.arange(_CODES, dtype=np.float32) / np.float32(_CODES - 1)
        light: NDArray[np.float32] = np.interp(samples, codes, self.curves[channel]).astype(
            np.float32
        )
        return light


def _srgb_curve() -> NDArray[np.float32]:
    return srgb_to_linear(np.linspace(0, 1, _CODES, dtype=np.float32))


SRGB = Response(name="srgb", curves=np.tile(_srgb_curve(), (3, 1)))


def estimate_response(
    frames: Sequence[NDArray[np.float32]], lights: Sequence[float], usable: NDArray[np.bool_]
) -> Response:
    """Return the curve that explains how the samples of a bracket rise with its exposure.

    Where sRGB's curve explains them, it is taken. Cameras often add contrast; then the curve is
    solved for (Debevec and Malik, "Recovering High Dynamic Range Radiance Maps from Photographs",
    SIGGRAPH 1997), with middle gray of each channel where sRGB has it, so that gray stays gray.

    Args:
        frames: ``[3, h, w]`` samples in [0, 1] of the same places, one for each exposure.
        lights: relative exposure of each frame, in any unit.
        usable: bool ``[h, w]``, the places that all frames show without edges or motion.
    """
    logs = np.log(np.asarray(lights, dtype=np.float64))
    samples = np.stack([frame[:, usable] for frame in frames], axis=1)
    if _is_explained(samples, logs):
        return SRGB
    curves = [_solved(channel, logs) for channel in samples]
    if any(curve is None for curve in curves):
        return SRGB
    stacked = np.stack([curve for curve in curves if curve is not None])
    stacked /= stacked[:, -1].mean()
    return Response(name="estimated", curves=stacked.astype(np.float32))


def _is_explained(samples: NDArray[np.float32], logs: NDArray[np.float64]) -> bool:
    """Whether sRGB's curve leaves a median error of less than six percent in ratios of light."""
    order = np.argsort(logs)
    errors = []
    for darker, lighter in pairwise(order.tolist()):
        pair = samples[:, [darker, lighter]]
        good = ((pair > _LOW) & (pair < _HIGH)).all(axis=1)
        dark, light = (np.log(srgb_to_linear(pair[:, i][good])) for i in (0, 1))
        errors.append(np.abs(light - dark - (logs[lighter] - logs[darker])))
    every = np.concatenate(errors)
    return every.size < _LEAST_PAIRS or float(np.median(every)) < _EXPLAINED


def _solved(samples: NDArray[np.float32], logs: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the curve of one channel from its samples ``[frames, places]``."""
    places = _spread(samples)
    codes = np.rint(samples[:, places] * (_CODES - 1)).astype(int)
    frames, count = codes.shape
    weight = np.minimum(np.arange(_CODES), _CODES - 1 - np.arange(_CODES)) + 1.0
    weight[[0, -1]] = 0
    weight /= weight.max()
    if np.count_nonzero(weight[codes]) < _LEAST_PAIRS:
        return None
    rows = frames * count
    matrix = np.zeros((rows + _CODES - 1, _CODES + count))
    target = np.zeros(rows + _CODES - 1)
    row = np.arange(rows)
    trust = weight[codes].ravel()
    matrix[row, codes.ravel()] = trust
    matrix[row, _CODES + np.tile(np.arange(count), frames)] = -trust
    target[:rows] = trust * np.repeat(logs - logs.mean(), count)
    inner = np.arange(1, _CODES - 1)
    bend = _SMOOTHNESS * weight[inner]
    for offset, factor in ((-1, 1.0), (0, -2.0), (1, 1.0)):
        matrix[rows + inner - 1, inner + offset] = factor * bend
    matrix[-1, _MIDDLE] = 1e3
    target[-1] = 1e3 * np.log(_srgb_curve()[_MIDDLE])
    solution = np.linalg.lstsq(matrix, target, rcond=None)[0][:_CODES]
    curve = np.maximum.accumulate(np.exp(solution))
    # Code 0 only says that there was little light: it becomes 0.
    curve -= curve[0]
    return curve if np.isfinite(curve).all() and curve[-1] > curve[_MIDDLE] else None


def _spread(samples: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return places whose brightness is spread evenly over the range."""
    order = np.argsort(samples.mean(axis=0))
    chosen = np.linspace(0, order.size - 1, min(_MOST_SAMPLES, order.size)).astype(int)
    return np.asarray(order[np.unique(chosen)], dtype=np.intp)
