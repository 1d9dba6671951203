"""The kinds of files that tasks take: where they are found, how they are read and written."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from restore.errors import InputError
from restore.image.codec import WriteOptions
from restore.image.codecs import (
    CODECS,
    PICTURE_SUFFIXES,
    WRITTEN,
    WRITTEN_OF_LIGHT,
    WRITTEN_OF_RAW,
    ImageFormat,
)
from restore.image.compare import viewable
from restore.image.decode import decode
from restore.image.picture import Picture
from restore.image.raw import RAW_SUFFIXES, read_raw
from restore.image.raw_picture import RawPicture

__all__ = [
    "PICTURES",
    "PICTURES_TO_LIGHT",
    "RAW_FILES",
    "RAW_FILES_TO_LINEAR",
    "FileKind",
    "HasSize",
    "Input",
    "Output",
    "TaskResult",
]


class HasSize(Protocol):
    """What is decoded from an input."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""


class TaskResult(Protocol):
    """What a task makes of an input."""

    @property
    def picture(self) -> Picture:
        """The result."""

    @property
    def record(self) -> Mapping[str, object]:
        """How it came about, in values that JSON knows."""

    def encoded(self, image_format: ImageFormat, options: WriteOptions) -> bytes:
        """Return the bytes of a file."""


Input = TypeVar("Input", bound=HasSize)
Output = TypeVar("Output", bound=TaskResult)


@dataclass(frozen=True, kw_only=True)
class FileKind(Generic[Input, Output]):
    """A kind of inputs, and of the outputs that a task makes of them.

    Attributes:
        suffixes: lower-case suffixes by which inputs are found in folders.
        noun: what inputs are called.
        read: decodes a file, or a file's bytes, of at most so many pixels.
        before: returns the input, given the result too, as a picture ``[H, W, C]`` to compare
            the result with.
        beside: returns the bytes of a file that stands beside a result, by the name of its kind.
        written: the formats of outputs, each with the suffix that its files get.
        default_format: of outputs where nothing names one; None for each input's own.
        is_light: outputs hold scene-linear light.
        is_any_size: inputs may be larger than memory, see ``OutOfCoreStages``.
    """

    suffixes: Collection[str]
    noun: str
    read: Callable[[Path | bytes, int], Input]
    before: Callable[[Input, Output], NDArray[np.uint8]]
    beside: Callable[[Output, str], bytes] | None = None
    written: Mapping[ImageFormat, str]
    default_format: ImageFormat | None = None
    is_light: bool = False
    is_any_size: bool = False


def _read_picture(source: Path | bytes, max_pixels: int) -> Picture:
    return decode(source, max_pixels=max_pixels)


def _picture_before(source: Picture, _result: TaskResult) -> NDArray[np.uint8]:
    return viewable(source)


PICTURES: FileKind[Any, Any] = FileKind(
    suffixes=PICTURE_SUFFIXES,
    noun="pictures",
    read=_read_picture,
    before=_picture_before,
    written=WRITTEN,
    is_any_size=True,
)
"""Finished pictures of any size, written as what they are."""


class _Light(TaskResult, Protocol):
    """A result with files beside it."""

    def beside(self, kind: str) -> bytes:
        """Return the bytes of a file that stands beside it."""


def _beside_light(result: _Light, kind: str) -> bytes:
    return result.beside(kind)


PICTURES_TO_LIGHT: FileKind[Any, Any] = FileKind(
    suffixes=PICTURE_SUFFIXES,
    noun="pictures",
    read=_read_picture,
    before=_picture_before,
    beside=_beside_light,
    written=WRITTEN_OF_LIGHT,
    default_format=ImageFormat.EXR,
    is_light=True,
)
"""Finished pictures, of which scene-linear light is written; JPEG holds it as a gain map."""


class _Photograph(TaskResult, Protocol):
    """A result that knows what it was made of."""

    @property
    def before(self) -> NDArray[np.uint8]:
        """What was measured, as a picture ``[H, W, C]``."""


def _read_raw(source: Path | bytes, max_pixels: int) -> RawPicture:
    if isinstance(source, Path):
        return read_raw(source, max_pixels=max_pixels)
    # LibRaw's child process reads files only.
    try:
        with TemporaryDirectory(prefix="imrestore-") as folder:
            path = Path(folder) / "standard-input"
            path.write_bytes(source)
            return read_raw(path, max_pixels=max_pixels, name="standard input")
    except OSError as error:
        raise InputError(f"standard input: cannot be kept on disk: {error.strerror}") from error


def _raw_before(_source: RawPicture, result: _Photograph) -> NDArray[np.uint8]:
    return result.before


RAW_FILES: FileKind[Any, Any] = FileKind(
    suffixes=RAW_SUFFIXES,
    noun="RAW files",
    read=_read_raw,
    before=_raw_before,
    written=WRITTEN_OF_RAW,
    default_format=ImageFormat.PNG,
)
"""Camera RAW files, from which photographs are made."""

RAW_FILES_TO_LINEAR = replace(
    RAW_FILES,
    written={each: name for each, name in WRITTEN_OF_RAW.items() if CODECS[each].holds_light},
    default_format=ImageFormat.EXR,
    is_light=True,
)
"""Camera RAW files, of which linear light is written."""
