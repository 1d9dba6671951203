"""Damaged copies of a file, the same ones for the same seed."""

import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

__all__ = ["mutant"]

_HEADER = 512
_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_INTEGERS = (0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NUMBERS = (
    *(b"0", b"-1", b"1", b"3", b"255", b"65536", b"4294967295", b"99999999999999999999"),
    *(b"1e308", b"-1e309", b"NaN", b"Infinity", b"0.5", b"null", b"true", b'"x"', b"[]", b"{}"),
)
_PNG = b"\x89PNG\r\n\x1a\n"

_Change = Callable[[bytearray, random.Random], None]


def mutant(whole: bytes, others: Sequence[bytes], recipe: str) -> bytes:
    """Return a damaged copy of ``whole``.

    Checksums and lengths that would give the damage away at once are right again in half of the
    copies, so that damage reaches what lies behind them.

    Args:
        whole: the file.
        others: files of the same kind, of which pieces may come in.
        recipe: seed; the same one returns the same copy.
    """
    rng = random.Random(recipe)
    seemingly_whole = rng.random() < 0.5
    if seemingly_whole and whole.startswith(_PNG):
        return _with_checksums(_changed(whole, others, rng))
    if seemingly_whole and whole.startswith(b"PK"):
        return _with_a_changed_member(whole, rng)
    if seemingly_whole and whole[8:9] == b"{":
        return _with_a_changed_head(whole, rng)
    return _changed(whole, others, rng)


def _changed(whole: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(_CHANGES)(data, rng)
    if others and rng.random() < 0.05:
        other = rng.choice(others)
        data[_place(data, rng) :] = other[rng.randrange(len(other)) :]
    return bytes(data)


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a position; headers say more than samples do, so half of them lie there."""
    end = len(data) if rng.random() < 0.5 else min(len(data), _HEADER)
    return rng.randrange(end) if end else 0


def _piece(data: bytearray, rng: random.Random) -> slice:
    start = _place(data, rng)
    return slice(start, start + rng.choice((1, 2, 4, 12, 64, 1000)))


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set_byte(data: bytearray, rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.choice(_BYTES)


def _set_integer(data: bytearray, rng: random.Random) -> None:
    size, letter = rng.choice(((2, "H"), (4, "I"), (8, "Q")))
    start = _place(data, rng)
    value = rng.choice(_INTEGERS) & (256**size - 1)
    data[start : start + size] = struct.pack(f"{rng.choice('<>')}{letter}", value)


def _set_number(data: bytearray, rng: random.Random) -> None:
    """Replace a number that is written out, as in JSON and in text headers."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", data[: 64 * _HEADER]))
    if found:
        start, end = rng.choice(found).span()
        data[start:end] = rng.choice(_NUMBERS)


def _cut_end(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _cut_piece(data: bytearray, rng: random.Random) -> None:
    del data[_piece(data, rng)]


def _zero_piece(data: bytearray, rng: random.Random) -> None:
    piece = _piece(data, rng)
    data[piece] = bytes(len(data[piece]))


def _repeat_piece(data: bytearray, rng: random.Random) -> None:
    piece = _piece(data, rng)
    data[piece.start : piece.start] = data[piece] * rng.choice((1, 1, 2, 50))


def _move_piece(data: bytearray, rng: random.Random) -> None:
    piece = _piece(data, rng)
    taken = data[piece]
    del data[piece]
    at = _place(data, rng)
    data[at:at] = taken


def _insert_noise(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = rng.randbytes(rng.choice((1, 2, 4, 100)))


_CHANGES: tuple[_Change, ...] = (
    _flip,
    _flip,
    _set_byte,
    _set_integer,
    _set_integer,
    _set_number,
    _cut_end,
    _cut_piece,
    _zero_piece,
    _repeat_piece,
    _move_piece,
    _insert_noise,
)


def _with_checksums(png: bytes) -> bytes:
    """Return a PNG with the right checksum in every chunk, as far as lengths can be followed."""
    data, start = bytearray(png), len(_PNG)
    while start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[start + 4 : end]))
        start = end + 4
    return bytes(data)


def _with_a_changed_member(archive: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    name = rng.choice(list(members))
    members[name] = _changed(members[name], list(members.values()), rng)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as to:
        for name, data in members.items():
            to.writestr(zipfile.ZipInfo(name), data)
    return packed.getvalue()


def _with_a_changed_head(tensors: bytes, rng: random.Random) -> bytes:
    """Return a safetensors file with another header, whose length is stated rightly."""
    end = 8 + int.from_bytes(tensors[:8], "little")
    head = bytearray(tensors[8:end])
    for _ in range(rng.choice((1, 2))):
        rng.choice((_set_number, _set_number, _flip, _set_byte, _cut_piece, _move_piece))(head, rng)
    return struct.pack("<Q", len(head)) + head + tensors[end:]
