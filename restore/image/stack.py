"""A file of many planes: a microscope's stack, or a cube of a telescope."""

from dataclasses import dataclass

from restore.arguments import argument
from restore.errors import UsageError
from restore.image.codec import WriteOptions
from restore.image.codecs import CODECS, ImageFormat
from restore.image.losses import note_loss
from restore.image.picture import Picture

__all__ = ["Stack", "encoded_stack"]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The planes of one file, in their order in the file, which its axes and metadata refer to.

    Attributes:
        planes: pictures of one size and kind, each with the metadata of its own page.
        header: what the file says of all of them and ``planes`` do not hold, their axes among it:
            the header of a FITS file, or OME-XML about a CZI file; else b"".
        shape: lengths of the axes that ``planes`` run over, the slowest first.

    Raises:
        UsageError: no planes, or of several sizes.
    """

    planes: tuple[Picture, ...]
    header: bytes = b""
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check once, so that nobody downstream has to."""
        if len({plane.pixels.shape for plane in self.planes}) != 1:
            raise UsageError("a stack needs planes of one size")

    @property
    def format(self) -> ImageFormat | None:
        """Container that it came from."""
        return self.planes[0].format

    @property
    def height(self) -> int:
        """Rows of all planes together."""
        return self.planes[0].height * len(self.planes)

    @property
    def width(self) -> int:
        """Columns of each plane."""
        return self.planes[0].width

    @property
    def shown(self) -> Picture:
        """The plane in the middle, which stands for the others where one picture is shown."""
        return self.planes[len(self.planes) // 2]


def encoded_stack(stack: Stack, image_format: ImageFormat, options: WriteOptions) -> bytes:
    """Return the bytes of a file with all planes, in the container that the stack came from.

    What is only read becomes TIFF.

    Raises:
        UsageError: another container, depth or quality is asked for.
    """
    own = stack.format or ImageFormat.TIFF
    if not CODECS[own].stack_writer:
        own = ImageFormat.TIFF
    if image_format is not own:
        raise UsageError(
            f"has {len(stack.planes)} planes, which stay in {own.upper()}; "
            f"use {argument('image_format', str(own))}, or none"
        )
    if options.bit_depth not in (None, stack.planes[0].bit_depth):
        raise UsageError(f"a stack keeps its {stack.planes[0].bit_depth} bits per sample")
    if own is not stack.format:
        for part in stack.planes[0].left_out:
            note_loss(part)
    return CODECS[image_format].write_stack(stack, strip=options.strip_metadata)
