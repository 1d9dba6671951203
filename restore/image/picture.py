"""A decoded picture: pixels as the networks expect them, and everything else to write back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UsageError
from restore.image.codecs import ImageFormat, is_lossy

if TYPE_CHECKING:
    from restore.image.cicp import Cicp
    from restore.image.jpeg_stream import Coded

__all__ = [
    "Picture",
    "Transfer",
    "is_opaque",
    "turned_upright",
    "upright",
    "upright_plane",
    "upright_view",
    "with_alpha_kind",
]


class Transfer(StrEnum):
    """How a sample value relates to light.

    >>> import restore
    >>> restore.decode("samples/city.png").transfer is restore.Transfer.SRGB
    True
    """

    SRGB = "srgb"
    LINEAR = "linear"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One picture in memory.

    Attributes:
        pixels: float32 ``[C, H, W]``, C = 1 (gray) or 3 (RGB), in the file's own colour space.
            Integer files are scaled so that the largest code is 1.0; float files keep their values.
        alpha: float32 ``[H, W]`` on the same scale, or None; networks never change it.
        alpha_is_premultiplied: whether colour was multiplied by alpha (associated alpha).
        alpha_is_opacity: False for an extra TIFF channel that is not declared to be opacity.
        bit_depth: 8, 10, 12 or 16 for integer samples, 16 or 32 for floating point.
        is_float: whether the file holds floating point samples.
        transfer: how sample values relate to light.
        format: the container it came from, or None if it was made in memory.
        is_lossless: whether it came from a lossless WebP or JPEG XL, and becomes one again by
            default.
        icc, exif, xmp: the embedded blocks, byte for byte, without container prefixes
            (EXIF starts with the TIFF header ``II*`` or ``MM``).
        orientation: EXIF orientation 1..8; the pixels are stored as in the file, not rotated.
        cicp: colour space in code points, where the container states it so (nclx, cICP).
        primaries: x and y of red, green, blue and white, eight numbers, where the container states
            them or a profile states others than sRGB's; else "".
        display_window: display window of OpenEXR where it differs from the data window: left, top,
            right and bottom (inclusive), counted from the first stored pixel; else None.
        png_chunks: complete PNG chunks that define colours and pixel size (gamma, chromaticities,
            pixels per metre), but for cICP; written back to PNG.
        notes: other data that is written back to the same ``format`` only: text chunks of a PNG;
            ``kept_notes`` of a JPEG (IPTC, comments, pixels per inch, a video); ``noted_tags`` of
            a TIFF; ``noted_attributes`` of an OpenEXR file.
        coded: the stream of a JPEG, whose tables and, if unchanged, coded pixels are written back.
        damaged: what was not in the file where it was damaged or cut short; else "".
        left_out: what else is in the file and is never written, as phrases for ``note_loss``.
        remarks: what was guessed or changed when the file was read, as sentences for
            ``note_remark``.

    Raises:
        UsageError: pixels or alpha have the wrong type or shape.

    >>> import numpy as np
    >>> import restore
    >>> picture = restore.Picture(pixels=np.zeros((3, 20, 30), np.float32))
    >>> picture.channels, picture.height, picture.width
    (3, 20, 30)
    """

    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32] | None = None
    alpha_is_premultiplied: bool = False
    alpha_is_opacity: bool = True
    bit_depth: int = 8
    is_float: bool = False
    transfer: Transfer = Transfer.SRGB
    format: ImageFormat | None = None
    is_lossless: bool = False
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    orientation: int = 1
    cicp: "Cicp | None" = None
    primaries: str = ""
    display_window: tuple[int, int, int, int] | None = None
    png_chunks: bytes = b""
    notes: bytes = field(default=b"", repr=False)
    coded: "Coded | None" = field(default=None, repr=False)
    damaged: str = ""
    left_out: Sequence[str] = ()
    remarks: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check shapes once, so that nobody downstream has to."""
        if not isinstance(self.pixels, np.ndarray):
            raise UsageError(f"pixels must be a float32 array, got {type(self.pixels).__name__}")
        if self.pixels.ndim != 3 or self.pixels.shape[0] not in (1, 3):
            raise UsageError(f"pixels must be [1 or 3, H, W], got {list(self.pixels.shape)}")
        if self.pixels.dtype != np.float32:
            raise UsageError(f"pixels must be float32, got {self.pixels.dtype}")
        if self.alpha is not None and self.alpha.shape != self.pixels.shape[1:]:
            raise UsageError(
                f"alpha {list(self.alpha.shape)} does not fit pixels {list(self.pixels.shape)}"
            )

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return int(self.pixels.shape[0])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[2])

    @property
    def is_lossy(self) -> bool:
        """Whether lossy compression may have changed the samples."""
        return is_lossy(self.format) and not self.is_lossless

    def with_pixels(self, pixels: NDArray[np.float32], **changes: Any) -> "Picture":
        """Return the same picture with other pixels (and, if given, other fields)."""
        return replace(self, pixels=pixels, **changes)

    def rows(self, start: int, stop: int) -> "Picture":
        """Return rows ``start`` to ``stop``, exclusive, as a picture that shares these pixels."""
        return replace(
            self,
            pixels=self.pixels[:, start:stop],
            alpha=None if self.alpha is None else self.alpha[start:stop],
        )


def is_opaque(picture: Picture) -> bool:
    """Return whether the picture is opaque: it has no alpha, or alpha is 1 everywhere."""
    return picture.alpha is None or bool((picture.alpha == 1).all())


def with_alpha_kind(picture: Picture, *, premultiplied: bool) -> Picture:
    """Return the picture with colour multiplied by alpha, or divided by it.

    Where alpha is 0 there is nothing to divide by, and the colour stays as it is.
    """
    alpha = picture.alpha
    if alpha is None or picture.alpha_is_premultiplied == premultiplied:
        return picture
    if premultiplied:
        pixels = picture.pixels * alpha
    else:
        pixels = picture.pixels / np.where(alpha == 0, np.float32(1), alpha)
    return replace(picture, pixels=pixels, alpha_is_premultiplied=premultiplied)


def upright_plane(plane: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Rotate and mirror the last two axes ``[..., H, W]`` as EXIF orientation 1..8 requires."""
    return np.ascontiguousarray(upright_view(plane, orientation))


def upright_view(plane: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Return ``upright_plane`` without a copy."""
    if orientation in (5, 6, 7, 8):
        plane = plane.swapaxes(-1, -2)
    if orientation in (2, 3, 6, 7):
        plane = plane[..., ::-1]
    if orientation in (3, 4, 7, 8):
        plane = plane[..., ::-1, :]
    return plane


def upright(picture: Picture) -> Picture:
    """Return the picture rotated upright, with orientation 1.

    EXIF and XMP are dropped: both may still tell viewers to rotate it.
    """
    return replace(turned_upright(picture), exif=None, xmp=None)


def turned_upright(picture: Picture) -> Picture:
    """Return the picture rotated upright, with orientation 1 and EXIF and XMP as they are."""
    alpha = picture.alpha
    return replace(
        picture,
        pixels=upright_plane(picture.pixels, picture.orientation),
        alpha=None if alpha is None else upright_plane(alpha, picture.orientation),
        orientation=1,
    )
