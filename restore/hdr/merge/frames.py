"""The frames of a bracket, in linear light."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.hdr.merge.align import warped
from restore.hdr.merge.response import Response
from restore.image.colour import REC709_LUMINANCE, linear_to_srgb
from restore.image.decode import decode
from restore.image.develop import camera_to_srgb, gains_of
from restore.image.picture import Picture, Transfer
from restore.image.raw import is_raw, read_raw
from restore.image.raw_picture import GREEN, SECOND_GREEN, RawPicture, normalised
from restore.image.saturation import saturation_levels
from restore.image.tone import light_of, tone_of

__all__ = [
    "Frame",
    "FrameReader",
    "demosaiced",
    "linear_srgb",
    "luminance",
    "moved",
    "variance",
]

_FADE, _FULL = 0.8, 0.97
"""Shares of white between which a sample loses its weight: noise spreads clipped ones below 1."""
_READ_NOISE = {8: 0.004, 16: 0.0005}
_LARGEST = 1e9
_PHOTONS = np.float32(1000)
"""Photons that a sensor's white stands for: few, so that reading counts where it is dark."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One exposure in memory.

    Attributes:
        light: Linear light ``[3, H, W]``, 1 the sensor's white.
        use: Weight ``[H, W]``, 1 where no channel is near saturation, falling to 0 before it.
        inside: bool ``[H, W]``, where the frame reaches after alignment.
        read_noise: Standard deviation of dark samples.
        exif: EXIF block of the file, or None.
        orientation: EXIF orientation 1..8.
        primaries: Primaries of the light, as ``Picture`` holds them.
    """

    light: NDArray[np.float32]
    use: NDArray[np.float32]
    inside: NDArray[np.bool_]
    read_noise: float
    exif: bytes | None
    orientation: int
    primaries: str = ""


@dataclass(frozen=True, kw_only=True)
class FrameReader:
    """Reads frames.

    Attributes:
        is_linear: Whether integer samples are linear.
        white_balance: White balance of RAW files; None for each file's own.
    """

    is_linear: bool
    white_balance: tuple[float, float, float] | None = None

    def balanced_as(self, path: Path) -> "FrameReader":
        """Return a reader that gives all RAW files the white balance of one.

        Chosen by the camera for every frame, it would tint light by exposure.
        """
        if not is_raw(path):
            return self
        raw = read_raw(path)
        return replace(self, white_balance=raw.white_balance)

    def picture(self, path: Path) -> tuple[Picture, bool]:
        """Return a frame, demosaicked if it is RAW, and whether its samples are linear."""
        if is_raw(path):
            return self._developed(path)[0], True
        picture = decode(path)
        tone = tone_of(picture)
        if tone is not None and (tone.is_perceptual or tone.is_linear):
            picture = replace(picture, pixels=light_of(picture), transfer=Transfer.LINEAR)
        elif tone is not None:
            # A display's curve, but perhaps not all of the camera's: the response is to be found.
            picture = replace(picture, pixels=tone.encoded(picture.pixels))
        return picture, self.is_linear or picture.transfer is Transfer.LINEAR

    def frame(self, path: Path, response: Response | None) -> Frame:
        """Return a frame in linear light."""
        if is_raw(path):
            picture, share = self._developed(path)
            light = picture.pixels
        else:
            picture, is_linear = self.picture(path)
            light, share = _light(picture, None if is_linear else response)
        return Frame(
            light=light,
            use=_use(share),
            inside=np.ones(share.shape, dtype=bool),
            read_noise=_READ_NOISE.get(picture.bit_depth, 0.001),
            exif=picture.exif,
            orientation=picture.orientation,
            primaries=picture.primaries,
        )

    def _developed(self, path: Path) -> tuple[Picture, NDArray[np.float32]]:
        """Return a RAW file's light, and its brightest channel over the sensor's white, ``[H, W]``.

        White balance and colour matrix come after the sensor: light above 1 may be well measured.
        """
        raw = read_raw(path)
        camera = demosaiced(raw)
        share = camera.max(axis=0)
        light = linear_srgb(
            replace(raw, white_balance=self.white_balance or raw.white_balance), camera
        )
        # A colour matrix would hide what saturated; white must stay white.
        light[:, share >= 1] = np.maximum(light[:, share >= 1], 1)
        picture = Picture(
            pixels=light,
            bit_depth=16,
            is_float=True,
            transfer=Transfer.LINEAR,
            exif=raw.exif,
            orientation=raw.orientation,
        )
        return picture, share


def _light(
    picture: Picture, response: Response | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return light ``[3, H, W]`` and its share of white; without a response, samples are linear."""
    levels = saturation_levels(picture.pixels, is_lossy=picture.is_lossy)
    samples = np.broadcast_to(picture.pixels, (3, picture.height, picture.width))
    whites = np.broadcast_to(np.minimum(levels, _LARGEST), (3,))
    light = np.empty(samples.shape, dtype=np.float32)
    share = np.zeros(samples.shape[1:], dtype=np.float32)
    for channel in range(3):
        white = whites[channel : channel + 1].astype(np.float32)
        if response is None:
            light[channel] = np.nan_to_num(samples[channel]).clip(-_LARGEST, _LARGEST)
        else:
            light[channel] = response.light(samples[channel], channel)
            white = response.light(white, channel) if white[0] <= 1 else white
        np.maximum(share, light[channel] / white[0], out=share)
    return light, share


