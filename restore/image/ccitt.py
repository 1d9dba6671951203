"""CCITT fax compression: whether a strip holds all the rows that it should.

Decoders fill up a strip that ends early with white, and do not say so. But a decoder that has all
its rows stops, whatever follows: only where rows are missing do bits that are appended change the
result. So a strip is decoded again with several continuations.
"""

import random
import re
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["lacks_rows"]

_END_OF_BLOCK = re.compile("0{11}1(?:1?0{11}1)+1?0*$")
"""Two or more codes for the end of a line; exactly 11 zeros, as more belong to the code before."""
_LINE = "000000000001" + "00110101" + "11"
"""The end of a line, a run of no white, and one of two black samples."""
_LAST_BYTES = 64
_CONTINUATION_BITS = 1 << 14
_CONTINUATIONS = 12


def lacks_rows(data: bytes, decode: Callable[[bytes], NDArray[np.uint8]]) -> bool:
    """Return whether a strip ends before its last row.

    Args:
        data: The strip, the most significant bit of each byte first.
        decode: Decodes a strip to as many rows as this one has.
    """
    rows = decode(data)
    head, tail = data[:-_LAST_BYTES], data[-_LAST_BYTES:]
    bits = f"{int.from_bytes(tail):0{8 * len(tail)}b}" if tail else ""
    bits = _END_OF_BLOCK.sub("", bits)
    return any(
        not np.array_equal(decode(head + _packed(bits + more)), rows) for more in _continuations()
    )


def _continuations() -> Iterator[str]:
    """Yield bits that draw something, in whichever state a decoder is."""
    yield "1" * _CONTINUATION_BITS
    yield _LINE * (_CONTINUATION_BITS // len(_LINE))
    for seed in range(_CONTINUATIONS):
        drawn = random.Random(seed)
        yield f"{drawn.getrandbits(_CONTINUATION_BITS):0{_CONTINUATION_BITS}b}"


def _packed(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)
