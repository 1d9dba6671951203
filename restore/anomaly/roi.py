"""The region of interest: where on a part defects count."""

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore.anomaly.part import read_part
from restore.arguments import argument
from restore.errors import InputError, UsageError, WeightsError

__all__ = ["RegionOfInterest"]

Inside = NDArray[np.bool_]

_LARGEST_SIDE = 100_000
_LARGEST_PNG = 256 << 10
"""Bytes of a mask in a weight file, whose whole header has a MiB."""
_MOST_PIXELS = 150_000_000


@dataclass(frozen=True, eq=False)
class RegionOfInterest:
    """A box, or the white pixels of a mask; nothing outside it counts.

    With an alignment, it lies on the mean good part.

    Attributes:
        box: ``(left, top, width, height)`` in pixels; of a mask, the box around its white pixels.
        mask: ``[H, W]``, of the size of the pictures, or None for the whole box.
    """

    box: tuple[int, int, int, int]
    mask: Inside | None = None

    @classmethod
    def parse(cls, text: str) -> "RegionOfInterest":
        """Return the box that ``text``, as in "40,20,200,160", describes.

        Raises:
            UsageError: it describes none.
        """
        fields = text.split(",")
        values = [int(field) if _is_count(field) else -1 for field in fields]
        if len(values) != 4 or min(values) < 0 or max(values) > _LARGEST_SIDE or 0 in values[2:]:
            raise UsageError(
                f"{argument('roi')} {text[:60]}: give x,y,width,height in pixels, as "
                "in 40,20,200,160"
            )
        left, top, width, height = values
        return cls((left, top, width, height))

    @classmethod
    def read(cls, path: Path) -> "RegionOfInterest":
        """Return the region that is white in a picture.

        Raises:
            InputError: the picture cannot be read.
            UsageError: nothing in it is white, or its outline is too intricate for a weight file.
        """
        mask = read_part(path).pixels.max(axis=0) > 0.5
        if not mask.any():
            raise UsageError(f"{path}: nothing is white; paint white where defects count")
        region = cls(_box_around(mask), mask)
        if len(_as_png(mask)) > _LARGEST_PNG:
            raise UsageError(f"{path}: its outline is too intricate; paint a smoother one")
        return region

    @property
    def name(self) -> str:
        """The box, or the start of the SHA-256 of the mask, which tells regions apart."""
        if self.mask is None:
            return ",".join(map(str, self.box))
        return (
            f"mask {sha256(repr(self.mask.shape).encode() + self.mask.tobytes()).hexdigest()[:16]}"
        )

    def inside(self, height: int, width: int, name: str = "the picture") -> Inside:
        """Return where defects count in a picture, ``[height, width]``.

        Raises:
            InputError: the picture, called ``name``, has another size than the mask, or does not
                contain the box.
        """
        if self.mask is not None:
            if self.mask.shape != (height, width):
                rows, columns = self.mask.shape
                raise InputError(
                    f"{name}: has {width}x{height} pixels, the mask of the region of interest "
                    f"{columns}x{rows}; give one of the same size ({argument('mask')})"
                )
            return self.mask
        left, top, across, down = self.box
        if left + across > width or top + down > height:
            raise InputError(
                f"{name}: has {width}x{height} pixels, fewer than the region of interest "
                f"{self.name} reaches; give another ({argument('roi')})"
            )
        inside = np.zeros((height, width), np.bool_)
        inside[top : top + down, left : left + across] = True
        return inside

    def as_mapping(self) -> dict[str, Any]:
        """Return plain values, for a weight file."""
        if self.mask is None:
            return {"box": list(self.box)}
        return {"mask": base64.b64encode(_as_png(self.mask)).decode()}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "RegionOfInterest":
        """Return the region that ``as_mapping`` described.

        Raises:
            WeightsError: the values are invalid.
        """
        try:
            if "mask" in values:
                mask = plane_in(values["mask"]) > 127
                return cls(_box_around(mask), mask)
            return cls.parse(",".join(str(number) for number in values["box"]))
        except (KeyError, IndexError, TypeError, ValueError, UsageError) as error:
            raise WeightsError("its region of interest is invalid") from error


def plane_in(text: object) -> NDArray[np.uint8]:
    """Return the gray picture ``[H, W]`` in a PNG of a weight file.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(text, str) or len(text) > 2 * _LARGEST_PNG:
        raise ValueError("no picture")
    try:
        data = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError("a picture too large")
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError, Image.DecompressionBombError, binascii.Error) as error:
        raise ValueError("no picture") from error


def _as_png(mask: Inside) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG", optimize=True)
    return file.getvalue()


def _box_around(mask: Inside) -> tuple[int, int, int, int]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def _is_count(text: str) -> bool:
    stripped = text.strip()
    return stripped.isascii() and stripped.isdecimal() and len(stripped) < 10
