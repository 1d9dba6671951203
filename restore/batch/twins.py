"""RAW files and the finished pictures that cameras write beside them."""

import os
from collections import Counter
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from restore.batch.inputs import Found, Search
from restore.image.codecs import CODECS, ImageFormat
from restore.image.raw import is_raw

__all__ = ["Twins", "without_twins"]

_SUFFIXES = frozenset(
    suffix for each in (ImageFormat.JPEG, ImageFormat.HEIC) for suffix in CODECS[each].suffixes
)
"""Suffixes of the pictures that cameras write; a TIFF of the same name is somebody's own work."""


class Twins(StrEnum):
    """Which inputs are taken of RAW files and finished pictures."""

    RAW = "raw"
    """Of a RAW file and a picture of the same name in the same folder, the RAW file."""
    BOTH = "both"
    """All of them."""
    RAW_ONLY = "raw-only"
    """RAW files, whether there are pictures of the same name or not."""


def without_twins(search: Search, twins: Twins) -> tuple[Search, dict[Path, Path]]:
    """Return what is taken of what was found, and every twin that is not, with its RAW file.

    Pictures that are left out without having a RAW file count among the files of other kinds.
    """
    if twins is Twins.BOTH:
        return search, {}
    raws = {_name(one.source): one.source for one in search.found if _is_raw(one)}
    left_out: dict[Path, Path] = {}
    taken, others = [], Counter(search.others)
    for one in search.found:
        twin = raws.get(_name(one.source))
        if one.source is None or _is_raw(one):
            taken.append(one)
        elif twin is not None and one.source.suffix.lower() in _SUFFIXES:
            left_out[one.source] = twin
        elif twins is Twins.RAW_ONLY:
            others[one.source.suffix.lower()] += 1
        else:
            taken.append(one)
    return replace(search, found=taken, others=others), left_out


def _is_raw(one: Found) -> bool:
    return one.source is not None and is_raw(one.source)


def _name(path: Path | None) -> Path | None:
    """Return the folder and the name without its suffix, by which twins find each other."""
    return None if path is None else Path(os.path.realpath(path.parent), path.stem)
