"""The description of a file format: how to recognise, read and write it, and what it can hold."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pkgutil import resolve_name
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from restore.image.picture import Picture
    from restore.image.stack import Stack

__all__ = ["AS_IT_CAME", "Alpha", "CheckSize", "Codec", "SampleEncoding", "Samples", "WriteOptions"]


class Samples(Enum):
    """The kinds of numbers that a container stores."""

    INTEGER = auto()
    FLOAT = auto()
    EITHER = auto()


class Alpha(Enum):
    """The kinds of alpha that a container stores."""

    NONE = auto()
    STRAIGHT = auto()
    PREMULTIPLIED = auto()
    EITHER = auto()
    """Straight, premultiplied, or a fourth channel that is not opacity."""


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """Options for writing a file.

    Attributes:
        bit_depth: bits per sample; None keeps the picture's own where the container can hold it.
        quality: 1 to 100 for lossy containers; None for the container's default.
        strip_metadata: leave out EXIF, XMP and the container's notes; orientation is applied to the
            pixels, and the ICC profile stays, since without it the colours would change.
    """

    bit_depth: int | None = None
    quality: int | None = None
    strip_metadata: bool = False


AS_IT_CAME = WriteOptions()
"""Default options: the picture's own depth, metadata and notes; the container's default quality."""


@dataclass(frozen=True, kw_only=True)
class SampleEncoding:
    """How a writer stores samples.

    Attributes:
        bit_depth: bits per sample.
        is_float: whether they are floating point.
        quality: 1 to 100 for lossy containers; None for the container's default.
    """

    bit_depth: int = 8
    is_float: bool = False
    quality: int | None = None


CheckSize = Callable[[int, int, int], None]
"""A function that refuses a width, height and number of samples per pixel before memory is
allocated for them."""


class Reader(Protocol):
    """Decodes a file from its start."""

    def __call__(self, file: BinaryIO, check_size: CheckSize, /) -> "Picture":
        """Return the picture; any exception means that the file is damaged.

        If only a part of its pixels can be decoded, the picture says so in ``damaged``.
        """


class Writer(Protocol):
    """Encodes a picture whose samples already have the values to store."""

    def __call__(self, picture: "Picture", encoding: SampleEncoding, /) -> bytes:
        """Return the bytes of a file."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One row of the table of formats.

    Attributes:
        name: Name of the format as users know it.
        suffixes: File-name suffixes in lower case; outputs get the first.
        media_type: Media type of its files; empty if that is ``image/`` and the format's name.
        recognise: Function that tells from the first ``HEAD_BYTES`` bytes whether a file has this
            format.
        reader: Import path of the ``Reader``, ``module:function``; "" if the format is not read.
        writer: Import path of the ``Writer``; "" if pictures are not written in this format.
        stack_reader, stack_writer: Import paths of what reads and writes files of many planes; ""
            if they are not read.
        written_as: Format that results have by default, if pictures are not written in this one.
        bit_depths: Supported bits per sample when writing; 32 is floating point.
        samples: Kind of numbers that it stores.
        alpha: Kind of alpha that it stores.
        is_lossy: Whether decoding returns other samples than were encoded.
        default_quality: Default quality of a lossy format, 1 to 100; else None.
        holds_metadata: Whether it holds EXIF and XMP, and by default profiles.
        holds_profile: Whether it holds ICC profiles; where it does not, colours are sRGB's.
        holds_orientation: Whether it states the orientation outside EXIF.
        holds_primaries: Whether it states the primaries of linear light without an ICC profile.
        holds_cicp: Whether it states colour spaces in code points that all its viewers know.
        holds_light: Whether it holds scene-linear light.
        holds_gain_map: Whether it holds scene-linear light as sRGB with a gain map.
        is_for_raw: Whether photographs developed from RAW files are written in it.
        is_for_mosaics: Whether it holds a sensor's data, as a mosaic or demosaicked.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[bytes], bool]
    media_type: str = ""
    reader: str = ""
    writer: str = ""
    stack_reader: str = ""
    stack_writer: str = ""
    written_as: str = "png"
    bit_depths: tuple[int, ...] = ()
    samples: Samples = Samples.INTEGER
    alpha: Alpha = Alpha.STRAIGHT
    is_lossy: bool = False
    default_quality: int | None = None
    holds_metadata: bool = True
    holds_profile: bool = True
    holds_orientation: bool = False
    holds_primaries: bool = False
    holds_cicp: bool = False
    holds_light: bool = False
    holds_gain_map: bool = False
    is_for_raw: bool = False
    is_for_mosaics: bool = False

    def read(self, file: BinaryIO, check_size: CheckSize) -> "Picture":
        """Decode a file from its start with ``reader``."""
        reader: Reader = resolve_name(self.reader)
        return reader(file, check_size)

    def write(self, picture: "Picture", encoding: SampleEncoding) -> bytes:
        """Encode a picture with ``writer``."""
        writer: Writer = resolve_name(self.writer)
        return writer(picture, encoding)

    def read_stack(self, file: BinaryIO, check_size: CheckSize) -> "Stack":
        """Decode a file of many planes from its start with ``stack_reader``."""
        reader: Callable[[BinaryIO, CheckSize], Stack] = resolve_name(self.stack_reader)
        return reader(file, check_size)

    def write_stack(self, stack: "Stack", *, strip: bool) -> bytes:
        """Encode a stack with ``stack_writer``; ``strip`` leaves metadata out."""
        writer: Callable[[Stack, bool], bytes] = resolve_name(self.stack_writer)
        return writer(stack, strip)
