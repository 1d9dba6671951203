"""Radiance from one exposure, ordinary or through an encoding optical element."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from restore.checks import checked_number
from restore.engine.placement import Placement
from restore.engine.runner import Runner
from restore.errors import InputError, UsageError
from restore.hdr.captured_element import ELEMENT_ATTRIBUTE, check_capture
from restore.hdr.dng import sensor_of
from restore.hdr.element import checked_psf, element_name
from restore.hdr.radiance import (
    Known,
    Radiance,
    as_colour,
    curve_to_light,
    guessed_where,
    linearised,
)
from restore.hdr.saturated import LostTile, cap, saturated_where, share_of_white
from restore.hdr.sensor_light import light_of_raw
from restore.hdr.task import TASK
from restore.hdr.traces import known_through
from restore.image.coerce import ImageLike, as_picture
from restore.image.colour import SRGB_PRIMARIES
from restore.image.gray import is_gray_as_rgb
from restore.image.picture import Picture, Transfer, with_alpha_kind
from restore.image.raw_picture import RawPicture
from restore.image.saturation import saturation_levels
from restore.models.optical_element import psf_of
from restore.reopen import Reopened
from restore.weights.file import find

__all__ = ["HdrReconstructor", "Mode"]

Mode = Literal["single", "optics"]

_MOST_STOPS = 100.0
_KNEE = 0.05
_FEATHER_PX = 3


class HdrReconstructor(Reopened):
    """Recovers the light that one exposure lost to saturation.

    Args:
        mode: single for ordinary pictures; optics for captures through an encoding element.
        model: a shipped name, a weight file, or auto for the mode's own.
        psf: PSF ``(3, P, Q)`` of the captures' element, to check it against that of the weights.
        device: as for ``Placement``.
        precision: as for ``Placement``.
        tile: as for ``Placement``.

    Raises:
        WeightsError: the weights are missing, damaged, or for another task or mode.
        UsageError: an option is invalid, or another PSF than that of the weights.
        DeviceError: the device is not on this machine.

    It may be called from several threads, and pickled: another process opens the network anew.
    After a fork, make one of its own.

    >>> import numpy as np
    >>> import restore
    >>> lamp = np.full((64, 64, 3), 60, np.uint8)
    >>> lamp[20:30, 20:30] = 255
    >>> light = restore.HdrReconstructor("single")(lamp).picture.pixels
    >>> bool(light[:, 20:30, 20:30].min() >= 1 > light[:, 0, 0].max())
    True
    """

    def __init__(
        self,
        mode: Mode = "single",
        model: str | Path = "auto",
        *,
        psf: Tensor | None = None,
        device: str = "auto",
        precision: str = "auto",
        tile: str | int = "auto",
    ) -> None:
        if mode not in get_args(Mode):
            raise UsageError(f"mode {mode!r}: use single or optics")
        name = TASK.default_weights[mode] if str(model) == "auto" else str(model)
        weights = TASK.load(name)
        self._mode = mode
        self._psf = checked_psf(weights, psf, is_single=mode == "single")
        stored = psf_of(weights.tensors)
        self._element = None if stored is None else element_name(stored)
        placement = Placement(device=device, precision=precision, tile=tile)
        self._runner = Runner(weights, placement)
        with find(name).open("rb") as file:
            self._digest = hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def lanes(self) -> int:
        """Number of pictures processed at once when it is called from several threads."""
        return self._runner.lanes

    def __call__(
        self,
        image: "ImageLike | RawPicture",
        *,
        saturation: float | None = None,
        is_linear: bool | None = None,
        exposure_stops: float = 0.0,
        max_stops: float | None = None,
    ) -> Radiance:
        """Reconstruct the radiance of an image.

        Args:
            image: ``Picture``, path, PIL image, array or tensor of one picture; see
                ``restore.denoise``. 8- to 16-bit, or linear floating point; gray counts as three
                equal colours. In mode single also a ``RawPicture``, whose light above the white of
                a developed picture is used before anything is guessed.
            saturation: sample value in (0, 1] from which a channel is saturated; None to detect it
                (single), or for 1 (optics).
            is_linear: whether integer samples are linear; None to take them for what a profile
                says, or else for sRGB.
            exposure_stops: stops by which the result is brightened.
            max_stops: most stops above saturation that a lost pixel is given; None for what the
                network says.

        Returns:
            Scene-linear light in sRGB's primaries (or the file's own), 1 where the sensor
            saturates. Mode single changes saturated pixels, and pixels near white within three
            pixels of one; all others are only linearised.

        Raises:
            InputError: the image is of an unsupported type or unreadable, is floating point with
                light above white (it is HDR already), or names another element than the weights'.
            UsageError: saturation or stops out of range, or a RAW file in mode optics.
        """
        if saturation is not None:
            checked_number("saturation", saturation, 0, 1, "a sample value up to 1", above=True)
        stops = f"stops from -{_MOST_STOPS:g} to {_MOST_STOPS:g}"
        checked_number("exposure_stops", exposure_stops, -_MOST_STOPS, _MOST_STOPS, stops)
        if max_stops is not None:
            checked_number("max_stops", max_stops, 0, _MOST_STOPS, f"stops up to {_MOST_STOPS:g}")
        started = time.perf_counter()
        if isinstance(image, RawPicture):
            found = self._of_raw(image, saturation, max_stops)
        else:
            found = self._of_picture(as_picture(image), saturation, is_linear, max_stops)
        light = found.picture.pixels
        if exposure_stops:
            light *= np.float32(2**exposure_stops)
        record: dict[str, object] = {
            "mode": self._mode,
            **self._runner.record(),
            "saturation": round(found.level, 5),
            **found.shares(),
            "peak": round(float(light.max(initial=0)), 4),
            "exposure_stops": exposure_stops,
            "max_stops": max_stops,
            "megapixels": round(light[0].size / 1e6, 6),
            "seconds": round(time.perf_counter() - started, 4),
            **found.remarks,
        }
        return Radiance(
            picture=found.picture,
            known=found.known,
            record=record,
            attributes={
                "whiteScale": float(2**exposure_stops),
                "saturationThreshold": found.level * 2**exposure_stops,
                "imrestoreMode": self._mode,
                "imrestoreModel": self._runner.name,
                "imrestoreWeightsSha256": self._digest,
                **({ELEMENT_ATTRIBUTE: self._element} if self._element else {}),
            },
            sensor=found.sensor,
        )

    def _of_picture(
        self,
        picture: Picture,
        saturation: float | None,
        is_linear: bool | None,
        max_stops: float | None,
    ) -> "_Found":
        picture = with_alpha_kind(picture, premultiplied=False)
        if picture.is_float and np.fmax.reduce(picture.pixels, axis=None, initial=0) > 1.001:
            raise InputError("has light above white, so it is of high dynamic range already")
        if self._mode == "optics":
            check_capture(picture, self._element, self._runner.name)
        gray_as_rgb = is_gray_as_rgb(picture)
        if gray_as_rgb:
            picture = picture.with_pixels(picture.pixels[1:2])
        levels = self._levels(picture, saturation)
        to_light = curve_to_light(picture, is_linear)
        linear = partial(linearised, to_light=to_light)
        white = as_colour(
            np.where(np.isinf(levels), levels, to_light(levels[:, None, None])[:, 0, 0])
        )
        if self._mode == "single":
            light = as_colour(linear(picture.pixels))
            restored, known = self._single(light, white, saturated_where(light, white), max_stops)
        else:
            restored, known = self._optics(picture.pixels, levels, linear, white, max_stops)
        if picture.channels == 1:
            # In float64 the mean of three equal values is that value.
            restored = restored.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        if gray_as_rgb:
            restored = np.repeat(restored, 3, axis=0)
        return _Found(
            picture=_result(picture, restored),
            known=known,
            level=float(white[np.isfinite(white)].min()) if np.isfinite(white).any() else 1.0,
            remarks={"gray_stored_as_rgb": True} if gray_as_rgb else {},
        )

    def _of_raw(
        self, raw: RawPicture, saturation: float | None, max_stops: float | None
    ) -> "_Found":
        if self._mode == "optics":
            raise UsageError("mode optics takes linear pictures; develop RAW captures linearly")
        measured = light_of_raw(raw, saturation=saturation)
        white = np.full(3, measured.white, dtype=np.float32)
        light, known = self._single(measured.light, white, measured.lost, max_stops)
        known[measured.partly & (known == Known.MEASURED)] = Known.PARTLY
        picture = Picture(
            pixels=light,
            bit_depth=16,
            is_float=True,
            transfer=Transfer.LINEAR,
            exif=raw.exif,
            xmp=raw.xmp,
            orientation=raw.orientation,
            primaries=SRGB_PRIMARIES,
        )
        return _Found(
            picture=picture,
            known=known,
            level=measured.white,
            remarks={"headroom_stops": round(float(np.log2(measured.white)), 3)},
            sensor=sensor_of(raw, raw.white_balance),
        )

    def _levels(self, picture: Picture, saturation: float | None) -> NDArray[np.float32]:
        """Return the sample at which each channel saturates; infinity for never."""
        if saturation is not None:
            return np.full(picture.channels, saturation, dtype=np.float32)
        if self._mode == "optics":
            return np.full(picture.channels, 1 - 0.5 / 65535, dtype=np.float32)
        return saturation_levels(picture.pixels, is_lossy=picture.is_lossy)

    def _single(
        self,
        light: NDArray[np.float32],
        white: NDArray[np.float32],
        saturated: NDArray[np.bool_],
        max_stops: float | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        share = share_of_white(light, white)
        if not saturated.any():
            return light, np.full(saturated.shape, Known.MEASURED, dtype=np.uint8)
        # Only around what was lost: a bright wall that was measured stays as it is.
        near = ndimage.binary_dilation(saturated, iterations=_FEATHER_PX)
        mask = np.clip((share - (1 - _KNEE)) / _KNEE, 0, 1, out=share)
        mask *= near
        del near
        usable = np.where(np.isfinite(white), white, 1.0).astype(np.float32)
        tile = LostTile(usable, needed_above=1 - _KNEE)
        restored = self._runner.tiled(light, tile, channels=len(usable))
        cap(restored, white, max_stops)
        # A saturated pixel is at least as bright as its stored value.
        for channel, measured, level in zip(restored, light, white, strict=True):
            np.maximum(channel, measured, out=channel, where=saturated & (measured >= level))
        touched = mask > 0
        blend = mask[touched]
        for channel, measured in zip(restored, light, strict=True):
            new = channel[touched]
            channel[...] = measured
            channel[touched] += blend * (new - measured[touched])
        return restored, guessed_where(touched)

    def _optics(
        self,
        samples: NDArray[np.float32],
        levels: NDArray[np.float32],
        linear: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        white: NDArray[np.float32],
        max_stops: float | None,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        # Linearised tile by tile, to avoid another whole picture in memory.
        tile = LostTile(white, light_of=lambda patch: as_colour(linear(patch)))
        restored = self._runner.tiled(samples, tile, channels=len(white))
        cap(restored, white, max_stops)
        saturated = np.zeros(samples.shape[1:], dtype=np.bool_)
        for channel, level in zip(samples, levels, strict=True):
            saturated |= channel >= level
        return restored, known_through(restored, saturated, self._psf)


@dataclass(frozen=True, kw_only=True)
class _Found:
    """What was found of one image, before its exposure is changed.

    Attributes:
        picture: the light.
        known: ``[H, W]``, see ``Known``.
        level: light from which it was saturated.
        remarks: entries of the record that not every image has.
        sensor: what the file says of its sensor, if it was RAW.
    """

    picture: Picture
    known: NDArray[np.uint8]
    level: float
    remarks: Mapping[str, object]
    sensor: RawPicture | None = None

    def shares(self) -> dict[str, float]:
        """Return the shares of the pixels that are known in each way, by name."""
        kinds = [Known.GUESSED, Known.DECODED, Known.MEASURED]
        if self.sensor is not None:
            kinds.insert(2, Known.PARTLY)
        return {kind.name.lower(): round(float((self.known == kind).mean()), 6) for kind in kinds}


def _result(picture: Picture, light: NDArray[np.float32]) -> Picture:
    return replace(
        picture,
        pixels=light,
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
        icc=None,
        cicp=None,
        png_chunks=b"",
        primaries=picture.primaries or SRGB_PRIMARIES,
    )
