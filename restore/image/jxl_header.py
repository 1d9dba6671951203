"""What the header of a JPEG XL codestream says (ISO/IEC 18181-1), which no decoder here passes on.

Numbers are packed least significant bit first.
"""

from dataclasses import dataclass, field
from typing import Any

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.cicp import Cicp

__all__ = ["JxlHeader", "labelled_srgb", "read_jxl_header"]

_MARKER = b"\xff\x0a"
_HEADER_BYTES = 4096
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_GRAY, _ALPHA, _SPOT, _CFA = 1, 0, 2, 5
_CUSTOM = 2
_P3, _P3_D65 = 11, 12
_D65, _EQUAL, _DCI = 1, 10, 11
_WHITES = {
    _D65: ["0.3127", "0.329"],
    _EQUAL: ["0.333333", "0.333333"],
    _DCI: ["0.314", "0.351"],
}
_SRGB = 13
_RELATIVE = 1

# Each of the four ways to store a number: bits that follow, and what is added to them.
_ENUM = ((0, 0), (0, 1), (4, 2), (6, 18))
_SIDE = ((9, 1), (13, 1), (18, 1), (30, 1))
_COORDINATE = ((19, 0), (19, 1 << 19), (20, 1 << 20), (21, 1 << 21))


@dataclass(frozen=True, kw_only=True)
class JxlHeader:
    """The header of one picture.

    Attributes:
        width: Width in pixels as it is shown.
        height: Height in pixels as it is shown.
        bit_depth: Bits per sample.
        is_float: Whether samples are floating point.
        is_animation: Whether there are several frames.
        extra_channels: Number of channels beside the colours.
        alpha_is_premultiplied: Whether colours were multiplied by alpha.
        is_gray: Whether there is one colour channel.
        is_xyb: Whether pixels are stored as perceived, as lossy files store them.
        cicp: Colour space; None for one that no code points name, and for a profile.
        primaries: x and y of red, green, blue and white, where there are no code points.
        curve: Exponents of the tone curve as ``Cicp.curve``, where there are no code points.
        has_profile: Whether an ICC profile states the colour space.
        colour_bits: First bit of the colour space, and the first behind it.
        end_bit: First bit behind the header.
    """

    width: int
    height: int
    bit_depth: int = 8
    is_float: bool = False
    is_animation: bool = False
    extra_channels: int = 0
    alpha_is_premultiplied: bool = False
    is_gray: bool = False
    is_xyb: bool = True
    cicp: Cicp | None = field(default=Cicp(1, _SRGB))
    primaries: str = ""
    curve: tuple[float, ...] = ()
    has_profile: bool = False
    colour_bits: tuple[int, int] = (0, 0)
    end_bit: int = 0


def read_jxl_header(codestream: bytes) -> JxlHeader:
    """Read the header at the start of a codestream.

    Raises:
        CorruptImage: it is cut short.
        UnsupportedImage: it has a preview.
    """
    if codestream[:2] != _MARKER:
        raise CorruptImage("is damaged")
    bits = _Bits(codestream[2:_HEADER_BYTES])
    width, height = _size(bits)
    if bits.flag():  # everything else is as usual
        return JxlHeader(width=width, height=height, colour_bits=(bits.place, bits.place))
    found: dict[str, Any] = {}
    orientation, has_extra = 1, bits.flag()
    if has_extra:
        orientation = 1 + bits.take(3)
        if bits.flag():
            _size(bits)
        if bits.flag():
            raise UnsupportedImage("has a preview; remove it with djxl and cjxl first")
        if bits.flag():
            return JxlHeader(width=width, height=height, is_animation=True)
    if orientation > 4:
        width, height = height, width
    found["bit_depth"], found["is_float"] = _depth(bits)
    bits.flag()  # 16-bit buffers suffice
    found["extra_channels"] = extra = bits.number(((0, 0), (0, 1), (4, 2), (12, 1)))
    found["alpha_is_premultiplied"] = True in [_is_premultiplied(bits) for _ in range(extra)]
    found["is_xyb"] = bits.flag()
    start = bits.place
    found |= _colour(bits)
    found["colour_bits"] = (start, bits.place)
    if has_extra and not bits.flag():  # tone mapping
        bits.take(49)
    if not bits.take(2) and bits.flag():  # no extensions, usual transform
        found["end_bit"] = bits.place
    return JxlHeader(width=width, height=height, **found)


