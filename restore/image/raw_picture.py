"""A RAW file in memory, and its mosaic packed into planes of one colour each."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import UnsupportedImage

__all__ = [
    "BLUE",
    "GREEN",
    "PLANE_COLOURS",
    "RED",
    "REFERENCE_CFA",
    "SECOND_GREEN",
    "Packed",
    "RawPicture",
    "fill_planes",
    "normalised",
    "pack",
    "phase_of",
    "unpack",
]

RED, GREEN, BLUE, SECOND_GREEN = range(4)
"""Codes of the filter colours; the greens in odd and even rows of a Bayer sensor differ."""


@dataclass(frozen=True, kw_only=True)
class RawPicture:
    """One RAW file.

    Attributes:
        mosaic: uint16 ``[H, W]``, the visible part of the sensor as stored.
        cfa: uint8 ``[P, P]`` with P = 2 (Bayer) or 6 (X-Trans): colour filter array over the first
            pixels of ``mosaic``, repeated over the sensor.
        black_level: digital numbers that stand for no light, for red, green, blue and second green.
        white_level: digital number at which the sensor saturates.
        white_balance: the camera's own factors for red, green and blue, with green 1.
        xyz_to_camera: float32 ``[3, 3]``, CIE XYZ (D65) to camera RGB, or None if unknown.
        orientation: EXIF orientation 1..8.
        exposure_time_s, iso, aperture: exposure time, ISO speed and f-number, or None.
        exif: an EXIF block (see ``Picture``), or None.

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
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    xyz_to_camera: NDArray[np.float32] | None = None
    orientation: int = 1
    exposure_time_s: float | None = None
    iso: float | None = None
    aperture: float | None = None
    exif: bytes | None = None

    def __post_init__(self) -> None:
        """Check once, so that nobody downstream has to."""
        if self.mosaic.ndim != 2 or self.mosaic.dtype != np.uint16:
            raise ValueError(f"the mosaic must be uint16 [H, W], got {self.mosaic.dtype}")
        if self.cfa.shape not in ((2, 2), (6, 6)):
            raise ValueError(f"the pattern must be 2x2 or 6x6, got {list(self.cfa.shape)}")
        if not max(self.black_level) < self.white_level:
            raise ValueError(f"black {self.black_level} is not below white {self.white_level}")

    @property
    def height(self) -> int:
        """Rows of the mosaic."""
        return int(self.mosaic.shape[0])

    @property
    def width(self) -> int:
        """Columns of the mosaic."""
        return int(self.mosaic.shape[1])

    @property
    def is_xtrans(self) -> bool:
        """Whether the filters repeat every six pixels."""
        return self.cfa.shape == (6, 6)

    @property
    def pattern(self) -> str:
        """The colours of the first two by two pixels, row by row, as in ``rggb``."""
        return "".join("rgbg"[colour] for colour in self.cfa[:2, :2].flatten())


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


_PLACES = {2: _BAYER_PLACES, 6: _XTRANS_PLACES}

REFERENCE_CFA = {2: _BAYER, 6: _XTRANS}
"""Period to the colour filter array in the phase in which planes are packed."""


PLANE_COLOURS = {2: (0, 1, 2, 1), 6: (0, 1, 2, 0, 2, 1, 1, 1, 1)}
"""Period to the colour of each plane: 0 red, 1 green, 2 blue."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A mosaic as planes.

    Attributes:
        planes: float32 ``[4, h, w]`` red, green, blue, second green at half the size (Bayer), or
            ``[9, h, w]`` at a third (X-Trans).
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

    Each channel's own black level is subtracted. Noise below black stays negative: clipping it
    would brighten the shadows.
    """
    side = raw.cfa.shape[0]
    result = np.empty(raw.mosaic.shape, dtype=np.float32)
    for y in range(side):
        for x in range(side):
            black = np.float32(raw.black_level[raw.cfa[y, x]])
            samples = raw.mosaic[y::side, x::side].astype(np.float32)
            result[y::side, x::side] = (samples - black) / (np.float32(raw.white_level) - black)
    return result


def pack(mosaic: NDArray[np.float32], cfa: NDArray[np.uint8]) -> Packed:
    """Pack a mosaic into planes of one colour each.

    Args:
        mosaic: ``[H, W]``.
        cfa: the filter over its first pixels, ``[2, 2]`` or ``[6, 6]``, see ``RawPicture``.

    Raises:
        UnsupportedImage: a filter of this size that is neither Bayer nor X-Trans.
    """
    side = len(cfa)
    top, left = phase_of(cfa)
    height, width = mosaic.shape
    rows, columns = (
        _extended(size, before, side) for size, before in ((height, top), (width, left))
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
        planes: ``[..., 4, H / 2, W / 2]`` or ``[..., 9, H / 3, W / 3]``.
        mosaic: ``[..., H, W]``, H and W multiples of ``side``.
        side: period of the filter, 2 (Bayer) or 6 (X-Trans).
    """
    step = len(_PLACES[side][0])
    for index, cells in enumerate(_PLACES[side]):
        for i, line in enumerate(cells):
            for j, (y, x) in enumerate(line):
                planes[..., index, i::step, j::step] = mosaic[..., y::side, x::side]


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


def _extended(size: int, before: int, side: int) -> NDArray[np.intp]:
    """Return indices extended to whole periods; those outside are moved inwards by one period.

    In a mosaic smaller than a period, they are clipped instead.
    """
    indices = np.arange(-before, size + (-size - before) % side)
    indices = np.where(indices < 0, indices + side, indices)
    indices = np.where(indices >= size, indices - side, indices)
    return indices.clip(0, size - 1)
