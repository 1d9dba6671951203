"""Simulated captures of scenes through an encoding optical element."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal
from torch import Tensor

from restore.arguments import argument
from restore.errors import UsageError, WeightsError
from restore.hdr.captured_element import ELEMENT_ATTRIBUTE
from restore.hdr.element import element_name
from restore.hdr.optics.sensor import LARGEST_RADIANCE, LEAST_RADIANCE, Sensor
from restore.hdr.radiance import Radiance, guessed_where, linear_light
from restore.hdr.task import TASK
from restore.image.colour import SRGB_PRIMARIES
from restore.image.picture import Picture, Transfer
from restore.models.optical_element import psf_of

__all__ = ["CaptureSimulator"]

_SATURATED = 0.015
_MOST_SAMPLES = 4_000_000


class CaptureSimulator:
    """Simulates captures through an optical element.

    Args:
        model: Weights whose element is used, a shipped name, or auto for hdr-optics.
        psf: PSF ``(3, P, Q)`` of another element.
        bits: Bits per sample of the sensor: 8, 10 or 12.

    Raises:
        WeightsError: weights without an element, and no ``psf``.
        UsageError: a number of bits that sensors do not have.
    """

    def __init__(
        self, model: str | Path = "auto", *, psf: Tensor | None = None, bits: int = 8
    ) -> None:
        self._sensor = Sensor(bits=bits)
        self._element = ""
        if psf is None:
            weights = TASK.load(
                TASK.default_weights["optics"] if str(model) == "auto" else str(model)
            )
            psf = psf_of(weights.tensors)
            if psf is None:
                raise WeightsError(
                    f"{weights.name}: has no optical element; give one as {argument('psf')}"
                )
            self._element = element_name(psf)
        self._psf = psf.numpy()

    def __call__(
        self,
        picture: Picture,
        *,
        exposure_stops: float | None = None,
        is_linear: bool | None = None,
    ) -> Radiance:
        """Return the capture: linear samples in [0, 1], quantised by the sensor, without noise.

        Args:
            picture: scene in colour, usually of high dynamic range.
            exposure_stops: stops by which the scene is brightened before the exposure; None to
                let 1.5 % of the pixels saturate.
            is_linear: whether integer samples are linear; None to take them for sRGB.

        Raises:
            UsageError: a gray picture.
        """
        started = time.perf_counter()
        if picture.channels != 3:
            raise UsageError("a gray picture: the element spreads each colour differently")
        light = linear_light(picture, is_linear=is_linear)
        scale = 2**exposure_stops if exposure_stops is not None else 1 / _white(light)
        light *= np.float32(scale)
        np.clip(light, LEAST_RADIANCE, LARGEST_RADIANCE, out=light)
        height, width = light.shape[1:]
        top, left = (size // 2 for size in self._psf.shape[1:])
        for channel, spread in zip(light, self._psf, strict=True):
            full = signal.oaconvolve(channel, spread)
            exposed = torch.from_numpy(full[top : top + height, left : left + width].copy())
            channel[...] = self._sensor(exposed).numpy()
        saturated: NDArray[np.bool_] = np.any(light >= 1, axis=0)
        return Radiance(
            picture=Picture(
                pixels=light,
                bit_depth=32,
                is_float=True,
                transfer=Transfer.LINEAR,
                exif=picture.exif,
                orientation=picture.orientation,
                primaries=picture.primaries or SRGB_PRIMARIES,
            ),
            known=guessed_where(saturated),
            record={
                "mode": "simulate",
                "exposure_stops": round(float(np.log2(scale)), 4),
                "saturated": round(float(saturated.mean()), 6),
                "bits": self._sensor.bits,
                "megapixels": round(width * height / 1e6, 6),
                "seconds": round(time.perf_counter() - started, 4),
            },
            attributes={
                "whiteScale": 1.0,
                "exposureScale": float(scale),
                **({ELEMENT_ATTRIBUTE: self._element} if self._element else {}),
            },
        )


def _white(light: NDArray[np.float32]) -> float:
    """Return the brightness above which 1.5 % of the pixels lie."""
    step = max(1, int((light[0].size / _MOST_SAMPLES) ** 0.5))
    brightest = light[:, ::step, ::step].max(axis=0)
    return max(float(np.quantile(brightest, 1 - _SATURATED)), 1e-12)