def labelled_srgb(codestream: bytes) -> bytes:
    """Return a codestream whose samples are declared to be sRGB's; they stay as they are.

    Raises:
        ValueError: the header has parts that are not understood.
    """
    header = read_jxl_header(codestream)
    if header.is_xyb or header.has_profile or not header.end_bit:
        raise ValueError("this codestream cannot be labelled")
    own = _Bits(codestream[2:_HEADER_BYTES])
    start, end = header.colour_bits
    label = [1]
    if header.is_gray:
        label = [0, 0, *_enum(_GRAY), *_enum(_D65), 0, *_enum(_SRGB), *_enum(_RELATIVE)]
    packed = [*own.all[:start], *label, *own.all[end : header.end_bit]]
    packed += [0] * (-len(packed) % 8)
    head = bytes(
        sum(bit << place for place, bit in enumerate(packed[i : i + 8]))
        for i in range(0, len(packed), 8)
    )
    return _MARKER + head + codestream[2 + -(-header.end_bit // 8) :]


def _enum(value: int) -> list[int]:
    """Return the bits of a number from 0 to 17."""
    if value < 2:
        return [value, 0]
    return [0, 1, *(value - 2 >> place & 1 for place in range(4))]


class _Bits:
    """Reads bits, the least significant first."""

    def __init__(self, data: bytes) -> None:
        self.all = [byte >> place & 1 for byte in data for place in range(8)]
        self.place = 0

    def take(self, count: int) -> int:
        if self.place + count > len(self.all):
            raise CorruptImage("is cut short")
        taken = self.all[self.place : self.place + count]
        self.place += count
        return sum(bit << place for place, bit in enumerate(taken))

    def flag(self) -> bool:
        return bool(self.take(1))

    def number(self, ways: tuple[tuple[int, int], ...]) -> int:
        """Return a number stored in one of four ways."""
        count, least = ways[self.take(2)]
        return least + self.take(count)


def _size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.flag()

    def side() -> int:
        return 8 * (1 + bits.take(5)) if is_small else bits.number(_SIDE)

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return side(), height
    across, down = _RATIOS[ratio]
    return height * across // down, height


def _depth(bits: _Bits) -> tuple[int, bool]:
    """Return bits per sample and whether they are floating point."""
    if bits.flag():
        depth = bits.number(((0, 32), (0, 16), (0, 24), (6, 1)))
        bits.take(4)
        return depth, True
    return bits.number(((0, 8), (0, 10), (0, 12), (6, 1))), False


def _is_premultiplied(bits: _Bits) -> bool:
    """Read one extra channel; return whether it is alpha that colours were multiplied by."""
    if bits.flag():  # alpha of 8 bits
        return False
    kind = bits.number(_ENUM)
    _depth(bits)
    bits.number(((0, 0), (0, 3), (0, 4), (3, 1)))
    bits.take(8 * bits.number(((0, 0), (4, 0), (5, 16), (10, 48))))
    is_premultiplied = bits.flag() if kind == _ALPHA else False
    if kind == _SPOT:
        bits.take(64)
    if kind == _CFA:
        bits.number(((0, 1), (2, 0), (4, 3), (8, 19)))
    return is_premultiplied


def _colour(bits: _Bits) -> dict[str, Any]:
    if bits.flag():
        return {}
    has_profile = bits.flag()
    is_gray = bits.number(_ENUM) == _GRAY
    if has_profile:
        return {"has_profile": True, "is_gray": is_gray, "cicp": None}
    white = bits.number(_ENUM)
    white_xy = _coordinates(bits, 1) if white == _CUSTOM else _WHITES.get(white, _WHITES[_D65])
    primaries, primaries_xy = 1, Cicp(1, _SRGB).chromaticities.split()[:6]
    if not is_gray:
        primaries = bits.number(_ENUM)
        named = Cicp(_P3_D65 if primaries == _P3 else primaries, _SRGB).chromaticities
        primaries_xy = named.split()[:6] or primaries_xy
        if primaries == _CUSTOM:
            primaries_xy = _coordinates(bits, 3)
    has_gamma = bits.flag()
    gamma = bits.take(24) / 10_000_000 if has_gamma else 0.0
    transfer = 0 if has_gamma else bits.number(_ENUM)
    bits.number(_ENUM)
    if primaries == _P3 and white == _D65:
        primaries = _P3_D65
    is_named = not has_gamma and _CUSTOM not in (white, primaries) and white in (_D65, _DCI)
    if is_named and (white == _D65) == (primaries != _P3):
        return {"is_gray": is_gray, "cicp": Cicp(primaries, transfer)}
    return {
        "is_gray": is_gray,
        "cicp": None,
        "primaries": " ".join([*primaries_xy, *white_xy]),
        "curve": (1 / gamma,) if gamma else Cicp(1, transfer).curve,
    }


def _coordinates(bits: _Bits, count: int) -> list[str]:
    """Return x and y of ``count`` colours."""
    packed = [bits.number(_COORDINATE) for _ in range(2 * count)]
    return [f"{(value >> 1 ^ -(value & 1)) / 1_000_000:.6g}" for value in packed]
