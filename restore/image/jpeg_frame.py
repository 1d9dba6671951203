"""The frame header of a JPEG stream: its size, and the least that such a picture takes."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from restore.errors import CorruptImage

__all__ = ["Frame", "read_frame"]

_BLOCK = 8
_MOST_FILLING = 1 << 12
"""Bytes between two segments; decoders pass over some, but not over a whole file of them."""
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_SEQUENTIAL, _PROGRESSIVE, _LOSSLESS = {0xC0, 0xC1}, {0xC2}, {0xC3}
_LOSSLESS_UNIT = 1


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a frame header states.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        components: Number of components.
        least_bytes: Bytes that entropy-coded data of this size and kind take at least.
    """

    width: int
    height: int
    components: int
    least_bytes: int


def read_frame(file: BinaryIO) -> Frame:
    """Read the first frame header of a file or stream that is positioned at its start.

    Raises:
        CorruptImage: there is none before the first scan.
    """
    file.seek(2)
    while (marker := _next_marker(file)) != _START_OF_SCAN:
        if marker in _WITHOUT_LENGTH:
            continue
        (length,) = struct.unpack(">H", _exactly(file, 2))
        if marker in _START_OF_FRAME:
            return _frame(marker, _exactly(file, max(0, length - 2)))
        file.seek(max(0, length - 2), 1)
    raise CorruptImage("has damaged JPEG data")


def _next_marker(file: BinaryIO) -> int:
    """Return the next marker; a little of anything else before it is passed over."""
    before = b""
    for _ in range(_MOST_FILLING):
        byte = _exactly(file, 1)
        if before == b"\xff" and byte not in (b"\xff", b"\x00"):
            return byte[0]
        before = byte
    raise CorruptImage("has damaged JPEG data")


def _frame(marker: int, header: bytes) -> Frame:
    try:
        _, height, width, count = struct.unpack_from(">BHHB", header)
        samplings = [divmod(header[7 + 3 * index], 16) for index in range(count)]
    except (struct.error, IndexError) as error:
        raise CorruptImage("has damaged JPEG data") from error
    if not samplings or not all(x and y for x, y in samplings):
        raise CorruptImage("has damaged JPEG data")
    unit = _LOSSLESS_UNIT if marker in _LOSSLESS else _BLOCK
    most_x, most_y = (max(each) for each in zip(*samplings, strict=True))
    units = sum(
        -(-width * x // (unit * most_x)) * -(-height * y // (unit * most_y)) for x, y in samplings
    )
    return Frame(
        width=width,
        height=height,
        components=count,
        least_bytes=units * _least_bits(marker) // 8,
    )


def _least_bits(marker: int) -> int:
    """Return the bits that a block, or a sample of lossless JPEG, takes at least.

    Huffman codes have at least one bit. A block has one for its mean and, unless progressive, one
    that ends it; progressive JPEG ends up to 32,767 blocks with one code. Of arithmetic coding
    there is no such bound.
    """
    if marker in _SEQUENTIAL:
        return 2
    return 1 if marker in _PROGRESSIVE | _LOSSLESS else 0


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise CorruptImage("has damaged JPEG data")
    return data
