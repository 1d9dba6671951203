"""The frames of a bracket, in linear light."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restore.hdr.dng import sensor_of
from restore.hdr.merge.align import warped
from restore.hdr.merge.response import Response
from restore.hdr.sensor_light import saturated_at, saturation_of
from restore.image.colour import REC709_LUMINANCE, linear_to_srgb
from restore.image.decode import decode
from restore.image.demosaic import light_of_sensor
from restore.image.develop import camera_to_srgb, gains_of
from restore.image.picture import Picture, Transfer
from restore.image.raw import is_raw, read_raw
from restore.image.raw_picture import RawPicture
from restore.image.saturation import saturation_levels
from restore.image.tone import light_of, tone_of

__all__ = [
    "Frame",
    "FrameReader",
    "Seen",
    "moved",
    "variance",
]

_FADE, _FULL = 0.8, 0.97
"""Shares of white between which a sample loses its weight: noise spreads clipped ones below 1."""
_READ_NOISE = {8: 0.004, 16: 0.0005}
_LARGEST = 1e9
_AROUND = {1: 1, 2: 3, 6: 5}
"""Side of the square from which colours are interpolated, by the period of the filter."""
_CELL = {1: 1, 2: 2, 6: 3}
"""Side of the smallest square that holds the same of each colour wherever it lies, likewise."""
_MOST_SHARPENED = np.float32(1.5)
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
        xmp: XMP packet of the file, or None.
        orientation: EXIF orientation 1..8.
        primaries: Primaries of the light, as ``Picture`` holds them.
        sensor: What a RAW file says of its sensor, see ``sensor_of``, or None.
    """

    light: NDArray[np.float32]
    use: NDArray[np.float32]
    inside: NDArray[np.bool_]
    read_noise: float
    exif: bytes | None
    xmp: bytes | None
    orientation: int
    primaries: str = ""
    sensor: RawPicture | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A frame as it is looked at before it is merged.

    Attributes:
        structure: Gamma-encoded luminance ``[H, W]`` in [0, 1]; of a RAW file, means over the
            period of its mosaic, as they are without white balance.
        encoded: Samples ``[C, H, W]`` of a finished picture that are not linear, or None.
        white_balance: Factors of red, green and blue that a RAW file states, or None.
    """

    structure: NDArray[np.float32]
    encoded: NDArray[np.float32] | None = None
    white_balance: tuple[float, float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class FrameReader:
    """Reads frames.

    Attributes:
        is_linear: Whether integer samples are linear.
        white_balance: White balance of RAW files; None for each file's own.
        saturation: Sample in (0, 1] from which on a channel is saturated, in RAW files of the range
            from black to the white level; None to find it in each frame.
    """

    is_linear: bool
    white_balance: tuple[float, float, float] | None = None
    saturation: float | None = None

    def seen(self, path: Path) -> "Seen":
        """Return what is needed of a frame to register it; RAW files are not demosaicked for it."""
        if is_raw(path):
            raw = read_raw(path)
            return Seen(structure=_structure(raw), white_balance=raw.white_balance)
        picture, is_linear = self.picture(path)
        return Seen(
            structure=_luminance(picture, is_linear=is_linear),
            encoded=None if is_linear else picture.pixels,
        )

    def picture(self, path: Path) -> tuple[Picture, bool]:
        """Return a frame, demosaicked if it is RAW, and whether its samples are linear."""
        if is_raw(path):
            return self._developed(read_raw(path))[0], True
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
        sensor = None
        if is_raw(path):
            raw = read_raw(path)
            picture, share = self._developed(raw)
            light = picture.pixels
            sensor = sensor_of(raw, self.white_balance or raw.white_balance)
        else:
            picture, is_linear = self.picture(path)
            light, share = _light(picture, None if is_linear else response, self.saturation)
        return Frame(
            light=light,
            use=_use(share),
            inside=np.ones(share.shape, dtype=bool),
            read_noise=_READ_NOISE.get(picture.bit_depth, 0.001),
            exif=picture.exif,
            xmp=picture.xmp,
            orientation=picture.orientation,
            primaries=picture.primaries,
            sensor=sensor,
        )

    def _developed(self, raw: RawPicture) -> tuple[Picture, NDArray[np.float32]]:
        """Return a RAW file's light, and what share of saturation it and its neighbours reach."""
        if self.saturation is not None:
            raw = saturated_at(raw, self.saturation)
        gains = gains_of(self.white_balance or raw.white_balance)
        camera = light_of_sensor(raw)
        saturated = camera >= (_FULL * saturation_of(raw))[:, None, None]
        if not raw.is_monochrome:
            camera *= gains[:, None, None]
        # Sensor white is not white once it is balanced: what saturated is as bright as the others.
        brightest = camera.max(axis=0)
        np.copyto(camera, brightest, where=saturated)
        light = camera if raw.is_monochrome else _in_srgb(camera, camera_to_srgb(raw))
        rows, columns = raw.shown
        picture = Picture(
            pixels=light[:, rows, columns],
            bit_depth=16,
            is_float=True,
            transfer=Transfer.LINEAR,
            exif=raw.exif,
            xmp=raw.xmp,
            orientation=raw.orientation,
        )
        return picture, _share(raw)[rows, columns]


