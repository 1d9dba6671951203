"""Linear light, the origin of each pixel's value, and the files that hold it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from restore.arguments import argument
from restore.errors import OutputError
from restore.hdr.captured_element import ELEMENT_ATTRIBUTE, exif_with_element
from restore.hdr.dng import dng_of_light
from restore.hdr.fusion import tone_mapped
from restore.image.codec import AS_IT_CAME, SampleEncoding, WriteOptions
from restore.image.codecs import CODECS, ImageFormat
from restore.image.colour import (
    in_srgb_primaries,
    srgb_to_linear,
)
from restore.image.encode import check_depth, encode, encode_as
from restore.image.exr import write_exr
from restore.image.gain_map import write_gain_map
from restore.image.jpeg_metadata import without_video
from restore.image.lost_metadata import note_reading, with_true_metadata
from restore.image.metadata import with_orientation
from restore.image.picture import (
    Picture,
    Transfer,
    is_opaque,
    turned_upright,
    upright,
    with_alpha_kind,
)
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
]

ToLight: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]

BESIDE: Mapping[str, str] = {"preview": "preview.jpg", "write-mask": "mask.png"}
"""Additional output files: command-line option to the end of the file's name."""


class Known(IntEnum):
    """The origin of a pixel's value; the numbers are those in a mask."""

    GUESSED = 0
    """Saturated; estimated from its surroundings alone."""
    DECODED = 128
    """Computed with the element: saturated, and recovered from the light that it casts on other
    pixels; or covered by that light, and freed from it."""
    PARTLY = 192
    """Measured in part: not by every exposure of a bracket, because something moved; or in some
    colours of a RAW file, while others were saturated."""
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
        if image_format is ImageFormat.EXR:
            with_true_metadata(
                self.picture, image_format, holds_blocks=False, strip=options.strip_metadata
            )
            picture = with_alpha_kind(upright(self.picture), premultiplied=True)
            encoding = SampleEncoding(bit_depth=options.bit_depth or 32, is_float=True)
            return write_exr(picture, encoding, attributes=self.attributes)
        if image_format is ImageFormat.DNG:
            if not is_opaque(self.picture):
                raise OutputError(
                    f"DNG cannot hold an alpha channel; use {argument('image_format', 'exr')}"
                )
            note_reading(self.picture)
            picture, sensor = self.picture, self.sensor
            if options.strip_metadata:
                picture = replace(picture, exif=None)
                sensor = sensor and replace(sensor, xmp=None)
            return dng_of_light(picture, sensor, preview=self._preview())
        if CODECS[image_format].holds_gain_map:
            return self._with_gain_map(image_format, options)
        picture = self.picture
        if (element := self.attributes.get(ELEMENT_ATTRIBUTE)) and image_format is ImageFormat.TIFF:
            picture = replace(picture, exif=exif_with_element(picture.exif, str(element)))
        return encode_as(picture, image_format, options)

    def beside(self, kind: str) -> bytes:
        """Return the bytes of the tone-mapped preview or of the mask."""
        if kind == "preview":
            return encode(upright(self._preview()), ImageFormat.JPEG, quality=92)
        codes = self.known[None].astype(np.float32) / np.float32(255)
        mask = Picture(pixels=codes, orientation=self.picture.orientation)
        return encode(upright(mask), ImageFormat.PNG)

    def _with_gain_map(self, image_format: ImageFormat, options: WriteOptions) -> bytes:
        if not is_opaque(self.picture):
            raise OutputError(
                f"JPEG cannot hold an alpha channel; use {argument('image_format', 'exr')}"
            )
        strip, picture = options.strip_metadata, self.picture
        if picture.format is image_format:
            # Its place is that of the gain map.
            picture = replace(picture, notes=without_video(picture.notes))
        picture = with_true_metadata(picture, image_format, holds_blocks=True, strip=strip)
        exif = picture.exif and with_orientation(picture.exif, 1)
        light = replace(
            turned_upright(picture),
            alpha=None,
            exif=None if strip else exif,
            xmp=None if strip else picture.xmp,
            notes=b"" if strip else picture.notes,
        )
        base = tone_mapped(light, longest_side=None)
        return write_gain_map(base, light.pixels, quality=options.quality)

    def _preview(self) -> Picture:
        light = replace(self.picture, alpha=None, xmp=None, notes=b"")
        return tone_mapped(in_srgb_primaries(light))


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
