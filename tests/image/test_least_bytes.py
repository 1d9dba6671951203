"""What a file's bytes cannot hold is refused; pictures of one colour, however large, are not."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import imagecodecs
import numpy as np
import OpenEXR
import pytest
import tifffile
from PIL import Image

from restore.errors import CorruptImage
from restore.image.codec import SampleEncoding
from restore.image.decode import decode
from restore.image.exr import _attributes, write_exr
from restore.image.jpeg_frame import read_frame
from restore.image.picture import Picture, Transfer
from restore.image.rgbe import write_rgbe
from restore.image.tiff_least import stored_bytes

SIZES = [(1, 1), (3, 7), (5000, 1), (1, 5000), (1100, 900)]
"""Widths and heights."""

Encode = Callable[[int, int], bytes]


def pillow(mode: str, kind: str, **options: Any) -> Encode:
    def encode(width: int, height: int) -> bytes:
        file = io.BytesIO()
        Image.new(mode, (width, height)).save(file, kind, **options)
        return file.getvalue()

    return encode


def tiff(channels: int = 3, dtype: Any = np.uint8, **options: Any) -> Encode:
    def encode(width: int, height: int) -> bytes:
        file = io.BytesIO()
        shape = (height, width, channels) if channels > 1 else (height, width)
        photometric = "rgb" if channels == 3 else "minisblack"
        settings = {"photometric": photometric, "rowsperstrip": height} | options
        if "tile" in options:
            del settings["rowsperstrip"]
        tifffile.imwrite(file, np.zeros(shape, dtype), **settings)
        return file.getvalue()

    return encode


def light(width: int, height: int) -> Picture:
    return Picture(
        pixels=np.zeros((3, height, width), np.float32),
        transfer=Transfer.LINEAR,
        is_float=True,
        bit_depth=32,
    )


def exr(compression: int, dtype: Any = np.float32) -> Encode:
    def encode(width: int, height: int) -> bytes:
        file = io.BytesIO()
        header = {"compression": compression, "type": OpenEXR.scanlineimage}
        planes = {name: np.zeros((height, width), dtype) for name in "RGB"}
        with OpenEXR.File(header, planes) as opened:
            opened.write(file)
        return file.getvalue()

    return encode


def png(depth: int, colour: int, channels: int, *, interlacing: int = 0) -> Encode:
    def encode(width: int, height: int) -> bytes:
        row = 1 + (width * depth * channels + 7) // 8
        rows = bytes(height * row)
        if interlacing:  # any seven passes of zeros take a few bytes more
            rows += bytes(height * row + 64)
        parts = [
            (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlacing)),
            (b"IDAT", zlib.compress(rows, 9)),
            (b"IEND", b""),
        ]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in parts
        )

    return encode


def run_length_bmp(width: int, height: int) -> bytes:
    row = b"".join(bytes([min(255, width - x), 0]) for x in range(0, width, 255)) + b"\0\0"
    return bmp(width, height, 8, 1, row * height + b"\0\1")


def bmp(width: int, height: int, bits: int, compression: int, body: bytes) -> bytes:
    start = 14 + 40 + 1024
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 256, 0)
    return (
        b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + bytes(1024) + body
    )


def plain_pgm(width: int, height: int) -> bytes:
    return b"P2 %d %d 1\n" % (width, height) + b"0 " * (width * height - 1) + b"0"


def flat() -> Iterator[Any]:
    """Yield encoders, each at the compression that makes the smallest files."""
    for mode in ("L", "RGB"):
        for sampling in (0, 2):
            for progressive in (False, True):
                options: dict[str, Any] = {"quality": 1, "optimize": True}
                options |= {"subsampling": sampling, "progressive": progressive}
                name = f"jpeg-{mode}-{sampling}-{progressive}"
                yield pytest.param(pillow(mode, "JPEG", **options), id=name)
    for quality, method in ((0, 0), (100, 4)):
        options = {"quality": quality, "method": method}
        yield pytest.param(pillow("RGB", "WEBP", **options), id=f"webp-{quality}")
        lossless = pillow("RGBA", "WEBP", lossless=True, **options)
        yield pytest.param(lossless, id=f"webp-lossless-{quality}")
    yield pytest.param(pillow("RGB", "AVIF", quality=0, speed=10), id="avif")
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield pytest.param(pillow(mode, "BMP"), id=f"bmp-{mode}")
        yield pytest.param(pillow(mode, "PNG", optimize=True), id=f"png-pillow-{mode}")
    yield pytest.param(run_length_bmp, id="bmp-rle")
    for depth in (1, 2, 4, 8, 16):
        yield pytest.param(png(depth, 0, 1), id=f"png-gray-{depth}")
    for depth in (8, 16):
        yield pytest.param(png(depth, 6, 4), id=f"png-rgba-{depth}")
        yield pytest.param(png(depth, 2, 3, interlacing=1), id=f"png-interlaced-{depth}")
    for mode in ("L", "RGB"):
        yield pytest.param(pillow(mode, "PPM"), id=f"ppm-{mode}")
    yield pytest.param(
        lambda width, height: (
            b"P2 %d %d 1\n" % (width, height) + b"0 " * (width * height - 1) + b"0"
        ),
        id="pgm-plain",
    )
    for compression in ("group3", "group4", "tiff_ccitt"):
        yield pytest.param(pillow("1", "TIFF", compression=compression), id=f"tiff-{compression}")
    every = (None, "lzw", "deflate", "packbits", "lzma", "zstd", "jpeg", "jpeg2000", "webp")
    for compression in every:
        yield pytest.param(tiff(compression=compression), id=f"tiff-{compression}")
        tiled = tiff(compression=compression, tile=(256, 256))
        yield pytest.param(tiled, id=f"tiff-{compression}-tiles")
    for dtype in (np.bool_, np.uint16, np.float32):
        name = np.dtype(dtype).name
        channels = 1 if dtype is np.bool_ else 3
        for compression in ("deflate", "zstd"):
            packed = tiff(channels, dtype, compression=compression)
            yield pytest.param(packed, id=f"tiff-{name}-{compression}")
    for name in ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB"):
        for dtype in (np.float16, np.float32):
            value = getattr(OpenEXR, f"{name}_COMPRESSION")
            yield pytest.param(exr(value, dtype), id=f"exr-{name}-{np.dtype(dtype).name}")
    yield pytest.param(
        lambda width, height: write_rgbe(light(width, height), SampleEncoding()), id="hdr"
    )


@pytest.mark.parametrize("encode", list(flat()))
def test_pictures_of_one_colour_are_read(encode: Encode) -> None:
    for width, height in SIZES:
        picture = decode(encode(width, height))
        assert (picture.width, picture.height) == (width, height)


def test_few_bytes_of_jpeg_do_not_hold_a_large_picture() -> None:
    data = bytearray(pillow("RGB", "JPEG")(8, 8))
    place = data.index(b"\xff\xc0") + 5
    struct.pack_into(">HH", data, place, 22_360, 22_360)
    with pytest.raises(CorruptImage, match="22360x22360 pixels take at least 2,930,208 bytes"):
        decode(bytes(data))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_the_bound_of_jpeg_is_close_to_what_the_smallest_files_have(
    subsampling: int, progressive: bool
) -> None:
    options = {"quality": 1, "optimize": True, "progressive": progressive}
    data = pillow("RGB", "JPEG", subsampling=subsampling, **options)(3001, 2001)
    least = read_frame(io.BytesIO(data)).least_bytes
    assert least < len(data) < (2.5 if progressive else 1.1) * least + 700


def test_some_bytes_before_a_marker_are_passed_over() -> None:
    data = pillow("L", "JPEG")(24, 16)
    padded = data[:2] + b"filling" + b"\xff\x00\xff\xff\xff" + data[2:]
    frame = read_frame(io.BytesIO(padded))
    assert (frame.width, frame.height, frame.components) == (24, 16, 1)
    for byte in (b"\x00", b"\xff"):
        with pytest.raises(CorruptImage):
            read_frame(io.BytesIO(data[:2] + 10_000 * byte + data[2:]))


def test_a_jpeg_without_a_whole_frame_header_is_damaged() -> None:
    data = pillow("L", "JPEG")(24, 16)
    frame = data.index(b"\xff\xc0")
    for stop in (2, 3, 20, frame, frame + 2, frame + 3, frame + 8):
        with pytest.raises(CorruptImage):
            read_frame(io.BytesIO(data[:stop]))


def test_lossy_webp_takes_some_bits_for_every_macroblock() -> None:
    data = bytearray(pillow("RGB", "WEBP")(16, 16))
    struct.pack_into("<HH", data, 26, 16_383, 6_000)
    with pytest.raises(CorruptImage, match="16383x6000 pixels take at least 144,000 bytes"):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("data", "least"),
    [
        (b"#?RADIANCE\n\n-Y 20000 +X 20000\n\2\2", "25,196,850"),
        (b"P6 20000 20000 255\n\0\0\0", "1,200,000,000"),
        (b"P3 20000 20000 255\n0 0 0", "2,399,999,999"),
        (bmp(20_000, 20_000, 24, 0, b""), "1,200,000,000"),
    ],
    ids=["hdr", "ppm", "plain ppm", "bmp"],
)
def test_few_bytes_of_other_formats_do_not_either(data: bytes, least: str) -> None:
    with pytest.raises(CorruptImage, match=f"20000x20000 pixels take at least {least} bytes"):
        decode(data)


@pytest.mark.parametrize("compression", ["lzw", "deflate", "packbits", "zstd", "lzma"])
def test_strips_at_one_place_do_not_hold_more_than_one(compression: str) -> None:
    file = io.BytesIO()
    rows = np.zeros((16, 4096), np.uint8)
    tifffile.imwrite(file, rows, compression=compression, rowsperstrip=16, contiguous=False)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as opened:
        page: Any = opened.pages.first
        offset, count = page.dataoffsets[0], page.databytecounts[0]
        number = int(page.compression)
    copies = 100_000
    data = one_strip(
        number, file.getvalue()[offset : offset + count], 4096, 16 * copies, 16, copies
    )
    with pytest.raises(CorruptImage, match="pixels take at least"):
        decode(data)


def one_strip(
    compression: int, strip: bytes, width: int, height: int, rows: int, copies: int
) -> bytes:
    """Return a TIFF all of whose strips lie at one place."""
    start = 8 + 2 + 8 * 12 + 4
    offsets = start + len(strip)
    counts = offsets + 4 * copies
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression),
        (262, 3, 1, 1), (273, 4, copies, offsets), (278, 4, 1, rows), (279, 4, copies, counts),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    places = struct.pack("<I", start) * copies + struct.pack("<I", len(strip)) * copies
    return b"II*\0" + struct.pack("<I", 8) + directory + strip + places


def test_bytes_that_strips_share_count_once() -> None:
    def stored(*places: tuple[int, int]) -> int:
        offsets, counts = zip(*places, strict=True)
        return stored_bytes(np.array(offsets, np.uint64), np.array(counts, np.uint64))

    assert stored((10, 5)) == 5
    assert stored((10, 5), (15, 5)) == 10
    assert stored((10, 5), (10, 5), (12, 10)) == 12
    assert stored((30, 1), (10, 100), (20, 5), (200, 7)) == 107


def test_plain_samples_that_go_on_in_the_next_part_are_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(0).integers(0, 256, 600)
    text = b"P2\n30 20\n255\n" + b" ".join(b"%d" % value for value in values)
    for part in (1, 2, 3, 7, 64):
        monkeypatch.setattr("restore.image.pnm._PART", part)
        pixels = decode(text).pixels
        np.testing.assert_allclose(pixels.ravel() * 255, values, atol=1e-4)


def test_exr_chunks_at_one_place_do_not_hold_more_than_one() -> None:
    data = bytearray(write_exr(light(4096, 1600), SampleEncoding(bit_depth=32, is_float=True)))
    file = io.BytesIO(data)
    file.seek(8)
    _attributes(file)
    table = file.tell()
    (offset,) = struct.unpack_from("<Q", data, table)
    for index in range(100):
        struct.pack_into("<Q", data, table + 8 * index, offset)
    with pytest.raises(CorruptImage, match="4096x1600 pixels take at least"):
        decode(bytes(data))


def test_imagecodecs_at_its_best_is_read() -> None:
    for data in (
        imagecodecs.png_encode(np.zeros((900, 1100, 3), np.uint8), level=9),
        imagecodecs.jpeg_encode(np.zeros((900, 1100, 3), np.uint8), level=1),
        imagecodecs.webp_encode(np.zeros((900, 1100, 3), np.uint8), level=0),
    ):
        assert decode(data).width == 1100
