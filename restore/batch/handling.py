"""What kinds of files tasks read and write."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from restore.batch.large import AnySizeStages
from restore.batch.stages import Kind, Pictures, PictureStages, Restored
from restore.errors import InputError
from restore.image.compare import viewable
from restore.image.decode import decode
from restore.image.formats import DEFAULT_SUFFIX, RAW_OUTPUT_SUFFIX, SUFFIXES
from restore.image.picture import ImageFormat, Picture
from restore.image.raw import RAW_SUFFIXES, read_raw
from restore.image.raw_picture import RawPicture

__all__ = [
    "PICTURES",
    "PICTURES_TO_LIGHT",
    "RAW_FILES",
    "RAW_FILES_TO_LINEAR",
    "Handling",
    "Light",
    "LightFiles",
    "Photograph",
    "RawFiles",
]


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How the files of a task are found, read and written.

    Attributes:
        kind: reads and writes them.
        suffixes: lower-case suffixes by which inputs are found in folders.
        noun: what inputs are called.
        written: the formats of outputs, each with the suffix that its files get.
        default_format: of outputs where nothing names one; None for each input's own.
        beside: returns the bytes of a file that a task writes beside its result, by its kind.
        is_light: outputs hold scene-linear light.
        stages: the way of an item from its source to its result.
    """

    kind: Kind[Any, Any]
    suffixes: Collection[str]
    noun: str = "pictures"
    written: Mapping[ImageFormat, str]
    default_format: ImageFormat | None = None
    beside: Callable[[Any, str], bytes] | None = None
    is_light: bool = False
    stages: type[PictureStages[Any, Any]] = PictureStages


PICTURES = Handling(
    kind=Pictures(),
    suffixes=frozenset(SUFFIXES),
    written=DEFAULT_SUFFIX,
    stages=AnySizeStages,
)
"""Finished pictures of any size, written as what they are."""


class Photograph(Restored, Protocol):
    """What a task makes of a RAW file."""

    @property
    def before(self) -> NDArray[np.uint8]:
        """What was measured, as a picture ``[H, W, C]`` to compare with."""

    def encoded(
        self,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""


class RawFiles:
    """RAW files, to be made photographs."""

    def read(self, source: Path | bytes, *, max_pixels: int) -> RawPicture:
        """Read a file, or a file's bytes."""
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

    def before(self, _source: RawPicture, restored: Photograph) -> NDArray[np.uint8]:
        """Return what was measured."""
        return restored.before

    def encode(
        self,
        restored: Photograph,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""
        return restored.encoded(
            image_format, bit_depth=bit_depth, quality=quality, strip_metadata=strip_metadata
        )


RAW_FILES = Handling(
    kind=RawFiles(),
    suffixes=RAW_SUFFIXES,
    noun="RAW files",
    written=RAW_OUTPUT_SUFFIX,
    default_format=ImageFormat.PNG,
)
"""Camera RAW files, from which photographs are made."""

_HOLDS_LIGHT = (ImageFormat.EXR, ImageFormat.TIFF, ImageFormat.DNG)
RAW_FILES_TO_LINEAR = replace(
    RAW_FILES,
    written={each: suffix for each, suffix in RAW_OUTPUT_SUFFIX.items() if each in _HOLDS_LIGHT},
    default_format=ImageFormat.EXR,
    is_light=True,
)
"""Camera RAW files, of which linear light is written."""


class Light(Restored, Protocol):
    """What a task makes of a picture: linear light, and files beside it."""

    def encoded(
        self,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""

    def beside(self, kind: str) -> bytes:
        """Return the bytes of a file that stands beside it."""


def _beside(restored: Light, kind: str) -> bytes:
    return restored.beside(kind)


_OF_LIGHT = (ImageFormat.EXR, ImageFormat.HDR, ImageFormat.TIFF, ImageFormat.JPEG)


class LightFiles:
    """Finished pictures, of which light is made."""

    def read(self, source: Path | bytes, *, max_pixels: int) -> Picture:
        """Decode a file, or a file's bytes."""
        return decode(source, max_pixels=max_pixels)

    def before(self, source: Picture, _restored: Light) -> NDArray[np.uint8]:
        """Return the picture as it came."""
        return viewable(source)

    def encode(
        self,
        restored: Light,
        image_format: ImageFormat,
        *,
        bit_depth: int | None,
        quality: int | None,
        strip_metadata: bool,
    ) -> bytes:
        """Return the bytes of a file."""
        return restored.encoded(
            image_format, bit_depth=bit_depth, quality=quality, strip_metadata=strip_metadata
        )


PICTURES_TO_LIGHT = Handling(
    kind=LightFiles(),
    suffixes=frozenset(SUFFIXES),
    written={each: suffix for each, suffix in DEFAULT_SUFFIX.items() if each in _OF_LIGHT},
    default_format=ImageFormat.EXR,
    beside=_beside,
    is_light=True,
)
"""Finished pictures, of which scene-linear light is written; JPEG holds it as a gain map."""
