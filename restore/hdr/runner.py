"""Radiance from one exposure, ordinary or through an encoding optical element."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, signal
from torch import Tensor

from restore.checks import checked_number
from restore.engine.placement import Placement
from restore.engine.runner import Run, Runner
from restore.errors import InputError, UsageError, WeightsError
from restore.hdr.optics.psf import resized
from restore.hdr.optics.sensor import LARGEST_RADIANCE
from restore.hdr.radiance import (
    Known,
    Radiance,
    as_colour,
    curve_to_light,
    guessed_where,
    linearised,
)
from restore.hdr.task import TASK
from restore.image.coerce import ImageLike, as_picture
from restore.image.colour import SRGB_PRIMARIES
from restore.image.gray import is_gray_as_rgb
from restore.image.picture import Picture, Transfer, with_alpha_kind
from restore.image.saturation import saturation_levels
from restore.models.optical_element import psf_of
from restore.reopen import Reopened
from restore.weights.file import find
from restore.weights.store import Weights

__all__ = ["HdrReconstructor", "Mode"]

Mode = Literal["single", "optics"]

_MOST_STOPS = 100.0
_KNEE = 0.05
_FEATHER_PX = 3
_SAME_PSF = 0.1
_CORE_PX = 3
_LEAST_EVIDENCE = 0.005
_BAND_PX = 512


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

    It can be pickled: another process opens the network anew.

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
        self._psf = _checked_psf(weights, mode, psf)
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
        image: ImageLike,
        *,
        saturation: float | None = None,
        is_linear: bool | None = None,
        exposure_stops: float = 0.0,
    ) -> Radiance:
        """Reconstruct the radiance of an image.

        Args:
            image: ``Picture``, path, PIL image, array or tensor of one picture; see
                ``restore.denoise``. 8- to 16-bit, or linear floating point; gray counts as three
                equal colours.
            saturation: sample value in (0, 1] from which a channel is saturated; None to detect it
                (single), or for 1 (optics).
            is_linear: whether integer samples are linear; None to take them for what a profile
                says, or else for sRGB.
            exposure_stops: stops by which the result is brightened.

        Returns:
            Scene-linear light in sRGB's primaries (or the file's own), 1 where the sensor
            saturates. Mode single changes saturated pixels, and pixels near white within three
            pixels of one; all others are only linearised.

        Raises:
            InputError: the image is of an unsupported type or unreadable, or is floating point with
                light above white: it is HDR already.
            UsageError: saturation or exposure out of range.
        """
        if saturation is not None:
            checked_number("saturation", saturation, 0, 1, "a sample value up to 1", above=True)
        stops = f"stops from -{_MOST_STOPS:g} to {_MOST_STOPS:g}"
        checked_number("exposure_stops", exposure_stops, -_MOST_STOPS, _MOST_STOPS, stops)
        picture = as_picture(image)
        started = time.perf_counter()
        picture = with_alpha_kind(picture, premultiplied=False)
        if picture.is_float and np.fmax.reduce(picture.pixels, axis=None, initial=0) > 1.001:
            raise InputError("has light above white, so it is of high dynamic range already")
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
            restored, known = self._single(as_colour(linear(picture.pixels)), white)
        else:
            restored, known = self._optics(picture.pixels, levels, linear, white)
        if picture.channels == 1:
            # In float64 the mean of three equal values is that value.
            restored = restored.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
        if gray_as_rgb:
            restored = np.repeat(restored, 3, axis=0)
        if exposure_stops:
            restored *= np.float32(2**exposure_stops)
        level = float(white[np.isfinite(white)].min()) if np.isfinite(white).any() else 1.0
        kinds = (Known.GUESSED, Known.DECODED, Known.MEASURED)
        shares = {kind.name.lower(): float((known == kind).mean()) for kind in kinds}
        record: dict[str, object] = {
            "mode": self._mode,
            **self._runner.record(),
            "saturation": round(level, 5),
            **{name: round(share, 6) for name, share in shares.items()},
            "peak": round(float(restored.max(initial=0)), 4),
            "exposure_stops": exposure_stops,
            "megapixels": round(picture.width * picture.height / 1e6, 6),
            "seconds": round(time.perf_counter() - started, 4),
            **({"gray_stored_as_rgb": True} if gray_as_rgb else {}),
        }
        return Radiance(
            picture=_result(picture, restored),
            known=known,
            record=record,
            attributes={
                "whiteScale": float(2**exposure_stops),
                "saturationThreshold": level * 2**exposure_stops,
                "imrestoreMode": self._mode,
                "imrestoreModel": self._runner.name,
                "imrestoreWeightsSha256": self._digest,
            },
        )

    def _levels(self, picture: Picture, saturation: float | None) -> NDArray[np.float32]:
        """Return the sample at which each channel saturates; infinity for never."""
        if saturation is not None:
            return np.full(picture.channels, saturation, dtype=np.float32)
        if self._mode == "optics":
            return np.full(picture.channels, 1 - 0.5 / 65535, dtype=np.float32)
        return saturation_levels(picture.pixels, is_lossy=picture.is_lossy)

    def _single(
        self, light: NDArray[np.float32], white: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        share = light[0] / white[0]
        for channel, level in zip(light[1:], white[1:], strict=True):
            np.maximum(share, channel / level, out=share)
        saturated = share >= 1
        if not saturated.any():
            return light, np.full(saturated.shape, Known.MEASURED, dtype=np.uint8)
        # Only around what was lost: a bright wall that was measured stays as it is.
        near = ndimage.binary_dilation(saturated, iterations=_FEATHER_PX)
        mask = np.clip((share - (1 - _KNEE)) / _KNEE, 0, 1, out=share)
        mask *= near
        del near
        usable = np.where(np.isfinite(white), white, 1.0).astype(np.float32)
        tile = _Tile(usable, needed_above=1 - _KNEE)
        restored = self._runner.tiled(light, tile, channels=len(usable))
        np.clip(restored, 0, LARGEST_RADIANCE, out=restored)
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
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        # Linearised tile by tile, to avoid another whole picture in memory.
        tile = _Tile(white, light_of=lambda patch: as_colour(linear(patch)))
        restored = self._runner.tiled(samples, tile, channels=len(white))
        np.clip(restored, 0, LARGEST_RADIANCE, out=restored)
        saturated = np.zeros(samples.shape[1:], dtype=np.bool_)
        for channel, level in zip(samples, levels, strict=True):
            saturated |= channel >= level
        known = np.full(saturated.shape, Known.MEASURED, dtype=np.uint8)
        known[saturated] = Known.GUESSED
        if saturated.any() and self._psf is not None:
            known[saturated & (_evidence(saturated, self._psf) > _LEAST_EVIDENCE)] = Known.DECODED
        return restored, known


@dataclass(frozen=True)
class _Tile:
    """Reconstructs the light ``[3, h, w]`` of a tile, in the unit of the light; see ``PerTile``.

    Attributes:
        white: light ``[3]`` at which each channel saturates.
        light_of: function from samples to linear light ``[3, h, w]``.
        needed_above: share of white; tiles that stay below it come back unchanged.
    """

    white: NDArray[np.float32]
    light_of: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda samples: samples
    needed_above: float = 0.0

    def __call__(self, run: Run, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        light = self.light_of(patch)
        scale = self.white[:, None, None]
        exposed = np.clip(light / scale, 0, 1)
        if exposed.max() < self.needed_above:
            return light
        reconstructed: NDArray[np.float32] = run(exposed[None])[0] * scale
        return reconstructed


def _checked_psf(weights: Weights, mode: Mode, psf: Tensor | None) -> Tensor | None:
    """Return the PSF of the captures.

    Raises:
        WeightsError: weights for the other mode.
        UsageError: ``psf`` is not what the weights were trained for.
    """
    own = psf_of(weights.tensors)
    if mode == "single":
        if own is not None:
            raise WeightsError(
                f"{weights.name}: trained for captures through an optical element; "
                "use --mode optics, or other weights"
            )
        return None
    if own is None and (psf is None or "converted_from" not in weights.provenance):
        raise WeightsError(
            f"{weights.name}: has no optical element; use --mode single, or weights trained "
            "with --optics learn or fixed"
        )
    if own is None or psf is None:
        return psf if own is None else own
    size = max(*own.shape[1:], *psf.shape[1:])
    difference = float((resized(own, size) - resized(psf, size)).abs().sum()) / 2 / len(own)
    if difference > _SAME_PSF:
        raise UsageError(
            f"{weights.name} was trained for another PSF: {difference:.0%} of the light falls "
            "elsewhere; train for it with `imrestore train hdr DIR --optics fixed --psf FILE -o "
            "NAME.safetensors --time 2h`"
        )
    return own


def _evidence(saturated: NDArray[np.bool_], psf: Tensor) -> NDArray[np.float32]:
    """Return the share of each pixel's light that falls on unsaturated pixels, ``[H, W]``.

    The core of the PSF is left out: it falls on the pixel itself.
    """
    spread = psf.mean(dim=0)
    rows, columns = (size // 2 for size in spread.shape)
    far = spread.clone()
    top, left = max(0, rows - _CORE_PX), max(0, columns - _CORE_PX)
    far[top : rows + _CORE_PX + 1, left : columns + _CORE_PX + 1] = 0
    # A correlation: light of a pixel lands where the PSF, centred on it, says.
    kernel = torch.flip(far, dims=(0, 1)).numpy()
    height, width = saturated.shape
    result = np.zeros((height, width), dtype=np.float32)
    # Band by band: the transforms of a whole picture take many times its memory.
    for top in range(0, height, _BAND_PX):
        bottom = min(top + _BAND_PX, height)
        if not saturated[top:bottom].any():
            continue
        first = max(0, top - rows)
        measured = ~saturated[first : bottom + rows]
        full = signal.oaconvolve(measured.astype(np.float32), kernel, mode="full")
        start = top - first + rows
        result[top:bottom] = full[start : start + bottom - top, columns : columns + width]
    return result


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
