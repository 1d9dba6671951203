"""The kinds of files that tasks process: how they are found, read and written."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from restore.errors import CameraRaw, InputError, OutputError
from restore.image.codec import WriteOptions
from restore.image.codecs import (
    CODECS,
    PICTURE_SUFFIXES,
    WRITTEN,
    WRITTEN_OF_LIGHT,
    WRITTEN_OF_MOSAICS,
    WRITTEN_OF_RAW,
    ImageFormat,
)
from restore.image.compare import shown_white, viewable
from restore.image.decode import decode, decode_all
from restore.image.linear_dng import is_linear_dng, read_linear_dng
from restore.image.picture import Picture
from restore.image.raw import RAW_SUFFIXES, is_raw, read_raw
from restore.image.raw_picture import RawPicture
from restore.image.stack import Stack
from restore.scratch import scratch_folder

__all__ = [
    "PICTURES",
    "PICTURES_AND_RAW",
    "PICTURES_AND_RAW_TO_LIGHT",
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
    """A decoded input."""

    @property
    def height(self) -> int:
        """Height in pixels."""

    @property
    def width(self) -> int:
        """Width in pixels."""


class TaskResult(Protocol):
    """A task's result for an input."""

    @property
    def picture(self) -> Picture:
        """The restored picture."""

    @property
    def record(self) -> Mapping[str, object]:
        """How it was made, in values that JSON can hold."""

    def encoded(self, image_format: ImageFormat, options: WriteOptions) -> bytes:
        """Return the result as the bytes of a file."""


_Read = TypeVar("_Read")
Input = TypeVar("Input", bound=HasSize)
Output = TypeVar("Output", bound=TaskResult)


@dataclass(frozen=True, kw_only=True)
class FileKind(Generic[Input, Output]):
    """A kind of input files, and of the output files made from them.

    Attributes:
        suffixes: lower-case suffixes by which inputs are found in folders.
        noun: name of the inputs in messages, plural.
        read: decodes a file, or a file's bytes.
        before: returns the picture ``[H, W, C]`` to compare a result with, given input and result.
        after: returns the result as a picture ``[H, W, C]`` of the same scale and size.
        beside: returns the bytes of an additional output file, given a result and the file's kind.
        error: returns the expected error of each pixel of a result, ``[H, W]`` in levels of 255;
            None where it is not known.
        written: output formats, each with the suffix of its files.
        default_format: output format where none is requested; None for each input's own.
        is_light: whether outputs hold scene-linear light.
        is_any_size: whether inputs may be larger than memory; see ``OutOfCoreStages``.
        by_name: returns the kind of a file by its name, where this kind stands for several.
    """

    suffixes: Collection[str]
    noun: str
    read: Callable[[Path | bytes], Input]
    before: Callable[[Input, Output], NDArray[np.uint8]]
    after: Callable[[Output], NDArray[np.uint8]] = lambda result: viewable(result.picture)
    beside: Callable[[Output, str], bytes] | None = None
    error: Callable[[Output], NDArray[np.float32] | None] = lambda _: None
    written: Mapping[ImageFormat, str]
    default_format: ImageFormat | None = None
    is_light: bool = False
    is_any_size: bool = False
    by_name: "Callable[[Path], FileKind[Any, Any]] | None" = None

    def of(self, source: Path | None) -> "FileKind[Any, Any]":
        """Return the kind of one input; this one if it cannot be told without reading it."""
        return self if source is None or self.by_name is None else self.by_name(source)


def _picture_before(source: Picture, _result: TaskResult) -> NDArray[np.uint8]:
    return viewable(source)


class _WithMore(TaskResult, Protocol):
    """A result with additional output files."""

    def beside(self, kind: str) -> bytes:
        """Return the bytes of an additional output file."""


def _beside(result: _WithMore, kind: str) -> bytes:
    return result.beside(kind)


PICTURES: FileKind[Any, Any] = FileKind(
    suffixes=PICTURE_SUFFIXES,
    noun="pictures",
    read=decode,
    before=_picture_before,
    beside=_beside,
    written=WRITTEN,
    is_any_size=True,
)
"""Finished pictures of any size, by default written in their own format."""


def _picture_before_light(source: Picture, result: TaskResult) -> NDArray[np.uint8]:
    return viewable(source, white=shown_white(result.picture))


def _light_after(result: TaskResult) -> NDArray[np.uint8]:
    return viewable(result.picture, white=shown_white(result.picture))


