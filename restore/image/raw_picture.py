"""A RAW file in memory, and its mosaic packed into planes of one colour each."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage
from restore.image.dng_metadata import DngMetadata

__all__ = [
    "BLUE",
    "GREEN",
    "MOST_ASPECT",
    "PLANE_COLOURS",
    "RED",
    "REFERENCE_CFA",
    "SECOND_GREEN",
    "Packed",
    "RawPicture",
    "extended",
    "fill_mosaic",
    "fill_planes",
    "normalised",
    "pack",
    "phase_of",
    "unpack",
]

MOST_ASPECT = 4.0
"""Most times that a pixel is as wide as it is high, or as high as it is wide."""

RED, GREEN, BLUE, SECOND_GREEN = range(4)
"""Codes of the filter colours; the greens in odd and even rows of a Bayer sensor differ."""


@dataclass(frozen=True, kw_only=True)
class RawPicture:
    """One RAW file.

    Attributes:
        mosaic: uint16 ``[H, W]``, the visible part of the sensor as stored.
        cfa: uint8 ``[P, P]`` with P = 2 (Bayer) or 6 (X-Trans): colour filter array over the first
            pixels of ``mosaic``, repeated over the sensor; P = 1 (a green) for a monochrome sensor.
        black_level: digital numbers that stand for no light, for red, green, blue and second green.
        white_level: digital number at which the file says that the sensor saturates.
        saturation: digital numbers from which samples of red, green, blue and second green are
            saturated, as ``mosaic_saturation`` finds them, at most the white level; None for the
            white level.
        white_balance: the camera's own factors for red, green and blue, with green 1.
        has_white_balance: whether the file states ``white_balance``; else it is daylight's, or 1.
        xyz_to_camera: float32 ``[3, 3]``, CIE XYZ (D65) to camera RGB, or None if unknown.
        default_crop: top, left, height and width of the part of ``mosaic`` that a developed picture
            shows, or None for all of it.
        pixel_aspect: width of a pixel in its heights, 1 of nearly all sensors; what is developed
            is stretched by it.
        orientation: EXIF orientation 1..8.
        exposure_time_s, iso, aperture: exposure time, ISO speed and f-number, or None.
        make, model: Names of the maker and the camera as EXIF has them, or "".
        exif: an EXIF block (see ``Picture``), or None.
        xmp: XMP packet, or None.
        dng: What only a DNG says, or None where the file was none.

    >>> import numpy as np
    >>> import restore
    >>> raw = restore.RawPicture(
    ...     mosaic=np.full((64, 64), 600, np.uint16),
    ...     cfa=np.array([[0, 1], [3, 2]], np.uint8),
    ...     black_level=(512, 512, 512, 512),
    ...     white_level=16383,
    ... )
    >>> raw.pattern, raw.is_xtrans
    ('rggb', False)
    """

    mosaic: NDArray[np.uint16]
    cfa: NDArray[np.uint8]
    black_level: tuple[float, float, float, float]
    white_level: float
    saturation: tuple[float, float, float, float] | None = None
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    has_white_balance: bool = True
    xyz_to_camera: NDArray[np.float32] | None = None
    default_crop: tuple[int, int, int, int] | None = None
    pixel_aspect: float = 1.0
    orientation: int = 1
    exposure_time_s: float | None = None
    iso: float | None = None
    aperture: float | None = None
    make: str = ""
    model: str = ""
    exif: bytes | None = None
    xmp: bytes | None = None
    dng: DngMetadata | None = None

    def __post_init__(self) -> None:
        """Check once, so that nobody downstream has to."""
        if self.mosaic.ndim != 2 or self.mosaic.dtype != np.uint16:
            raise ValueError(f"the mosaic must be uint16 [H, W], got {self.mosaic.dtype}")
        if self.cfa.shape not in ((1, 1), (2, 2), (6, 6)):
            raise ValueError(f"the pattern must be 1x1, 2x2 or 6x6, got {list(self.cfa.shape)}")
        if not max(self.black_level) < self.white_level:
            raise ValueError(f"black {self.black_level} is not below white {self.white_level}")
        top, left, height, width = self.default_crop or (0, 0, *self.mosaic.shape)
        is_inside = top + height <= self.height and left + width <= self.width
        if min(top, left) < 0 or min(height, width) < 0 or not is_inside:
            raise ValueError(f"the crop {self.default_crop} lies outside the mosaic")
        if not 1 / MOST_ASPECT <= self.pixel_aspect <= MOST_ASPECT:
            raise ValueError(f"pixels {self.pixel_aspect:g} times as wide as high are of no sensor")
        if not max(self.black_level) < min(self.saturated_from):
            raise ValueError(f"black {self.black_level} is not below {self.saturation}")

    @property
    def height(self) -> int:
        """Rows of the mosaic."""
        return int(self.mosaic.shape[0])

    @property
    def width(self) -> int:
        """Columns of the mosaic."""
        return int(self.mosaic.shape[1])

    @property
    def saturated_from(self) -> tuple[float, float, float, float]:
        """Digital numbers from which samples of each colour are saturated."""
        return self.saturation or (self.white_level,) * 4

    @property
    def range_dn(self) -> float:
        """Digital numbers between black and saturation, of the colour for which they are fewest."""
        pairs = zip(self.black_level, self.saturated_from, strict=True)
        return min(saturated - black for black, saturated in pairs)

    @property
    def is_xtrans(self) -> bool:
        """Whether the filters repeat every six pixels."""
        return self.cfa.shape == (6, 6)

    @property
    def is_monochrome(self) -> bool:
        """Whether the sensor has no colour filter: every sample is luminance."""
        return self.cfa.shape == (1, 1)

    @property
    def has_guessed_colours(self) -> bool:
        """Whether there are colours, but no matrix says which."""
        return self.xyz_to_camera is None and not self.is_monochrome

    @property
    def pattern(self) -> str:
        """The colours of the first two by two pixels, row by row, as in ``rggb``, or mono."""
        if self.is_monochrome:
            return "mono"
        return "".join("rgbg"[colour] for colour in self.cfa[:2, :2].flatten())

    @property
    def bit_depth(self) -> int:
        """Bits that hold every sample and the white level: 12 or 14 for most cameras."""
        highest = max(int(self.mosaic.max(initial=0)), math.ceil(self.white_level))
        return min(highest.bit_length(), 16)

    @property
    def shown(self) -> tuple[slice, slice]:
        """Rows and columns of ``mosaic`` that a developed picture shows."""
        top, left, height, width = self.default_crop or (0, 0, *self.mosaic.shape)
        return slice(top, top + height), slice(left, left + width)

    @property
    def baseline_exposure(self) -> float:
        """Stops by which the file asks converters to brighten the picture."""
        return self.dng.baseline_exposure if self.dng else 0.0

    @property
    def unapplied(self) -> tuple[str, ...]:
        """Names of the corrections in the file (opcodes of a DNG) that developing leaves out."""
        return self.dng.opcodes if self.dng else ()


_BAYER = np.array([[0, 1], [3, 2]], dtype=np.uint8)
# The phase in which Chen et al. (CVPR 2018) pack X-Trans: R B G B R G / G G R G G B / G G B ...
_XTRANS = np.array(
    [
        [0, 2, 1, 2, 0, 1],
        [1, 1, 0, 1, 1, 2],
        [1, 1, 2, 1, 1, 0],
        [2, 0, 1, 0, 2, 1],
        [1, 1, 2, 1, 1, 0],
        [1, 1, 0, 1, 1, 2],
    ],
    dtype=np.uint8,
)
_MONOCHROME = np.array([[GREEN]], dtype=np.uint8)
# For each plane, the (row, column) in the period of each of the plane's packed pixels.
_BAYER_PLACES = [[[(0, 0)]], [[(0, 1)]], [[(1, 1)]], [[(1, 0)]]]
_XTRANS_PLACES = [
    [[(0, 0), (0, 4)], [(3, 1), (3, 3)]],
    [[(0, 2), (0, 5)], [(3, 2), (3, 5)]],
    [[(0, 1), (0, 3)], [(3, 0), (3, 4)]],
    [[(1, 2), (2, 5)], [(5, 2), (4, 5)]],
    [[(2, 2), (1, 5)], [(4, 2), (5, 5)]],
    [[(1, 0), (1, 3)], [(4, 0), (4, 3)]],
    [[(1, 1), (1, 4)], [(4, 1), (4, 4)]],
    [[(2, 0), (2, 3)], [(5, 0), (5, 3)]],
    [[(2, 1), (2, 4)], [(5, 1), (5, 4)]],
]


_PLACES = {1: [[[(0, 0)]]], 2: _BAYER_PLACES, 6: _XTRANS_PLACES}

REFERENCE_CFA = {1: _MONOCHROME, 2: _BAYER, 6: _XTRANS}
"""Period to the colour filter array in the phase in which planes are packed."""


PLANE_COLOURS = {1: (1,), 2: (0, 1, 2, 1), 6: (0, 1, 2, 0, 2, 1, 1, 1, 1)}
"""Period to the colour of each plane: 0 red, 1 green, 2 blue; green stands for luminance."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A mosaic as planes.

    Attributes:
        planes: float32 ``[4, h, w]`` red, green, blue, second green at half the size (Bayer),
            ``[9, h, w]`` at a third (X-Trans), or ``[1, H, W]`` (monochrome).
        top, left: rows and columns added before the mosaic to bring it into phase.
        height, width: size of the mosaic in pixels.
    """

    planes: NDArray[np.float32]
    top: int
    left: int
    height: int
    width: int


def normalised(raw: RawPicture) -> NDArray[np.float32]:
    """Return the mosaic as float32 ``[H, W]``, black at 0 and sensor white at 1.

    Each channel's own black level is subtracted, and all are divided by ``range_dn``, so that
    their balance stays; a colour that saturates later than others exceeds 1. Noise below black
    stays negative: clipping it would brighten the shadows.
    """
    side = raw.cfa.shape[0]
    result = np.empty(raw.mosaic.shape, dtype=np.float32)
    for y in range(side):
        for x in range(side):
            black = np.float32(raw.black_level[raw.cfa[y, x]])
            samples = raw.mosaic[y::side, x::side].astype(np.float32)
            result[y::side, x::side] = (samples - black) / np.float32(raw.range_dn)
    return result


def pack(mosaic: NDArray[np.float32], cfa: NDArray[np.uint8]) -> Packed:
    """Pack a mosaic into planes of one colour each.

    Args:
        mosaic: ``[H, W]``.
        cfa: the filter over its first pixels, see ``RawPicture``.

    Raises:
        UnsupportedImage: a filter of this size that is neither Bayer nor X-Trans.
    """
    side = len(cfa)
    top, left = phase_of(cfa)
    height, width = mosaic.shape
    rows, columns = (
        extended(size, before, side, side) for size, before in ((height, top), (width, left))
    )
    aligned = mosaic[rows[:, None], columns[None]]
    step = len(_PLACES[side][0])
    planes = np.empty(
        (len(_PLACES[side]), len(rows) // side * step, len(columns) // side * step),
        dtype=np.float32,
    )
    fill_planes(planes, aligned, side)
    return Packed(planes=planes, top=top, left=left, height=height, width=width)


def fill_planes(planes: Any, mosaic: Any, side: int) -> None:
    """Write the samples of a mosaic in reference phase into its planes; arrays or tensors.

    Args:
        planes: ``[..., 4, H / 2, W / 2]``, ``[..., 9, H / 3, W / 3]`` or ``[..., 1, H, W]``.
        mosaic: ``[..., H, W]``, H and W multiples of ``side``.
        side: period of the filter, 2 (Bayer), 6 (X-Trans) or 1 (monochrome).
    """
    step = len(_PLACES[side][0])
    for index, cells in enumerate(_PLACES[side]):
        for i, line in enumerate(cells):
            for j, (y, x) in enumerate(line):
                planes[..., index, i::step, j::step] = mosaic[..., y::side, x::side]


def fill_mosaic(mosaic: Any, planes: Any, side: int) -> None:
    """Write planes back into a mosaic in reference phase, the inverse of ``fill_planes``."""
    step = len(_PLACES[side][0])
    for index, cells in enumerate(_PLACES[side]):
        for i, line in enumerate(cells):
            for j, (y, x) in enumerate(line):
                mosaic[..., y::side, x::side] = planes[..., index, i::step, j::step]


def unpack(colour: NDArray[np.float32], packed: Packed) -> NDArray[np.float32]:
    """Crop a network's result for ``packed.planes``, ``[..., h * scale, w * scale]``, to size."""
    rows = slice(packed.top, packed.top + packed.height)
    return colour[..., rows, packed.left : packed.left + packed.width]


