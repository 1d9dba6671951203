"""A picture of light, what is known of each of its pixels, and the files that it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from restore.errors import OutputError
from restore.hdr.tone import tone_mapped
from restore.image.codec import AS_IT_CAME, SampleEncoding, WriteOptions
from restore.image.codecs import CODECS, ImageFormat
from restore.image.encode import check_depth, encode, encode_as
from restore.image.exr import write_exr
from restore.image.picture import Picture, Transfer, is_opaque, upright, with_alpha_kind
from restore.image.primaries import in_srgb_primaries

__all__ = ["BESIDE", "Known", "Radiance", "guessed_where", "write_gain_map"]

BESIDE: Mapping[str, str] = {"preview": "preview.jpg", "write-mask": "mask.png"}
"""What may be written beside the result, by its option, and how the file's name ends."""


class Known(IntEnum):
    """How the value of a pixel came about; the numbers are those in a mask."""

    GUESSED = 0
    """Saturated, and nothing but its surroundings says by how much."""
    DECODED = 128
    """Saturated, and found again from the light that the element throws elsewhere."""
    MEASURED = 255
    """Within the sensor's range."""


def guessed_where(lost: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return ``Known`` for pixels of which some are lost and all others were measured."""
    known = np.full(lost.shape, Known.MEASURED, dtype=np.uint8)
    known[lost] = Known.GUESSED
    return known


@dataclass(frozen=True, kw_only=True)
class Radiance:
    """A result of ``imrestore hdr``.

    Attributes:
        picture: scene-linear float32, 1 the sensor's white.
        known: uint8 ``[H, W]``, see ``Known``; stored in the picture's own orientation.
        record: how it came about, in plain values.
        attributes: entries for the header of an EXR file.

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

    def encoded(self, image_format: ImageFormat, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file: EXR, Radiance, float TIFF, or JPEG with a gain map.

        Raises:
            UsageError: a bit depth that the format does not have.
            OutputError: the picture cannot be written in this format here.
        """
        check_depth(image_format, options.bit_depth, is_light=True)
        if image_format is ImageFormat.EXR:
            picture = with_alpha_kind(upright(self.picture), premultiplied=True)
            encoding = SampleEncoding(bit_depth=options.bit_depth or 32, is_float=True)
            return write_exr(picture, encoding, attributes=self.attributes)
        if CODECS[image_format].holds_gain_map:
            if not is_opaque(self.picture):
                raise OutputError("JPEG cannot hold an alpha channel; use --format exr")
            light = in_srgb_primaries(upright(self.picture))
            return write_gain_map(light, quality=options.quality)
        return encode_as(self.picture, image_format, options)

    def beside(self, kind: str) -> bytes:
        """Return the bytes of the tone-mapped preview or of the mask."""
        if kind == "preview":
            opaque = in_srgb_primaries(replace(self.picture, alpha=None))
            return encode(upright(tone_mapped(opaque)), ImageFormat.JPEG, quality=92)
        codes = self.known[None].astype(np.float32) / np.float32(255)
        mask = Picture(pixels=codes, orientation=self.picture.orientation)
        return encode(upright(mask), ImageFormat.PNG)


_QUALITY = 95
_LARGEST = 10_000 / 203
"""The format's brightest is 10,000 cd/m^2, and 1.0 is shown at 203 (ITU-R BT.2408)."""


def write_gain_map(picture: Picture, *, quality: int | None = None) -> bytes:
    """Encode linear light of any range; libultrahdr makes the tone-mapped picture in it.

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