PICTURES_TO_LIGHT: FileKind[Any, Any] = FileKind(
    suffixes=PICTURE_SUFFIXES,
    noun="pictures",
    read=decode,
    before=_picture_before_light,
    after=_light_after,
    beside=_beside,
    written=WRITTEN_OF_LIGHT,
    default_format=ImageFormat.EXR,
    is_light=True,
)
"""Finished pictures, converted to scene-linear light; JPEG stores it as a gain map."""


class _Photograph(TaskResult, Protocol):
    """A result that can show its input."""

    @property
    def before(self) -> NDArray[np.uint8]:
        """The input as a picture ``[H, W, C]``."""


def _read_raw(source: Path | bytes) -> RawPicture:
    return _from_file(source, read_raw)


def _from_file(source: Path | bytes, read: Callable[..., _Read]) -> _Read:
    """Return what ``read`` makes of a file, or of the bytes of standard input."""
    if isinstance(source, Path):
        return read(source)
    # LibRaw's child process reads files only.
    try:
        with scratch_folder() as folder:
            path = folder / "standard-input"
            path.write_bytes(source)
            return read(path, name="standard input")
    except OutputError as error:
        raise InputError(f"standard input: cannot be kept on disk: {error}") from error


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
"""Camera RAW files, developed to photographs."""

RAW_FILES_TO_LINEAR = replace(
    RAW_FILES,
    written={each: name for each, name in WRITTEN_OF_RAW.items() if CODECS[each].holds_light},
    default_format=ImageFormat.EXR,
    is_light=True,
)
"""Camera RAW files, developed to linear light."""


class _Mosaic(TaskResult, Protocol):
    """A result that can develop its input."""

    @property
    def before_developed(self) -> NDArray[np.uint8]:
        """The input as a picture ``[H, W, C]``, developed like the result."""


def _mosaic_before(_source: RawPicture, result: _Mosaic) -> NDArray[np.uint8]:
    return result.before_developed


RAW_FILES_TO_MOSAICS = replace(
    RAW_FILES,
    before=_mosaic_before,
    beside=_beside,
    written=WRITTEN_OF_MOSAICS,
    default_format=ImageFormat.DNG,
)
"""Camera RAW files that stay RAW files."""


def _read_either(source: Path | bytes) -> Picture | RawPicture | Stack:
    if isinstance(source, Path):
        return _from_file(source, _read_sensor) if is_raw(source) else decode_all(source)
    try:
        return decode_all(source)
    except CameraRaw:
        return _from_file(source, _read_sensor)


def _read_sensor(path: Path, *, name: str | None = None) -> Picture | RawPicture:
    """Read a RAW file; one that was demosaicked already is a finished picture."""
    return read_linear_dng(path, name=name) if is_linear_dng(path) else read_raw(path, name=name)


def _either_before(source: Picture | RawPicture | Stack, result: Any) -> NDArray[np.uint8]:
    if isinstance(source, Stack):
        return viewable(source.shown)
    kind = RAW_FILES_TO_MOSAICS if isinstance(source, RawPicture) else PICTURES
    return kind.before(source, result)


def _error(result: Any) -> NDArray[np.float32] | None:
    errors = getattr(result, "errors", None)  # of finished pictures, and there only if asked for
    return None if errors is None else errors.expected


PICTURES_AND_RAW: FileKind[Any, Any] = FileKind(
    suffixes=PICTURE_SUFFIXES | RAW_SUFFIXES,
    noun="pictures or RAW files",
    read=_read_either,
    before=_either_before,
    beside=_beside,
    error=_error,
    written=WRITTEN_OF_MOSAICS,
    is_any_size=True,
    by_name=lambda path: RAW_FILES_TO_MOSAICS if is_raw(path) else PICTURES,
)
"""Finished pictures and camera RAW files, each written as what it is."""


def _light_before(source: Picture | RawPicture, result: TaskResult) -> NDArray[np.uint8]:
    if isinstance(source, Picture):
        return _picture_before_light(source, result)
    # As a developed picture shows it: cut off where the first colour saturates.
    cut = replace(result.picture, pixels=np.minimum(result.picture.pixels, 1))
    return viewable(cut, white=shown_white(result.picture))


PICTURES_AND_RAW_TO_LIGHT: FileKind[Any, Any] = replace(
    PICTURES_TO_LIGHT,
    suffixes=PICTURE_SUFFIXES | RAW_SUFFIXES,
    noun="pictures or RAW files",
    read=_read_either,
    before=_light_before,
)
"""Finished pictures and camera RAW files, both converted to scene-linear light."""
