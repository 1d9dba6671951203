"""What a codec is: how a format of files is recognised, what it holds, who reads and writes it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pkgutil import resolve_name
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from restore.image.picture import Picture

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
    """What may be asked of a file that is written.

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
"""Depth, blocks and notes of the picture, and the container's default quality."""


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


CheckSize = Callable[[int, int], None]
"""Refuses a width and height before memory is taken for them."""


class Reader(Protocol):
    """Decodes a file that stands at its beginning."""

    def __call__(self, file: BinaryIO, check_size: CheckSize, /) -> "Picture":
        """Return the picture; whatever is raised tells that the file is damaged."""


class Writer(Protocol):
    """Encodes a picture whose samples have the values that are to be stored."""

    def __call__(self, picture: "Picture", encoding: SampleEncoding, /) -> bytes:
        """Return the bytes of a file."""


@dataclass(frozen=True, kw_only=True)
class Codec:
    """One row of the table.

    Attributes:
        name: of the format, as people write it.
        suffixes: of file names, lower case; outputs get the first.
        recognise: whether the first ``HEAD_BYTES`` bytes of a file begin this format.
        reader: where the ``Reader`` is, as ``module:function``; "" if the format is not read.
        writer: where the ``Writer`` is; "" if pictures are not written in this format.
        bit_depths: bits per sample that it is written with; 32 is floating point.
        samples: the kind of numbers in it.
        alpha: the kind of alpha in it.
        is_lossy: whether decoding gives other samples than were encoded.
        default_quality: of lossy formats, 1 to 100; else None.
        holds_metadata: whether it holds ICC, EXIF and XMP.
        holds_orientation: whether it states the orientation outside of EXIF.
        holds_primaries: whether it states the primaries of linear light by itself.
        holds_light: whether it holds scene-linear light.
        holds_gain_map: whether it holds such light as sRGB and what to multiply it by.
        is_for_raw: whether photographs made of RAW files are written in it.
    """

    name: str
    suffixes: tuple[str, ...]
    recognise: Callable[[bytes], bool]
    reader: str = ""
    writer: str = ""
    bit_depths: tuple[int, ...] = ()
    samples: Samples = Samples.INTEGER
    alpha: Alpha = Alpha.STRAIGHT
    is_lossy: bool = False
    default_quality: int | None = None
    holds_metadata: bool = True
    holds_orientation: bool = False
    holds_primaries: bool = False
    holds_light: bool = False
    holds_gain_map: bool = False
    is_for_raw: bool = False

    def read(self, file: BinaryIO, check_size: CheckSize) -> "Picture":
        """Decode a file that stands at its beginning, as ``reader`` does."""
        reader: Reader = resolve_name(self.reader)
        return reader(file, check_size)

    def write(self, picture: "Picture", encoding: SampleEncoding) -> bytes:
        """Encode a picture, as ``writer`` does."""
        writer: Writer = resolve_name(self.writer)
        return writer(picture, encoding)