def variance(frame: Frame) -> NDArray[np.float32]:
    """Return the variance ``[H, W]`` of a frame's light: that of its photons and of its reading."""
    signal = np.clip(frame.light.mean(axis=0), 0, None)
    result: NDArray[np.float32] = signal / _PHOTONS + np.float32(frame.read_noise**2)
    return result


def luminance(picture: Picture, *, is_linear: bool) -> NDArray[np.float32]:
    """Return gamma-encoded luminance in [0, 1]."""
    pixels = picture.pixels
    luma = pixels[0] if len(pixels) == 1 else np.tensordot(REC709_LUMINANCE, pixels, axes=1)
    luma = np.nan_to_num(luma).clip(0, 1).astype(np.float32)
    return linear_to_srgb(luma) if is_linear else luma


def moved(frame: Frame, matrix: NDArray[np.float64]) -> Frame:
    """Return a frame resampled onto the reference; its light is resampled in place.

    Beyond its edges its weight is 0.
    """
    for plane in frame.light:
        plane[...] = warped(plane, matrix, fill=0.0)
    inside = warped(np.ones_like(frame.use), matrix, fill=0.0) > 1 - 1e-3
    use = warped(frame.use, matrix, fill=0.0) * inside
    return replace(frame, use=use, inside=inside)


def _use(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 for samples well below white, falling to 0 just before it."""
    use: NDArray[np.float32] = np.clip((_FULL - share) / (_FULL - _FADE), 0, 1).astype(np.float32)
    return use


_BAYER = np.array([0.5, 1.0, 0.5])
_XTRANS = np.array([0.25, 0.5, 1.0, 0.5, 0.25])


def demosaiced(raw: RawPicture) -> NDArray[np.float32]:
    """Return linear camera RGB ``[3, H, W]``, black at 0 and the sensor's white at 1.

    Each missing colour is the weighted mean of its nearest samples, for any filter pattern: on
    Bayer sensors, bilinear interpolation. Measured samples are kept.
    """
    height, width = raw.mosaic.shape
    tiles = (-(-height // len(raw.cfa)), -(-width // len(raw.cfa)))
    cfa = np.tile(raw.cfa, tiles)[:height, :width]
    light = normalised(raw)
    cfa[cfa == SECOND_GREEN] = GREEN
    kernel = (_XTRANS if raw.is_xtrans else _BAYER).astype(np.float32)
    planes = np.empty((3, height, width), dtype=np.float32)
    for colour, plane in enumerate(planes):
        here = cfa == colour
        weight = _smoothed(here.astype(np.float32), kernel)
        plane[...] = _smoothed(light * here, kernel) / np.maximum(weight, 1e-6)
        plane[here] = light[here]
    return planes


def linear_srgb(raw: RawPicture, camera: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``camera`` RGB with the file's white balance, in sRGB's primaries, linear."""
    balanced = camera * gains_of(raw.white_balance)[:, None, None]
    colours: NDArray[np.float32] = np.tensordot(camera_to_srgb(raw), balanced, axes=1)
    return colours


def _smoothed(plane: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = ndimage.correlate1d(plane, kernel, axis=0, mode="mirror")
    result: NDArray[np.float32] = ndimage.correlate1d(rows, kernel, axis=1, mode="mirror")
    return result
