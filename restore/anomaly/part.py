"""Pictures for inspection: any number of channels, upright, in [0, 1]."""

import io
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from restore.errors import CorruptImage, UnsupportedImage, UsageError
from restore.image.codec import CheckSize
from restore.image.codecs import HEAD_BYTES, ImageFormat, sniff
from restore.image.coerce import ImageLike, as_picture
from restore.image.damage import checked_damage
from restore.image.decode import decode, named_errors
from restore.image.gray import gray_tolerance, is_gray
from restore.image.limits import decoding
from restore.image.metadata import ORIENTATION
from restore.image.picture import Picture, upright, upright_plane
from restore.image.tiff import check_directory, check_segments
from restore.image.tiff_damage import decode_page

__all__ = ["Part", "as_part", "check_range", "read_part"]

_MOST_BANDS = 64
_OVERSHOOT = 0.05
_UNSIGNED, _FLOAT = 1, 3


@dataclass(frozen=True, kw_only=True)
class Part:
    """A picture of a part.

    Attributes:
        pixels: float32 ``[C, H, W]``, C >= 1; integer samples are scaled so that the largest code
            is 1.0.
        bit_depth: 8 or 16 for integer samples, 16 or 32 for floating point.
        gray_tolerance: Difference of channels that lossy compression may have left in gray.

    Raises:
        UsageError: pixels are not float32 ``[C, H, W]``, or empty.

    >>> import numpy as np
    >>> import restore
    >>> restore.Part(pixels=np.zeros((5, 32, 48), np.float32)).channels
    5
    """

    pixels: NDArray[np.float32]
    bit_depth: int = 8
    gray_tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Check once, so that nobody downstream has to."""
        pixels: object = self.pixels
        if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.float32):
            what = pixels.dtype if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise UsageError(f"pixels of a Part must be a float32 array [C, H, W], not {what}")
        if pixels.ndim != 3 or not pixels.size:
            raise UsageError(f"pixels of a Part must be [C, H, W], not {list(pixels.shape)}")

    @property
    def channels(self) -> int:
        """Number of planes."""
        return int(self.pixels.shape[0])

    def fitted_to(self, channels: int) -> "Part":
        """Return the gray part where one channel is asked for and the three are equal.

        Every other part stays as it is.
        """
        if (self.channels, channels) == (3, 1) and is_gray(self.pixels, self.gray_tolerance):
            return replace(self, pixels=self.pixels[1:2])
        return self


def read_part(source: str | PathLike[str] | bytes, *, max_pixels: int | None = None) -> Part:
    """Read whatever ``decode`` reads, and TIFF files with other numbers of channels.

    Alpha is left out; a fourth channel that is not declared to be opacity counts as a channel.

    Args:
        source: Path of a file, or a file's bytes.
        max_pixels: Number of pixels above which a picture is refused before memory is taken;
            None as for ``decode``.

    Raises:
        InputError: as ``decode`` does.

    >>> import restore
    >>> restore.read_part("samples/lake.tif").channels
    1
    """
    if not isinstance(source, str | PathLike | bytes):
        raise UnsupportedImage(f"{source!r:.80}: give the path of a file, or a file's bytes")
    file = source if isinstance(source, bytes) else Path(source)
    bands = _bands(file, max_pixels)
    return _part_of(decode(file, max_pixels=max_pixels)) if bands is None else bands


def as_part(image: "Part | ImageLike", name: str = "image") -> Part:
    """Return ``image`` as a part.

    Args:
        image: ``Part``, for other numbers of channels than 1 and 3; or what ``as_picture`` takes.
        name: Name of the image in error messages.

    Raises:
        InputError: as ``read_part`` and ``as_picture``.
    """
    if isinstance(image, Part):
        return image
    if isinstance(image, str | PathLike):
        return read_part(image)
    return _part_of(as_picture(image, name))


def check_range(part: Part, name: str) -> None:
    """Refuse samples beyond [0, 1], but for what resampling overshoots; no number counts as none.

    Raises:
        UnsupportedImage: there are some; says how far they reach, and what to do.
    """
    finite = np.isfinite(part.pixels)
    low = float(np.min(part.pixels, where=finite, initial=0))
    high = float(np.max(part.pixels, where=finite, initial=0))
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        scale = next((bits for bits in (8, 10, 12, 14, 16) if high < 2**bits), None)
        hint = f"divide them by {2**scale - 1}" if high > 2 and scale else "scale them to it"
        raise UnsupportedImage(
            f"{name}: has samples from {low:.4g} to {high:.4g}, a part's lie in 0..1; {hint}, or "
            "store the picture in 8 or 16 bits"
        )


def _part_of(picture: Picture) -> Part:
    """Return a picture of a part, upright."""
    picture = upright(picture)
    if picture.alpha is not None and not picture.alpha_is_opacity:
        every = np.concatenate([picture.pixels, picture.alpha[None]])
        return Part(pixels=every, bit_depth=picture.bit_depth)
    return Part(
        pixels=picture.pixels,
        bit_depth=picture.bit_depth,
        gray_tolerance=gray_tolerance(picture),
    )


def _bands(source: Path | bytes, max_pixels: int | None) -> Part | None:
    """Return a TIFF of several bands that are not colours, or None for any other file."""
    name = "standard input" if isinstance(source, bytes) else str(source)
    with (
        named_errors(name),
        io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file,
    ):
        if sniff(file.read(HEAD_BYTES)) is not ImageFormat.TIFF:
            return None
        file.seek(0)
        with tifffile.TiffFile(file) as tiff, decoding(max_pixels) as check_size:
            return _read_bands(tiff, check_size, name)


def _read_bands(tiff: tifffile.TiffFile, check_size: CheckSize, name: str) -> Part | None:
    page = tiff.pages.first
    count = int(page.samplesperpixel)
    is_colour = page.photometric not in (0, 1) and count in (1, 3, 4)
    if is_colour or count == 1 or (count == 2 and page.extrasamples[:1] not in ((), (0,))):
        return None
    if count > _MOST_BANDS or len(tiff.pages) > 1:
        raise UnsupportedImage(f"has {count} channels on {len(tiff.pages)} pages")
    bits, kind = int(page.bitspersample), int(page.sampleformat)
    if not (kind == _UNSIGNED and bits in (8, 16)) and not (kind == _FLOAT and bits == 32):
        raise UnsupportedImage(f"has {count} channels of {bits} bits; 8, 16 or float 32 are read")
    check_directory(tiff, page)
    if not page.imagewidth or not page.imagelength:
        raise CorruptImage("has no pixels")
    check_segments(tiff, page)
    check_size(page.imagewidth, page.imagelength, count)
    samples, damaged = decode_page(page)
    checked_damage(name, damaged)
    if page.planarconfig != tifffile.PLANARCONFIG.SEPARATE:
        samples = np.moveaxis(samples, -1, 0)
    if samples.shape != (count, page.imagelength, page.imagewidth):
        raise CorruptImage("has pixels that do not match the size that it states")
    peak = np.float32(1 if kind == _FLOAT else 2**bits - 1)
    pixels = np.divide(samples, peak, dtype=np.float32)
    return Part(pixels=upright_plane(pixels, page.tags.valueof(ORIENTATION)), bit_depth=bits)
