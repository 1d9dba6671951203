"""A RAW file in memory: what the sensor saw, and what is needed to make a photograph of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLUE", "GREEN", "RED", "SECOND_GREEN", "RawPicture"]

RED, GREEN, BLUE, SECOND_GREEN = range(4)
"""What a filter lets through; the greens of a Bayer sensor's odd and even rows are told apart."""


@dataclass(frozen=True, kw_only=True)
class RawPicture:
    """One RAW file.

    Attributes:
        mosaic: uint16 ``[H, W]``, the visible part of the sensor as stored.
        cfa: uint8 ``[P, P]`` with P = 2 (Bayer) or 6 (X-Trans): the colour filter over the first
            pixels of ``mosaic``, which repeats over the whole.
        black_level: digital number of no light, for red, green, blue and second green.
        white_level: digital number at which the sensor saturates.
        white_balance: factors for red, green and blue that make gray gray as the camera saw it,
            green 1.
        xyz_to_camera: float32 ``[3, 3]``, CIE XYZ (D65) to camera RGB, or None if nothing is known.
        orientation: EXIF orientation 1..8.
        exposure_time_s, iso, aperture: of the exposure, or None; aperture is the f-number.
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
