"""Linear light, the origin of each pixel's value, and the files that hold it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import OutputError
from restore.hdr.dng import dng_of_light
from restore.image.codec import AS_IT_CAME, SampleEncoding, WriteOptions
from restore.image.codecs import CODECS, ImageFormat
from restore.image.colour import (
    REC709_LUMINANCE,
    in_srgb_primaries,
    linear_to_srgb,
    srgb_to_linear,
)
from restore.image.encode import check_depth, encode, encode_as
from restore.image.exr import write_exr
from restore.image.lost_metadata import with_true_metadata
from restore.image.picture import Picture, Transfer, is_opaque, upright, with_alpha_kind
from restore.image.raw_picture import RawPicture
from restore.image.tone import tone_of

__all__ = [
    "BESIDE",
    "Known",
    "Radiance",
    "as_colour",
    "curve_to_light",
    "guessed_where",
    "linear_light",
    "linearised",
    "tone_mapped",
    "write_gain_map",
]

ToLight: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]

BESIDE: Mapping[str, str] = {"preview": "preview.jpg", "write-mask": "mask.png"}
"""Additional output files: command-line option to the end of the file's name."""


class Known(IntEnum):
    """The origin of a pixel's value; the numbers are those in a mask."""

    GUESSED = 0
    """Saturated; estimated from its surroundings alone."""
    DECODED = 128
    """Saturated; recovered from the light that the element spreads to other pixels."""
    PARTLY = 192
    """Measured, but not by every exposure: where something moved, those that show it are left out.
    """
    MEASURED = 255
    """Within the sensor's range."""


