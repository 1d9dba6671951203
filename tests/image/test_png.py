"""PNG chunk by chunk."""

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from restore.errors import CorruptImage, InputError, OutputError, UnsupportedImage
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # fmt: skip  # noqa: E501


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    rows: bytes,
    *,
    size: tuple[int, int] = (8, 8),
    bits: int = 8,
    colour: int = 0,
    interlaced: bool = False,
    extra: bytes = b"",
) -> bytes:
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, interlaced)
    body = extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return SIGNATURE + chunk(b"IHDR", header) + body


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_missing_rows_are_noticed_though_every_checksum_fits(bits: int) -> None:
    row = b"\x00" + bytes(bits)
    assert decode(png(row * 8, bits=bits)).height == 8
    for interlaced in (False, True):
        with pytest.raises(CorruptImage):
            decode(png(row * 5, bits=bits, interlaced=interlaced))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (5, 3), (13, 21)])
def test_interlaced_16_bit_is_exact_and_silent(
    size: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    width, height = size
    samples = np.random.default_rng(0).integers(0, 65536, (height, width, 4)).astype(">u2")
    rows = bytearray()
    for x, y, step_x, step_y in ADAM7:
        for row in samples[y::step_y, x::step_x]:
            rows += b"\x00" + row.tobytes() if row.size else b""
    picture = decode(png(bytes(rows), size=size, bits=16, colour=6, interlaced=True))
    assert picture.alpha is not None
    seen = np.rint(np.dstack([*picture.pixels, picture.alpha]) * 65535)
    np.testing.assert_array_equal(seen, samples)
    assert capfd.readouterr().err == ""


def test_16_bit_transparent_colour_becomes_alpha() -> None:
    rows = b"\x00" + struct.pack(">2H", 1000, 2000)
    source = png(rows, size=(2, 1), bits=16, extra=chunk(b"tRNS", struct.pack(">H", 2000)))
    picture = decode(source)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[1, 0]]


def test_colours_outside_the_palette_are_black(capfd: pytest.CaptureFixture[str]) -> None:
    rows = (b"\x00" + bytes([0, 9] * 4)) * 8
    picture = decode(png(rows, colour=3, extra=chunk(b"PLTE", b"\xff\x80\x00")))
    np.testing.assert_array_equal(np.rint(picture.pixels[:, 0, 0] * 255), [255, 128, 0])
    assert not picture.pixels[:, :, 1].any()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "damaged",
    [
        SIGNATURE,
        SIGNATURE + chunk(b"IEND", b""),
        png(b"", bits=3),
        png(b"", colour=5),
        png((b"\x00" + bytes(8)) * 8, colour=3),
        png((b"\x00" + bytes(8)) * 8, colour=3, extra=chunk(b"PLTE", b"\x00\x00")),
        png((b"\x09" + bytes(8)) * 8),
        png((b"\x00" + bytes(8)) * 8)[:-12],
        png((b"\x00" + bytes(8)) * 8).replace(b"IDAT", b"JDAT"),
    ],
)
def test_damage_is_refused(damaged: bytes) -> None:
    with pytest.raises(CorruptImage, match="standard input: "):
        decode(damaged)


def test_sides_beyond_what_libpng_takes_are_refused() -> None:
    with pytest.raises(UnsupportedImage, match="1,000,000"):
        decode(png(b"", size=(1_000_001, 1)))


def test_blocks_of_several_megabytes_survive() -> None:
    """Pillow by itself refuses such files."""
    noise = np.random.default_rng(0).bytes(3 << 20)
    picture = Picture(pixels=np.zeros((1, 2, 2), np.float32), icc=noise, xmp=b"<x>" + noise)
    result = decode(encode(picture, ImageFormat.PNG))
    assert result.icc == noise
    assert result.xmp == b"<x>" + noise


def test_compressed_xmp_is_read() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x>ü</x>", zip=True)
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "PNG", pnginfo=text)
    assert decode(buffer.getvalue()).xmp == "<x>ü</x>".encode()


def test_gamma_and_resolution_go_back_where_they_came_from() -> None:
    stored = chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(
        b"pHYs", b"\0\0\x0b\x13\0\0\x0b\x13\1"
    )
    picture = decode(png((b"\x00" + bytes(8)) * 8, extra=stored))
    for bit_depth in (8, 16):
        with Image.open(io.BytesIO(encode(picture, ImageFormat.PNG, bit_depth=bit_depth))) as image:
            assert image.info["gamma"] == 1.0
            assert image.info["dpi"] == pytest.approx((72, 72), abs=0.1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (129, 65), (700, 900)])
def test_what_is_written_is_what_libpng_reads(
    size: tuple[int, int], count: int, dtype: type[np.unsignedinteger[Any]]
) -> None:
    peak = np.iinfo(dtype).max
    samples = np.random.default_rng(0).integers(0, peak + 1, (*size, count)).astype(dtype)
    planes = samples.transpose(2, 0, 1).astype(np.float32) / np.float32(peak)
    alpha = planes[-1] if count in (2, 4) else None
    picture = Picture(pixels=planes[: 1 if count < 3 else 3], alpha=alpha, bit_depth=8)
    data = encode(picture, ImageFormat.PNG, bit_depth=8 * samples.itemsize)
    np.testing.assert_array_equal(imagecodecs.png_decode(data).reshape(samples.shape), samples)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if dtype is np.uint8:
            np.testing.assert_array_equal(np.asarray(image).reshape(samples.shape), samples)


def test_sides_that_nobody_reads_are_not_written() -> None:
    picture = Picture(pixels=np.zeros((1, 1, 1_000_001), np.float32), bit_depth=8)
    with pytest.raises(OutputError, match="PNG holds at most 1000000 pixels a side"):
        encode(picture, ImageFormat.PNG)


def test_a_profile_that_is_a_bomb_is_refused() -> None:
    bomb = b"x\x00\x00" + zlib.compress(bytes(65 << 20))
    with pytest.raises(UnsupportedImage, match="colour profile of more than 4 MiB"):
        decode(png((b"\x00" + bytes(8)) * 8, extra=chunk(b"iCCP", bomb)))


def test_cut_anywhere_is_refused() -> None:
    whole = png((b"\x00" + bytes(range(8))) * 8)
    for length in range(8, len(whole)):
        with pytest.raises(InputError):
            decode(whole[:length])
