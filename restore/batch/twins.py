"""RAW files and the finished pictures that cameras write beside them."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from restore.batch.inputs import Found, Search
from restore.image.codecs import CODECS, ImageFormat
from restore.image.raw import is_raw

__all__ = ["TWIN_SUFFIXES", "Twins", "twins_beside", "without_twins"]

TWIN_SUFFIXES = frozenset(
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
    if not raws and twins is Twins.RAW:
        return search, {}
    left_out: dict[Path, Path] = {}
    taken, others = [], Counter(search.others)
    for one in search.found:
        twin = raws.get(_name(one.source))
        if one.source is None or _is_raw(one):
            taken.append(one)
        elif twin is not None and one.source.suffix.lower() in TWIN_SUFFIXES:
            left_out[one.source] = twin
        elif twins is Twins.RAW_ONLY:
            others[one.source.suffix.lower()] += 1
        else:
            taken.append(one)
    return replace(search, found=taken, others=others), left_out


def twins_beside(found: Iterable[Found]) -> dict[Path, Path]:
    """Return those of the pictures that have a RAW file of their name beside them, each with it.

    For files that come one by one: the RAW file need not be among them, nor be complete.
    """
    pictures = [
        one.source for one in found if one.source and one.source.suffix.lower() in TWIN_SUFFIXES
    ]
    raws: dict[Path | None, Path] = {}
    for folder in {path.parent for path in pictures}:
        try:
            names = os.listdir(folder)
        except OSError:  # gone: the pictures too
            continue
        raws.update((_name(path), path) for name in names if is_raw(path := folder / name))
    return {path: raws[_name(path)] for path in pictures if _name(path) in raws}


def _is_raw(one: Found) -> bool:
    return one.source is not None and is_raw(one.source)


def _name(path: Path | None) -> Path | None:
    """Return the folder and the name without its suffix, by which twins find each other."""
    return None if path is None else Path(os.path.realpath(path.parent), path.stem)