def guessed_where(lost: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return ``Known`` codes: guessed where ``lost``, measured elsewhere."""
    known = np.full(lost.shape, Known.MEASURED, dtype=np.uint8)
    known[lost] = Known.GUESSED
    return known


@dataclass(frozen=True, kw_only=True)
class Radiance:
    """A result of ``imrestore hdr``.

    Attributes:
        picture: scene-linear float32, 1 the sensor's white.
        known: uint8 ``[H, W]``, see ``Known``; stored in the picture's own orientation.
        record: record of how it was made, as plain values.
        attributes: header attributes of an EXR file.
        sensor: what a DNG says of the camera, see ``sensor_of``, or None for sRGB's colours.

    >>> import numpy as np
    >>> import restore
    >>> radiance = restore.HdrReconstructor("single")(np.full((32, 32, 3), 60, np.uint8))
    >>> radiance.record["measured"], radiance.picture.transfer is restore.Transfer.LINEAR
    (1.0, True)
    """

    picture: Picture
    known: NDArray[np.uint8]
    record: Mapping[str, object]
    attributes: Mapping[str, str | float] = field(default_factory=dict)
    sensor: RawPicture | None = None

    def encoded(self, image_format: ImageFormat, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file: EXR, Radiance, float TIFF, DNG, or JPEG with a gain map.

        Raises:
            UsageError: a bit depth that the format does not have.
            OutputError: the picture cannot be written in this format here.
        """
        check_depth(image_format, options.bit_depth, is_light=True)
        if image_format is ImageFormat.EXR or CODECS[image_format].holds_gain_map:
            with_true_metadata(
                self.picture, image_format, holds_blocks=False, strip=options.strip_metadata
            )
        if image_format is ImageFormat.EXR:
            picture = with_alpha_kind(upright(self.picture), premultiplied=True)
            encoding = SampleEncoding(bit_depth=options.bit_depth or 32, is_float=True)
            return write_exr(picture, encoding, attributes=self.attributes)
        if image_format is ImageFormat.DNG:
            if not is_opaque(self.picture):
                raise OutputError("DNG cannot hold an alpha channel; use --format exr")
            picture, sensor = self.picture, self.sensor
            if options.strip_metadata:
                picture = replace(picture, exif=None)
                sensor = sensor and replace(sensor, xmp=None)
            return dng_of_light(picture, sensor, preview=self._preview())
        if CODECS[image_format].holds_gain_map:
            if not is_opaque(self.picture):
                raise OutputError("JPEG cannot hold an alpha channel; use --format exr")
            light = in_srgb_primaries(upright(self.picture))
            return write_gain_map(light, quality=options.quality)
        return encode_as(self.picture, image_format, options)

    def beside(self, kind: str) -> bytes:
        """Return the bytes of the tone-mapped preview or of the mask."""
        if kind == "preview":
            return encode(upright(self._preview()), ImageFormat.JPEG, quality=92)
        codes = self.known[None].astype(np.float32) / np.float32(255)
        mask = Picture(pixels=codes, orientation=self.picture.orientation)
        return encode(upright(mask), ImageFormat.PNG)

    def _preview(self) -> Picture:
        return tone_mapped(in_srgb_primaries(replace(self.picture, alpha=None, notes=b"")))


_QUALITY = 95
_LARGEST = 10_000 / 203
"""The format's brightest is 10,000 cd/m^2, and 1.0 is shown at 203 (ITU-R BT.2408)."""


def write_gain_map(picture: Picture, *, quality: int | None = None) -> bytes:
    """Encode linear light of any range; libultrahdr tone-maps the base picture.

    Raises:
        OutputError: this build of imagecodecs has no libultrahdr, or the picture is too small.
    """
    if not imagecodecs.ULTRAHDR.available:
        raise OutputError("this build of imagecodecs writes no gain maps; use --format exr")
    if picture.transfer is not Transfer.LINEAR:
        raise ValueError(f"a gain map is made of linear light, not of {picture.transfer}")
    # The codec takes even sides only.
    height, width = (size + size % 2 for size in (picture.height, picture.width))
    samples = np.ones((height, width, 4), dtype=np.float16)
    light = np.broadcast_to(picture.pixels, (3, picture.height, picture.width))
    samples[: picture.height, : picture.width, :3] = (
        np.nan_to_num(light).clip(0, _LARGEST).transpose(1, 2, 0)
    )
    samples[picture.height :] = samples[picture.height - 1 : picture.height]
    samples[:, picture.width :] = samples[:, picture.width - 1 : picture.width]
    try:
        return bytes(imagecodecs.ultrahdr_encode(samples, level=quality or _QUALITY))
    except imagecodecs.UltrahdrError as error:
        raise OutputError(f"a gain map cannot be made: {error}; use --format exr") from error


_KEY = 0.18
_WHITE_QUANTILE = 0.999
_MOST_SAMPLES = 1_000_000
_ROWS_AT_ONCE = 256
_LEAST = 1e-6
_LONGEST_SIDE = 2048


def tone_mapped(picture: Picture) -> Picture:
    """Return an 8-bit sRGB picture of linear light, to look at; at most 2048 pixels on a side.

    Reinhard et al., "Photographic Tone Reproduction for Digital Images", SIGGRAPH 2002, eq. 4:
    the logarithmic mean becomes middle gray, and the brightest thousandth white. Hues are kept.
    """
    pixels = _reduced(picture.pixels)
    key, white = _exposure(pixels)
    shown = np.empty_like(pixels)
    for top in range(0, pixels.shape[1], _ROWS_AT_ONCE):
        rows = key * np.nan_to_num(pixels[:, top : top + _ROWS_AT_ONCE]).clip(0, None)
        light = _luminance(rows)
        mapped = light * (1 + light / white**2) / (1 + light)
        scaled = (rows * (mapped / np.maximum(light, _LEAST))).astype(np.float32, copy=False)
        shown[:, top : top + _ROWS_AT_ONCE] = linear_to_srgb(scaled).clip(0, 1)
    return Picture(
        pixels=shown,
        exif=picture.exif,
        orientation=picture.orientation,
        transfer=Transfer.SRGB,
    )


def _reduced(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return means over square cells, so that no side is longer than ``_LONGEST_SIDE``."""
    step = -(-max(pixels.shape[1:]) // _LONGEST_SIDE)
    if step == 1:
        return pixels
    channels, height, width = pixels.shape[0], pixels.shape[1] // step, pixels.shape[2] // step
    reduced = np.zeros((channels, height, width), dtype=np.float32)
    for row in range(step):
        for column in range(step):
            cells = pixels[:, row::step, column::step]
            reduced += np.nan_to_num(cells[:, :height, :width])
    reduced /= np.float32(step**2)
    return reduced


def _luminance(light: NDArray[np.float32]) -> NDArray[np.float32]:
    return light[0] if len(light) == 1 else np.tensordot(REC709_LUMINANCE, light, axes=1)


def _exposure(light: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    """Return the factor to middle gray, and the luminance after it that becomes white."""
    step = max(1, int((light[0].size / _MOST_SAMPLES) ** 0.5))
    sample = _luminance(np.nan_to_num(light[:, ::step, ::step]).clip(0, None))
    mean = np.exp(np.mean(np.log(sample + np.float32(_LEAST))))
    key = np.float32(_KEY / max(float(mean), _LEAST))
    white = np.float32(max(1.0, float(np.quantile(sample, _WHITE_QUANTILE)) * float(key)))
    return key, white


def linear_light(picture: Picture, *, is_linear: bool | None = None) -> NDArray[np.float32]:
    """Return linear samples ``[C, H, W]``, finite and not negative; a copy.

    Args:
        picture: floating point pictures, and profiles, say themselves what curve they have.
        is_linear: whether integer samples are linear; None to take them for what a profile says,
            or else for sRGB.
    """
    return linearised(picture.pixels, curve_to_light(picture, is_linear))


def linearised(samples: NDArray[np.float32], to_light: ToLight) -> NDArray[np.float32]:
    """Return the light of ``samples``, finite and not negative; a copy."""
    light = np.array(to_light(samples))
    for channel in light:
        np.nan_to_num(channel, copy=False, nan=0.0, neginf=0.0)
        np.maximum(channel, 0, out=channel)
    return light


def curve_to_light(picture: Picture, is_linear: bool | None) -> ToLight:
    """Return the function from samples ``[C, h, w]`` to light; arguments as ``linear_light``."""
    if is_linear or picture.transfer is Transfer.LINEAR:
        return lambda samples: samples
    tone = tone_of(picture)
    return srgb_to_linear if tone is None else tone.to_light


def as_colour(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return three equal channels for one."""
    return np.repeat(values, 3, axis=0) if len(values) == 1 else values
