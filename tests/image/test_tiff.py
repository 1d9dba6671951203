"""TIFF in its many ways to be stored, damaged and tagged."""

import io
import struct
import warnings
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.errors import CorruptImage, InputError, UnsupportedImage
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture

GRAY = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def patched(data: bytes, tag: int, index: int, value: int) -> bytes:
    """Return a classic little-endian TIFF with one number of a tag replaced."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        entry = file.pages.first.tags[tag]
        kind = "<H" if entry.dtype == 3 else "<I"
        offset = entry.valueoffset + index * struct.calcsize(kind)
    edited = bytearray(data)
    struct.pack_into(kind, edited, offset, value)
    return bytes(edited)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd", "lzma"])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 32)}, {"rowsperstrip": 7}])
def test_every_lossless_compression_and_layout_is_exact(
    compression: str | None, layout: dict[str, object]
) -> None:
    picture = decode(tiff(RGB, photometric="rgb", compression=compression, **layout))
    np.testing.assert_array_equal(np.rint(picture.pixels * 255), RGB.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["jpeg", "tiff_adobe_deflate", "group4"])
def test_what_libtiff_writes_is_read_as_pillow_reads_it(kind: str) -> None:
    image = Image.fromarray(RGB).resize((64, 48)).convert("1" if kind == "group4" else "RGB")
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=kind)
    with Image.open(io.BytesIO(buffer.getvalue())) as image:
        expected = np.asarray(image.convert("L" if kind == "group4" else "RGB"))
    seen = np.rint(decode(buffer.getvalue()).pixels * 255).transpose(1, 2, 0)
    tolerance = 3 if kind == "jpeg" else 0
    np.testing.assert_allclose(seen, expected.reshape(seen.shape), atol=tolerance)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_scaled_to_full_range(bits: int) -> None:
    samples = GRAY >> (8 - bits)
    picture = decode(tiff(samples, photometric="minisblack", bitspersample=bits))
    np.testing.assert_allclose(picture.pixels[0], samples / (2**bits - 1), atol=1e-7)
    assert picture.bit_depth == 8


def test_white_is_zero_holds_for_floats_too() -> None:
    picture = decode(tiff(np.float32(GRAY) / 255, photometric="miniswhite"))
    np.testing.assert_allclose(picture.pixels[0], 1 - GRAY / 255, atol=1e-6)


def test_a_thumbnail_beside_the_picture_is_left_out() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(RGB, photometric="rgb")
        writer.write(RGB[::4, ::4], photometric="rgb", subfiletype=1)
    assert decode(buffer.getvalue()).width == 50


@pytest.mark.parametrize(
    "source",
    [
        tiff(RGB, photometric="ycbcr", compression="lzw"),
        tiff(RGB, photometric="cielab"),
        tiff(np.dstack([RGB, RGB]), photometric="rgb"),
        tiff(RGB, photometric="rgb", compression="jpegxl"),
        tiff(np.stack([GRAY] * 40), photometric="minisblack", volumetric=True),
    ],
    ids=["ycbcr", "lab", "six samples", "jpegxl", "volume"],
)
def test_what_would_be_read_wrongly_is_refused(source: bytes) -> None:
    with pytest.raises(UnsupportedImage):
        decode(source)


@pytest.mark.parametrize("tag", [273, 279], ids=["offset", "byte count"])
@pytest.mark.parametrize("value", [0, 60000], ids=["none", "beyond the file"])
def test_missing_strips_are_refused_and_not_black(tag: int, value: int) -> None:
    source = tiff(RGB, photometric="rgb", rowsperstrip=10)
    with pytest.raises(CorruptImage):
        decode(patched(source, tag, 2, value))


def test_a_strip_that_unpacks_to_too_few_rows_is_refused() -> None:
    source = tiff(RGB, photometric="rgb", compression="zlib", rowsperstrip=40)
    short = zlib.compress(bytes(50 * 3 * 20))
    source = patched(patched(source, 273, 0, len(source)), 279, 0, len(short)) + short
    with pytest.raises(CorruptImage):
        decode(source)


def test_a_strip_that_claims_gigabytes_is_refused_before_memory_is_taken() -> None:
    source = tiff(RGB, photometric="rgb", compression="jpeg", rowsperstrip=40)
    stream = imagecodecs.jpeg8_encode(RGB)
    frame = stream.index(b"\xff\xc0")
    bomb = stream[: frame + 5] + struct.pack(">HH", 65500, 65500) + stream[frame + 9 :]
    source = patched(patched(source, 273, 0, len(source)), 279, 0, len(bomb)) + bomb
    with pytest.raises(CorruptImage, match="larger than it says"):
        decode(source)


def test_cut_anywhere_is_refused() -> None:
    """With the directory at the end, as libtiff writes it, and at the beginning."""
    buffer = io.BytesIO()
    Image.fromarray(RGB[:9, :9]).save(buffer, "TIFF", compression="tiff_lzw")
    for whole in (buffer.getvalue(), tiff(RGB[:9, :9], photometric="rgb", compression="zlib")):
        expected = decode(whole)
        for length in range(8, len(whole)):
            try:
                picture = decode(whole[:length])
            except InputError:
                continue
            np.testing.assert_array_equal(picture.pixels, expected.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_stays_a_tag_of_its_own(orientation: int) -> None:
    source = tiff(RGB, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    picture = decode(source)
    assert picture.orientation == orientation
    written = encode(picture, ImageFormat.TIFF)
    with Image.open(io.BytesIO(written)) as image:
        assert image.getexif().get(274, 1) == orientation
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written)), RGB)
    assert decode(encode(picture, ImageFormat.PNG)).orientation == orientation


def test_orientation_of_bigtiff_is_kept() -> None:
    tags = [(274, 3, 1, 6, True)]
    picture = decode(tiff(RGB, photometric="rgb", bigtiff=True, extratags=tags))
    assert decode(encode(picture, ImageFormat.PNG)).orientation == 6


def test_resolution_author_and_copyright_survive() -> None:
    texts = [(315, 2, 0, "Zoë".encode(), True), (33432, 2, 0, b"CC0", True)]
    source = tiff(
        RGB, photometric="rgb", resolution=((300, 1), (3001, 10)), resolutionunit=2, extratags=texts
    )
    with tifffile.TiffFile(io.BytesIO(encode(decode(source), ImageFormat.TIFF))) as written:
        tags = written.pages.first.tags
        assert tags.valueof(282) == (300, 1)
        assert tags.valueof(283) == (3001, 10)
        assert tags.valueof(296) == 2
        assert tags.valueof(315) == "Zoë"
        assert tags.valueof(33432) == "CC0"


def test_damaged_exif_costs_neither_the_picture_nor_a_warning() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a maker with a long name"
    block = bytearray(exif.tobytes()[6:])
    struct.pack_into("<I", block, 8 + 2 + 8, 1 << 30)
    picture = Picture(pixels=np.zeros((3, 4, 4), np.float32), exif=bytes(block))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for image_format in (ImageFormat.TIFF, ImageFormat.AVIF, ImageFormat.JPEG):
            assert decode(encode(picture, image_format)).width == 4


def test_other_software_reads_every_depth() -> None:
    for dtype in (np.uint8, np.uint16, np.float16, np.float32):
        picture = decode(tiff(RGB.astype(dtype), photometric="rgb"))
        seen = tifffile.imread(io.BytesIO(encode(picture, ImageFormat.TIFF)))
        assert seen.dtype == dtype
        np.testing.assert_array_equal(seen, RGB)