def _share(raw: RawPicture) -> NDArray[np.float32]:
    """Return the highest share of its saturation that a sample around each pixel has, ``[H, W]``.

    The neighbourhood is that from which colours are interpolated.
    """
    around: NDArray[np.float32] = ndimage.maximum_filter(_shares(raw), size=_AROUND[len(raw.cfa)])
    return around


def _shares(raw: RawPicture) -> NDArray[np.float32]:
    """Return the share of its saturation that each sample has, ``[H, W]``."""
    period = len(raw.cfa)
    share = np.empty(raw.mosaic.shape, dtype=np.float32)
    for row in range(period):
        for column in range(period):
            colour = raw.cfa[row, column]
            black, white = raw.black_level[colour], raw.saturated_from[colour]
            samples = raw.mosaic[row::period, column::period].astype(np.float32)
            share[row::period, column::period] = (samples - black) / np.float32(white - black)
    return share


def _structure(raw: RawPicture) -> NDArray[np.float32]:
    """Return ``Seen.structure`` of a mosaic."""
    means = ndimage.uniform_filter(_shares(raw), size=_CELL[len(raw.cfa)])
    return linear_to_srgb(means[raw.shown].clip(0, 1))


def _light(
    picture: Picture, response: Response | None, saturation: float | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return light ``[3, H, W]`` and its share of white; without a response, samples are linear."""
    if saturation is None:
        levels = saturation_levels(picture.pixels, is_lossy=picture.is_lossy)
    else:
        levels = np.full(picture.channels, saturation, dtype=np.float32)
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


def _luminance(picture: Picture, *, is_linear: bool) -> NDArray[np.float32]:
    """Return gamma-encoded luminance in [0, 1]."""
    pixels = picture.pixels
    luma = pixels[0] if len(pixels) == 1 else np.tensordot(REC709_LUMINANCE, pixels, axes=1)
    luma = np.nan_to_num(luma).clip(0, 1).astype(np.float32)
    return linear_to_srgb(luma) if is_linear else luma


def moved(frame: Frame, matrix: NDArray[np.float64]) -> Frame:
    """Return a frame resampled onto the reference; its light is resampled in place.

    Beyond its edges its weight is 0. Splines of third order keep what linear interpolation blurs;
    beside lights they overshoot, so they are held to a factor of what it gives.
    """
    if np.allclose(matrix, np.eye(3)):
        return frame
    for plane in frame.light:
        smooth = warped(plane, matrix, fill=0.0)
        bounds = smooth / _MOST_SHARPENED, smooth * _MOST_SHARPENED
        sharp = warped(plane, matrix, fill=0.0, order=3)
        plane[...] = np.clip(sharp, np.minimum(*bounds), np.maximum(*bounds))
    inside = warped(np.ones_like(frame.use), matrix, fill=0.0) > 1 - 1e-3
    use = warped(frame.use, matrix, fill=0.0) * inside
    return replace(frame, use=use, inside=inside)


def _use(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 for samples well below white, falling to 0 just before it."""
    use: NDArray[np.float32] = np.clip((_FULL - share) / (_FULL - _FADE), 0, 1).astype(np.float32)
    return use


def _in_srgb(camera: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return white-balanced camera RGB in sRGB's primaries, linear."""
    colours: NDArray[np.float32] = np.tensordot(matrix, camera, axes=1)
    return colours
