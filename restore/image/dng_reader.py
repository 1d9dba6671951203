"""What the directories of a DNG say about its mosaic: tags to keep, its crop, its black levels."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore.image.dng_metadata import MAIN_TAGS, RAW_TAGS, DngMetadata, DngTag
from restore.image.ifd import (
    Directory,
    Layout,
    items_of,
    layout_of,
    numbers_of,
    read_directory,
    short_or_long,
)

__all__ = ["JPEG_XL", "LOSSY", "Dng", "read_dng"]

JPEG_XL, LOSSY = 52546, 34892
"""Numbers of compressions."""

_SUBFILE_TYPE, _WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 259, 262
_SAMPLES, _SUB_IFDS, _VERSION = 277, 330, 50706
_BLACK_REPEAT, _BLACK = 50713, 50714
_DELTA_H, _DELTA_V = 50715, 50716
_CFA_DIM, _CFA_PATTERN = 33421, 33422
_OF_SAMPLES = frozenset({_BLACK_REPEAT, _BLACK, _DELTA_H, _DELTA_V, _CFA_DIM, _CFA_PATTERN})
_NOISE = DngTag.NOISE_PROFILE  # in either directory
_SHAPE_TAGS = frozenset({_SUBFILE_TYPE, _WIDTH, _HEIGHT, _COMPRESSION, _PHOTOMETRIC, _SAMPLES})
_CFA, _LINEAR_RAW = 32803, 34892
_MOST_DIRECTORIES = 16
_MOST_LEVELS = 4096


@dataclass(frozen=True, kw_only=True)
class Dng:
    """A DNG without its samples.

    Attributes:
        metadata: What a DNG made of it must say again.
        height, width: Size of the stored picture.
        compression: Number of its compression.
        is_linear: Whether it holds linear RGB instead of a mosaic.
        black: Black level for each place of a pattern that is repeated from the corner of the
            active area, float64 ``[P, Q]``; None where it is not stated.
        black_of_rows, black_of_columns: What is added to it in each row and column of the active
            area, float64; empty where nothing is stated.
        cfa: Colours of the filter over the first places of the active area as the file has them,
            integers ``[P, Q]``: 0 red, 1 green, 2 blue, 3 to 6 others; None where not stated.
    """

    metadata: DngMetadata
    height: int
    width: int
    compression: int
    is_linear: bool
    black: NDArray[np.float64] | None
    black_of_rows: NDArray[np.float64]
    black_of_columns: NDArray[np.float64]
    cfa: NDArray[np.uint8] | None

    @property
    def active_area(self) -> tuple[int, int, int, int] | None:
        """Top, left, bottom and right of what the sensor sees; None if not stated, or invalid."""
        area = self.metadata.numbers(DngTag.ACTIVE_AREA)
        if len(area) != 4 or not np.isfinite(area).all():
            return None
        top, left, bottom, right = (int(number) for number in area)
        is_inside = 0 <= top < bottom <= self.height and 0 <= left < right <= self.width
        return (top, left, bottom, right) if is_inside else None

    def crop_of(self, height: int, width: int) -> tuple[int, int, int, int] | None:
        """Return top, left, height and width of the default crop of an active area of this size.

        None where the file states none, or one that is not inside.
        """
        origin = self.metadata.numbers(DngTag.DEFAULT_CROP_ORIGIN)
        size = self.metadata.numbers(DngTag.DEFAULT_CROP_SIZE)
        if not (len(origin) == len(size) == 2 and np.isfinite((*origin, *size)).all()):
            return None
        left, top, across, down = (round(number) for number in (*origin, *size))
        if min(left, top) < 0 or min(across, down) < 1:
            return None
        if top + down > height or left + across > width:
            return None
        return top, left, down, across


def read_dng(file: BinaryIO) -> Dng | None:
    """Return what a DNG says, or None if the file is none."""
    layout = layout_of(file)
    if layout is None:
        return None
    wanted = MAIN_TAGS | _SHAPE_TAGS | {_NOISE, _VERSION, _SUB_IFDS}
    main, _ = read_directory(file, layout, layout.first, wanted.__contains__)
    if _VERSION not in main:
        return None
    found = [
        (place, shape)
        for place, shape in _shapes(file, layout, main)
        if _number(shape, _PHOTOMETRIC, layout) in (_CFA, _LINEAR_RAW)
        and _number(shape, _SUBFILE_TYPE, layout) == 0
    ]
    if not found:
        return None
    place, shape = max(found, key=lambda each: _pixels(each[1], layout))
    below, _ = read_directory(file, layout, place, (RAW_TAGS | _OF_SAMPLES).__contains__)
    kept = {tag: entry for tag, entry in main.items() if tag in MAIN_TAGS | {_NOISE}}
    kept |= {tag: entry for tag, entry in below.items() if tag in RAW_TAGS}
    compression = _number(shape, _COMPRESSION, layout)
    if compression == LOSSY:
        # Its polynomials undo the curve of the eight bits: LibRaw has to apply them.
        kept.pop(DngTag.OPCODE_LISTS[1], None)
    samples = _number(shape, _SAMPLES, layout) or 1
    return Dng(
        metadata=DngMetadata(tags=kept, order=layout.order),
        height=_number(shape, _HEIGHT, layout),
        width=_number(shape, _WIDTH, layout),
        compression=compression,
        is_linear=_number(shape, _PHOTOMETRIC, layout) == _LINEAR_RAW and samples > 1,
        black=_black(below, layout),
        black_of_rows=_numbers(below, _DELTA_V, layout),
        black_of_columns=_numbers(below, _DELTA_H, layout),
        cfa=_cfa(below, layout),
    )


def _shapes(file: BinaryIO, layout: Layout, main: Directory) -> Iterator[tuple[int, Directory]]:
    """Yield the offset of each directory of a picture, and the tags that tell what it is."""
    yield layout.first, main
    places = items_of(main[_SUB_IFDS], layout.order) if _SUB_IFDS in main else ()
    for place in places[:_MOST_DIRECTORIES]:
        yield place, read_directory(file, layout, place, _SHAPE_TAGS.__contains__)[0]


def _number(directory: Directory, tag: int, layout: Layout) -> int:
    return short_or_long(directory.get(tag), layout.order) or 0


def _pixels(directory: Directory, layout: Layout) -> int:
    return _number(directory, _WIDTH, layout) * _number(directory, _HEIGHT, layout)


def _numbers(directory: Directory, tag: int, layout: Layout) -> NDArray[np.float64]:
    """Return the numbers of a tag, none if some are not finite."""
    numbers = np.array(numbers_of(directory[tag], layout.order) if tag in directory else ())
    return numbers if np.isfinite(numbers).all() else numbers[:0]


def _repeated(directory: Directory, tag: int, layout: Layout) -> tuple[int, int]:
    """Return rows and columns of a pattern."""
    numbers = items_of(directory[tag], layout.order) if tag in directory else ()
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (1, 1)


def _black(directory: Directory, layout: Layout) -> NDArray[np.float64] | None:
    levels = _numbers(directory, _BLACK, layout)
    if _BLACK not in directory and not {_DELTA_H, _DELTA_V}.isdisjoint(directory):
        levels = np.zeros(1)  # to which they are added
    repeat = _repeated(directory, _BLACK_REPEAT, layout)
    is_whole = 0 < levels.size == repeat[0] * repeat[1] <= _MOST_LEVELS
    return levels.reshape(repeat) if is_whole and (levels >= 0).all() else None


def _cfa(directory: Directory, layout: Layout) -> NDArray[np.uint8] | None:
    data = directory[_CFA_PATTERN].data if _CFA_PATTERN in directory else b""
    repeat = _repeated(directory, _CFA_DIM, layout)
    if not data or len(data) != repeat[0] * repeat[1]:
        return None
    return np.frombuffer(data, np.uint8).reshape(repeat)
