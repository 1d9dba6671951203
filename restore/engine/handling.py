"""What kinds of files tasks read and write."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from restore.engine.pictures import Kind, Pictures
from restore.engine.raw_files import RawFiles
from restore.image.formats import DEFAULT_SUFFIX, RAW_OUTPUT_SUFFIX, SUFFIXES
from restore.image.picture import ImageFormat
from restore.image.raw import RAW_SUFFIXES

__all__ = ["PICTURES", "RAW_FILES", "RAW_FILES_TO_LINEAR", "Handling"]


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How the files of a task are found, read and written.

    Attributes:
        kind: reads and writes them.
        suffixes: lower-case suffixes by which inputs are found in folders.
        written: the formats of outputs, each with the suffix that its files get.
        default_format: of outputs where nothing names one; None for each input's own.
    """

    kind: Kind[Any, Any]
    suffixes: Collection[str]
    written: Mapping[ImageFormat, str]
    default_format: ImageFormat | None = None


PICTURES = Handling(kind=Pictures(), suffixes=frozenset(SUFFIXES), written=DEFAULT_SUFFIX)
"""Finished pictures, written as what they are."""

RAW_FILES = Handling(
    kind=RawFiles(),
    suffixes=RAW_SUFFIXES,
    written=RAW_OUTPUT_SUFFIX,
    default_format=ImageFormat.PNG,
)
"""Camera RAW files, from which photographs are made."""

_HOLDS_LIGHT = (ImageFormat.EXR, ImageFormat.TIFF, ImageFormat.DNG)
RAW_FILES_TO_LINEAR = replace(
    RAW_FILES,
    written={each: suffix for each, suffix in RAW_OUTPUT_SUFFIX.items() if each in _HOLDS_LIGHT},
    default_format=ImageFormat.EXR,
)
"""Camera RAW files, of which linear light is written."""