def phase_of(cfa: NDArray[np.uint8]) -> tuple[int, int]:
    """Return how many rows and columns must be added before a mosaic to bring it into phase.

    Raises:
        UnsupportedImage: a filter of this size that is neither Bayer nor X-Trans.
    """
    reference = REFERENCE_CFA[len(cfa)]
    # The two greens of a Bayer filter are told apart by their neighbours, not by their names.
    colours, wanted = (np.where(p == SECOND_GREEN, GREEN, p) for p in (cfa, reference))
    for top in range(len(cfa)):
        for left in range(len(cfa)):
            if np.array_equal(np.roll(colours, (top, left), axis=(0, 1)), wanted):
                return top, left
    raise UnsupportedImage("has a colour filter that is neither Bayer nor X-Trans")


def extended(size: int, before: int, period: int, block: int) -> NDArray[np.intp]:
    """Return indices extended to whole blocks; those outside are moved inwards by one period.

    In a mosaic smaller than a period, they are clipped instead.

    Args:
        size: rows or columns of the mosaic.
        before: how many are added before the first.
        period: period of the filter.
        block: of how many the extended indices are a multiple.
    """
    indices = np.arange(-before, size + (-size - before) % block)
    indices = np.where(indices < 0, indices + period, indices)
    indices = np.where(indices >= size, indices - period, indices)
    return indices.clip(0, size - 1)
