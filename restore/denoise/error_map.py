"""Error maps: how wrong each pixel of a result is likely to be, and the whole picture."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.denoise.error_factors import ESTIMATES, ErrorCalibration, level_of_removed
from restore.denoise.task import ERRORS
from restore.denoise.texture import textures
from restore.engine.lane import Model
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.engine.tiles import Area
from restore.image.codecs import ImageFormat
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer, upright
from restore.weights.file import stored_list

__all__ = ["BOUND", "EXPECTED", "ErrorMap", "ErrorMapper", "Estimator"]

Pixels = NDArray[np.float32]

EXPECTED, BOUND = "error-map", "error-bound"
"""Kinds of files beside a result."""

_COLOURS = 3
_OF_GAUSSIAN = (math.sqrt(2 / math.pi), 1.6449, 1.0)
"""Mean absolute value, 90 % quantile of it, and root mean square, in standard deviations."""
_LEAST_MSE = 1e-12


class Estimator:
    """Runs an ErrorNet on noisy pictures and results.

    Args:
        model: the network.
        placement: where it runs; always in float32, for it takes little time.
    """

    def __init__(self, model: Model, placement: Placement) -> None:
        self.runner = Runner(model, replace(placement, precision="fp32"))

    def __call__(self, noisy: Pixels, result: Pixels) -> Pixels:
        """Return the estimates ``[3, H, W]`` for pictures ``[C, H, W]``, see ``ErrorNet``."""
        height, width = result.shape[1:]
        estimates = np.empty((ESTIMATES, height, width), np.float32)

        def read(part: Area) -> Pixels:
            both = (
                np.broadcast_to(each[:, *part], (_COLOURS, *each[0, *part].shape))
                for each in (noisy, result)
            )
            return np.concatenate(list(both))

        def take(part: Area, _planes: Pixels, made: Pixels) -> None:
            estimates[:, *part] = made

        self.runner.by_tiles(read, lambda: take, height=height, width=width)
        return estimates


@dataclass(frozen=True, kw_only=True)
class ErrorMap:
    """The likely errors of a result, in levels of 255 of its sRGB-encoded samples.

    Attributes:
        expected: expected absolute error of each pixel, mean of its channels, ``[H, W]``; NaN where
            the input was transparent or not finite, which stays as it was.
        bound: what the absolute error stays below with a probability of 0.9; the same.
        psnr: expected PSNR of the whole picture in dB; NaN if nothing of it counts.
        model: name of the weights.
        like: picture that gives the orientation.
        remarks: what a user should know, in sentences.
        is_upright: whether files are turned upright; else a tag says how to turn them, as in the
            result.
    """

    expected: Pixels
    bound: Pixels
    psnr: float
    model: str
    like: Picture
    remarks: tuple[str, ...] = ()
    is_upright: bool = False

    def record_beside(self, record: Mapping[str, object]) -> dict[str, object]:
        """Return what is added to the record of the result."""
        remarks = record.get("remarks")
        others = remarks if isinstance(remarks, list) else []
        return {
            "error_model": self.model,
            "expected_psnr": round(self.psnr, 3),
            "expected_error": round(_mean(self.expected), 4),
            "expected_error_90": round(_mean(self.bound), 4),
            **({"remarks": [*others, *self.remarks]} if self.remarks else {}),
        }

    def tiff(self, kind: str) -> bytes:
        """Return ``EXPECTED`` or ``BOUND`` as a TIFF of floating point."""
        pixels = (self.expected if kind == EXPECTED else self.bound)[None]
        picture = Picture(
            pixels=pixels,
            is_float=True,
            bit_depth=32,
            transfer=Transfer.LINEAR,
            format=ImageFormat.TIFF,
            orientation=self.like.orientation,
        )
        return encode(upright(picture) if self.is_upright else picture, ImageFormat.TIFF)


class ErrorMapper:
    """Makes error maps of results.

    Args:
        model: name or file of its weights.
        placement: where its network runs.

    Raises:
        WeightsError: they are missing, damaged or for another task.
    """

    def __init__(self, model: str | Path, placement: Placement) -> None:
        self._model = ERRORS.open(model)
        self._placement = placement
        stored = stored_list(self._model.name, self._model.provenance, "recipe", "denoisers", str)
        self._denoisers = list(dict.fromkeys(stored or []))
        self._calibration = ErrorCalibration.read(
            self._model.name, self._model.provenance.get("calibration")
        )

    @cached_property
    def _estimator(self) -> Estimator:
        return Estimator(self._model, self._placement)

    def __call__(
        self,
        noisy: Pixels,
        result: Pixels,
        finished: Pixels,
        known: NDArray[np.bool_] | None,
        like: Picture,
        *,
        denoiser: str,
        left: float = 0.0,
    ) -> ErrorMap:
        """Return the map of a result.

        Args:
            noisy: ``[C, H, W]``, sRGB-encoded, as the network saw it.
            result: what the network made of it, ``[C, H, W]``.
            finished: what is written, ``[C, H, W]``: a blend of both, perhaps.
            known: where the result counts, ``[1 or C, H, W]``; None for everywhere.
            like: picture that gives the orientation.
            denoiser: name of the network.
            left: standard deviation of errors that the network did not see: what is left of
                stripes.
        """
        estimates = self._estimator(noisy, result)
        factors = self._calibration.of(denoiser).at(level_of_removed(noisy, result))
        texture = textures(result)
        for estimate, by_texture in zip(estimates, factors, strict=True):
            estimate *= by_texture[texture]
        if left:
            for estimate, share in zip(estimates, _OF_GAUSSIAN, strict=True):
                np.hypot(estimate, np.float32(share * left), out=estimate)
        remarks = []
        if denoiser not in self._denoisers:
            remarks.append(
                f"the error map was calibrated on results of {', '.join(self._denoisers)}, not of "
                f"{denoiser}"
            )
        if finished is not result:
            _put_back(estimates, np.abs(finished - result).mean(axis=0))
            remarks.append(
                f"the error map was calibrated on full strength without {argument('detail')}"
            )
        expected, bound, deviation = estimates
        if known is not None:
            unknown = ~known.all(axis=0)
            for estimate in estimates:
                estimate[unknown] = np.nan
        square = _mean(np.square(deviation))
        return ErrorMap(
            expected=255 * expected,
            bound=255 * bound,
            psnr=-10 * math.log10(max(square, _LEAST_MSE)),
            model=self._model.name,
            remarks=tuple(remarks),
            like=like,
        )


def _mean(values: Pixels) -> float:
    """Return the mean of what is known; NaN, without NumPy's warning, if nothing is."""
    count = int(np.count_nonzero(~np.isnan(values)))
    return float(np.nansum(values, dtype=np.float64)) / count if count else math.nan


def _put_back(estimates: Pixels, difference: Pixels) -> None:
    """Add a known difference from the result to the estimates, in place.

    The error is taken for Laplacian and independent of the difference d: the mean of |d + error| is
    then |d| + b exp(-|d| / b), b being the mean of |error|.
    """
    expected, bound, deviation = estimates
    expected *= np.exp(-difference / expected)
    expected += difference
    bound += difference
    np.hypot(deviation, difference, out=deviation)
