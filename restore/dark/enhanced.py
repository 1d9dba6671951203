"""A developed picture, and the files it is written to."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from restore.errors import UsageError
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb, srgb_to_linear
from restore.image.compare import viewable
from restore.image.dng import write_linear_dng
from restore.image.dng_metadata import DngTag
from restore.image.encode import check_depth, encode_as
from restore.image.highlights import without_clipped_colour
from restore.image.icc_writer import srgb_profile
from restore.image.losses import note_remark
from restore.image.metadata import with_orientation
from restore.image.picture import Picture, Transfer, upright_view
from restore.image.raw_picture import RawPicture, normalised, pack, unpack
from restore.image.square_pixels import squared, stretch_remark
from restore.image.xmp import xmp_with_orientation

__all__ = ["Enhanced", "OutputColor"]

OutputColor = Literal["srgb", "linear"]

_ROWS_AT_ONCE = 256
_TURNED_BACK = {6: 8, 8: 6}
"""EXIF orientations that another one undoes; all others undo themselves."""

_OF_LIGHT = (ImageFormat.EXR, ImageFormat.HDR)


@dataclass(frozen=True, kw_only=True)
class Enhanced:
    """A developed picture, and the record of how it was made.

    Attributes:
        colour: float32 ``[3, H, W]``, or ``[1, H, W]`` of a monochrome sensor: white-balanced
            camera RGB, encoded with sRGB's curve and above 1 in highlights, or finished sRGB where
            ``to_srgb`` is None; neither cropped nor rotated upright.
        raw: RAW picture that it was made from.
        gains: white-balance factors of red, green and blue applied to ``colour``; the first to
            saturate then does so at 1.
        to_srgb: matrix ``[3, 3]`` from camera RGB to linear sRGB, or None.
        output_color: srgb, or linear for scene-linear light in sRGB's primaries.
        ratio: amplification applied to ``colour``.
        record: model, device, precision, tile, ratio, white balance and its source, defects (hot
            and dead photosites that were filled), defects_in_doubt (those that were left, since
            they may be specks of light), saturated (share of the samples), strength, megapixels,
            seconds; remarks, if something was guessed or left out. Plain values, ready for JSON.

    >>> import numpy as np
    >>> import restore
    >>> raw = restore.RawPicture(
    ...     mosaic=np.full((64, 64), 600, np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> enhanced = restore.DarkEnhancer()(raw, ratio=20, output_color="linear")
    >>> enhanced.picture.is_float, enhanced.record["sensor"]
    (True, 'RGGB')
    """

    colour: NDArray[np.float32]
    raw: RawPicture
    gains: NDArray[np.float32]
    ratio: float
    to_srgb: NDArray[np.float32] | None
    output_color: OutputColor = "srgb"
    record: dict[str, object] = field(default_factory=dict)

    @property
    def picture(self) -> Picture:
        """The finished picture, upright: 16-bit sRGB, or floating point where it is linear."""
        is_linear = self.output_color == "linear"
        exif = self.raw.exif
        pixels = self._shown(self.colour)
        has_profile = not is_linear and len(pixels) == 3
        return Picture(
            pixels=pixels,
            bit_depth=32 if is_linear else 16,
            is_float=is_linear,
            transfer=Transfer.LINEAR if is_linear else Transfer.SRGB,
            exif=with_orientation(exif, 1) if exif else None,
            xmp=xmp_with_orientation(self.raw.xmp, 1),
            icc=srgb_profile() if has_profile else None,
        )

    def on_sensor(self) -> NDArray[np.float32]:
        """Return the pixels of the finished picture, neither cropped nor turned upright."""
        result = np.empty(self.colour.shape, np.float32)
        for rows in _bands(self.colour):
            result[:, rows] = self._developed(self.colour[:, rows])
        return result

    @property
    def before(self) -> NDArray[np.uint8]:
        """The mosaic amplified and developed in the same way: uint8 ``[H, W, 3]``, upright.

        Each pixel has the colours of its own cell of the mosaic, and nothing is denoised.
        """
        packed = pack(normalised(self.raw), self.raw.cfa)
        scale = {1: 1, 4: 2, 9: 3}[len(packed.planes)]
        factors = self.gains * np.float32(self.ratio)
        cells = (packed.planes[:3] * factors[:, None, None]).clip(0, 1)
        colour = unpack(cells.repeat(scale, axis=1).repeat(scale, axis=2), packed)
        shown = replace(self, output_color="srgb")._shown(linear_to_srgb(colour))
        return viewable(Picture(pixels=shown))

    def _shown(self, colour: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what a viewer sees: developed, cropped, upright and with square pixels."""
        rows, columns = self.raw.shown
        turn = self.raw.orientation
        size = upright_view(colour[:, rows, columns], turn).shape
        result = np.empty(size, np.float32)
        # Where each pixel of the sensor lies in the result, so that nothing is turned afterwards.
        on_sensor = upright_view(result, _TURNED_BACK.get(turn, turn))
        for band in _bands(colour):
            inside = slice(max(band.start, rows.start), min(band.stop, rows.stop))
            if inside.start < inside.stop:
                pixels = self._developed(colour[:, band])[:, :, columns]
                here = slice(inside.start - rows.start, inside.stop - rows.start)
                on_sensor[:, here] = pixels[:, inside.start - band.start : inside.stop - band.start]
        return squared(result, self.raw.pixel_aspect, turn)

    def _developed(self, colour: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert some rows of the network's output to sRGB samples or linear light."""
        is_linear = self.output_color == "linear"
        light = srgb_to_linear(colour)
        if self.to_srgb is not None:
            light = np.einsum("ij,jhw->ihw", self.to_srgb, light)
            if not is_linear:
                light = without_clipped_colour(light)
        return light if is_linear else linear_to_srgb(light)

    def encoded(self, image_format: ImageFormat, options: WriteOptions = AS_IT_CAME) -> bytes:
        """Return the bytes of a file.

        DNG holds linear camera RGB before white balance. DNG, EXR and Radiance files keep what is
        brighter than white.

        Raises:
            UsageError: a depth or quality that the container does not have.
            OutputError: the container cannot hold this picture.
        """
        check_depth(image_format, options.bit_depth, is_light=self.output_color == "linear")
        if image_format is not ImageFormat.DNG:
            if stretched := stretch_remark(self.raw.pixel_aspect):
                note_remark(stretched)
            result = replace(self, output_color="linear") if image_format in _OF_LIGHT else self
            return encode_as(result.picture, image_format, options)
        if self.to_srgb is None:
            raise UsageError("these weights make finished sRGB pictures, which a DNG cannot hold")
        light = np.empty(self.colour.shape, np.float32)
        for rows in _bands(light):
            np.divide(
                srgb_to_linear(self.colour[:, rows]), self.gains[:, None, None], light[:, rows]
            )
        raw = replace(self.raw, exif=None, xmp=None) if options.strip_metadata else self.raw
        if raw.dng:  # the amplification holds it already
            raw = replace(raw, dng=raw.dng.without(DngTag.BASELINE_EXPOSURE))
        red, green, blue = np.broadcast_to(self.gains, 3).tolist()
        return write_linear_dng(light, replace(raw, white_balance=(red, green, blue)))


def _bands(picture: NDArray[np.float32]) -> Iterator[slice]:
    """Yield rows of ``[C, H, W]``, a few at a time, for what takes many times their memory."""
    for top in range(0, picture.shape[1], _ROWS_AT_ONCE):
        yield slice(top, top + _ROWS_AT_ONCE)
