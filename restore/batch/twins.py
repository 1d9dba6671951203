"""RAW files and the finished pictures that cameras write beside them."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from restore.batch.search import Found, Search
from restore.image.codecs import CODECS, ImageFormat, suffix_of
from restore.image.raw import RAW_SUFFIXES, is_raw

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


def without_twins(search: Search, twins: Twins) -> tuple[Search, dict[str, str]]:
    """Return what is taken of what was found, and every twin that is not, with its RAW file.

    Pictures that are left out without having a RAW file count among the files of other kinds.
    """
    if twins is Twins.BOTH:
        return search, {}
    real: dict[str, str] = {}
    raws = {_name(one, real): one for one in search.found if _is_raw(one)}
    if not raws and twins is Twins.RAW:
        return search, {}
    left_out: dict[str, str] = {}
    taken, others = [], Counter(search.others)
    for one in search.found:
        suffix = suffix_of(one.name).lower()
        twin = raws.get(_name(one, real)) if suffix in TWIN_SUFFIXES else None
        if one.folder is None or _is_raw(one):
            taken.append(one)
        elif twin is not None:
            left_out[one.folder + one.name] = f"{twin.folder}{twin.name}"
        elif twins is Twins.RAW_ONLY:
            others[suffix] += 1
        else:
            taken.append(one)
    return replace(search, found=taken, others=others), left_out


def twins_beside(found: Iterable[Found]) -> dict[str, str]:
    """Return the pictures that have a RAW file of their name beside them, each with it, as paths.

    For files that come one by one: the RAW file need not be among them, nor be complete.
    """
    real: dict[str, str] = {}
    pictures = [one for one in found if suffix_of(one.name).lower() in TWIN_SUFFIXES]
    sources = {one.source: _name(one, real) for one in pictures if one.source}
    raws: dict[tuple[str, str], Path] = {}
    for folder in {path.parent for path in sources}:
        try:
            names = os.listdir(folder)
        except OSError:  # gone: the pictures too
            continue
        for path in (folder / name for name in names):
            if is_raw(path):
                raws[_name(Found.file(path), real)] = path
    return {str(path): str(raws[key]) for path, key in sources.items() if key in raws}


def _is_raw(one: Found) -> bool:
    return one.folder is not None and suffix_of(one.name).lower() in RAW_SUFFIXES


def _name(one: Found, real: dict[str, str]) -> tuple[str, str]:
    """Return the folder and the name without its suffix, by which twins find each other.

    Args:
        one: a file.
        real: folders that were looked up, each with its real path.
    """
    folder, name = os.path.split(f"{one.folder}{one.name}")
    if folder not in real:
        real[folder] = os.path.realpath(folder)
    return real[folder], name.removesuffix(suffix_of(name))
