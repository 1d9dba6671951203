"""What a DNG says about its mosaic that a DNG made of it must say again, kept as it is stored.

Adobe, "Digital Negative Specification", version 1.7.1.0, chapter 4.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from restore.image.ifd import ByteOrder, Entry, numbers_of

__all__ = ["MAIN_TAGS", "RAW_TAGS", "DngMetadata", "DngTag", "opcode_names"]


class DngTag:
    """Numbers of the tags that are looked into."""

    UNIQUE_CAMERA_MODEL = 50708
    COLOR_MATRIX, CAMERA_CALIBRATION = (50721, 50722), (50723, 50724)
    FORWARD_MATRIX, ILLUMINANT = (50964, 50965), (50778, 50779)
    ANALOG_BALANCE, AS_SHOT_NEUTRAL = 50727, 50728
    BASELINE_EXPOSURE = 50730
    DEFAULT_SCALE, DEFAULT_CROP_ORIGIN, DEFAULT_CROP_SIZE = 50718, 50719, 50720
    AS_SHOT_WHITE_XY, BAYER_GREEN_SPLIT, ACTIVE_AREA = 50729, 50733, 50829
    PROFILE_NAME = 50936
    OPCODE_LISTS = (51008, 51009, 51022)
    NOISE_PROFILE = 51041


MAIN_TAGS = frozenset(
    {
        *(50708, 50709, *range(50721, 50733), 50734, 50735, 50736, 50739, 50740, 50741, 50778),
        *(50779, 50827, 50931, 50932, 50934, *range(50936, 50943), 50964, 50965, 50981, 50982),
        *(51107, 51108, 51109, 51110, 52525, *range(52529, 52537), 52552),
    }
)
"""Tags of the first directory that are kept."""

RAW_TAGS = frozenset(
    {
        *(
            50718,
            50719,
            50720,
            50733,
            50737,
            50738,
            50780,
            50829,
            50935,
            51008,
            51009,
            51022,
            51041,
            51125,
        )
    }
)
"""Tags of the directory of the mosaic that are kept."""

_NAMES = (
    *("WarpRectilinear", "WarpFisheye", "FixVignetteRadial", "FixBadPixelsConstant"),
    *("FixBadPixelsList", "TrimBounds", "MapTable", "MapPolynomial", "GainMap", "DeltaPerRow"),
    *("DeltaPerColumn", "ScalePerRow", "ScalePerColumn", "WarpRectilinear2"),
)
_MOST_OPCODES = 1000
_OPCODE_HEAD = struct.Struct(">IIII")  # always big-endian: number, version, flags, bytes
_D65 = 21
# EXIF's light sources with their colour temperatures in kelvin; others are no better than unknown.
_TEMPERATURES = {
    light: kelvin
    for kelvin, lights in (
        *((2850, (3, 17)), (3200, (24,)), (3450, (15,)), (4150, (2, 14)), (4874, (18,))),
        *((5000, (13, 23)), (5500, (1, 4, 9, 20)), (6430, (12,)), (6504, (10, _D65))),
        *((6774, (19,)), (7500, (11, 22))),
    )
    for light in lights
}


@dataclass(frozen=True, kw_only=True)
class DngMetadata:
    """Tags of a DNG.

    Attributes:
        tags: Entries of ``MAIN_TAGS`` and ``RAW_TAGS`` as they are stored.
        order: Byte order of their values.
    """

    tags: Mapping[int, Entry] = field(default_factory=dict)
    order: ByteOrder = "<"

    @property
    def xyz_to_camera(self) -> NDArray[np.float64] | None:
        """CIE XYZ to camera RGB, ``[3, 3]``, for the illuminant nearest to D65, or None.

        As the specification has it: analog balance x camera calibration x colour matrix.
        """
        nearest, result = math.inf, None
        for each in (1, 0):
            matrix = self._matrix(DngTag.COLOR_MATRIX[each])
            (light,) = self.numbers(DngTag.ILLUMINANT[each])[:1] or (0.0,)
            distance = abs(1 / _TEMPERATURES.get(int(light), 2000) - 1 / _TEMPERATURES[_D65])
            if matrix is None or distance >= nearest:
                continue
            calibration = self._matrix(DngTag.CAMERA_CALIBRATION[each])
            nearest = distance
            result = matrix if calibration is None else calibration @ matrix
        balance = np.array(self.numbers(DngTag.ANALOG_BALANCE))
        if result is None or balance.shape != (3,) or not (balance > 0).all():
            return result
        return balance[:, None] * result

    @property
    def white_balance(self) -> tuple[float, float, float] | None:
        """Factors for red, green and blue, with green 1, from the neutral as shot, or None."""
        neutral = self.numbers(DngTag.AS_SHOT_NEUTRAL)
        if len(neutral) != 3 or not all(0 < each < math.inf for each in neutral):
            return None
        red, green, blue = neutral
        return green / red, 1.0, green / blue

    @property
    def baseline_exposure(self) -> float:
        """Stops by which converters brighten the picture; 0 where the file does not say."""
        (stops,) = self.numbers(DngTag.BASELINE_EXPOSURE)[:1] or (0.0,)
        return stops if abs(stops) < 32 else 0.0

    @property
    def noise_profile(self) -> tuple[tuple[float, float], ...]:
        """Scale and offset (a, b) of each colour plane, or of all in one; empty if not stated.

        Var(x) = a x + b, with x black-subtracted and 1 at the white level.
        """
        numbers = self.numbers(DngTag.NOISE_PROFILE)
        if not numbers or len(numbers) % 2 or not all(map(math.isfinite, numbers)):
            return ()
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))

    @property
    def opcodes(self) -> tuple[str, ...]:
        """Names of the corrections that converters apply, such as WarpRectilinear, each once."""
        lists = (self.tags[tag].data for tag in DngTag.OPCODE_LISTS if tag in self.tags)
        return tuple(dict.fromkeys(name for each in lists for name in opcode_names(each)))

    @property
    def unique_camera_model(self) -> str:
        """Name of the camera by which converters find its profiles, or ""."""
        return self._text(DngTag.UNIQUE_CAMERA_MODEL)

    @property
    def profile_name(self) -> str:
        """Name of the embedded colour profile, or ""."""
        return self._text(DngTag.PROFILE_NAME)

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Return the numbers of a tag; empty without it, nan for a fraction over zero."""
        return numbers_of(self.tags[tag], self.order) if tag in self.tags else ()

    def without(self, *tags: int) -> "DngMetadata":
        """Return the record without some of its tags."""
        kept = {tag: entry for tag, entry in self.tags.items() if tag not in tags}
        return replace(self, tags=kept)

    def _matrix(self, tag: int) -> NDArray[np.float64] | None:
        numbers = np.array(self.numbers(tag))
        if numbers.shape != (9,) or not np.isfinite(numbers).all() or not numbers.any():
            return None
        return numbers.reshape(3, 3)

    def _text(self, tag: int) -> str:
        data = self.tags[tag].data if tag in self.tags else b""
        return data.split(b"\x00")[0].decode(errors="replace").strip()


def opcode_names(data: bytes) -> list[str]:
    """Return the names of the opcodes in a list, as far as the list is whole."""
    names: list[str] = []
    count = int.from_bytes(data[:4], "big")
    place = 4
    while len(names) < min(count, _MOST_OPCODES) and place + _OPCODE_HEAD.size <= len(data):
        number, _, _, size = _OPCODE_HEAD.unpack_from(data, place)
        names.append(_NAMES[number - 1] if 1 <= number <= len(_NAMES) else f"opcode {number}")
        place += _OPCODE_HEAD.size + size
    return names
