"""What kinds of files tasks read and write."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from restore.engine.any_size import AnySizeStages
from restore.engine.light_files import Light, LightFiles
from restore.engine.pictures import Kind, Pictures, PictureStages
from restore.engine.raw_files import RawFiles
from restore.image.formats import DEFAULT_SUFFIX, RAW_OUTPUT_SUFFIX, SUFFIXES
from restore.image.picture import ImageFormat
from restore.image.raw import RAW_SUFFIXES

__all__ = ["PICTURES", "PICTURES_TO_LIGHT", "RAW_FILES", "RAW_FILES_TO_LINEAR", "Handling"]


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


def _beside(restored: Light, kind: str) -> bytes:
    return restored.beside(kind)


_OF_LIGHT = (ImageFormat.EXR, ImageFormat.HDR, ImageFormat.TIFF, ImageFormat.JPEG)
PICTURES_TO_LIGHT = Handling(
    kind=LightFiles(),
    suffixes=frozenset(SUFFIXES),
    written={each: suffix for each, suffix in DEFAULT_SUFFIX.items() if each in _OF_LIGHT},
    default_format=ImageFormat.EXR,
    beside=_beside,
    is_light=True,
)
"""Finished pictures, of which scene-linear light is written; JPEG holds it as a gain map."""
