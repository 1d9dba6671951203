"""Tags of other software stay in a TIFF; elsewhere they are told."""

import io
import struct

import numpy as np
import pytest
import tifffile

from restore.image.codec import AS_IT_CAME
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode, encode_rows
from restore.image.losses import losses

RGB = np.random.default_rng(1).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
IPTC = b"\x1c\x02\x74\x00\x03Ada\x00"
SCALE = (0.5, 0.25, 0.0)
TAGS = [
    (285, 2, 0, "Page A", True),
    (33550, 12, 3, SCALE, True),
    (33723, 7, len(IPTC), IPTC, True),
    (34377, 1, 8, bytes(range(8)), True),
    (34735, 3, 4, (1, 1, 0, 7), True),
    (42113, 2, 0, "-9999", True),
    (50123, 5, 1, (22, 7), True),
    (65001, 4, 2, (70_000, 1), True),
]


def tiff(extratags: list[tuple[object, ...]], **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, RGB, photometric="rgb", extratags=extratags, **options)
    return buffer.getvalue()


def values(data: bytes) -> dict[int, object]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages.first.tags
        return {tag: tags.valueof(tag) for tag, *_ in TAGS} | {282: tags.valueof(282)}


@pytest.mark.parametrize("options", [{"byteorder": "<"}, {"byteorder": ">"}, {"bigtiff": True}])
def test_private_tags_and_resolution_stay(options: dict[str, object]) -> None:
    source = tiff(TAGS, resolution=((3001, 10), (300, 1)), resolutionunit=2, **options)
    picture = decode(source)
    with losses() as lost:
        written = encode(picture, ImageFormat.TIFF)
    assert lost == []
    assert values(written) == values(source)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(written)), RGB)
    rows = io.BytesIO()
    encode_rows(rows, picture.rows(0, 0), picture.height, picture.rows, AS_IT_CAME)
    assert rows.getvalue() == written
    assert values(encode(decode(written), ImageFormat.TIFF)) == values(source)


def test_elsewhere_they_are_told() -> None:
    picture = decode(tiff(TAGS))
    with losses() as lost:
        encode(picture, ImageFormat.PNG)
    expected = "page name, GeoTIFF, IPTC, Photoshop settings, GDAL and 2 private TIFF tags"
    assert lost == [f"its {expected}"]


def test_stripped_tags_are_no_loss() -> None:
    with losses() as lost:
        written = encode(decode(tiff(TAGS)), ImageFormat.TIFF, strip_metadata=True)
    assert lost == []
    assert all(values(written)[tag] is None for tag, *_ in TAGS)


def test_smaller_versions_and_transfer_functions_are_left_out_with_a_line() -> None:
    file, pixels = io.BytesIO(), np.zeros((64, 64, 3), np.uint8)
    curve = (301, 3, 3 * 256, tuple(range(256)) * 3, True)
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(pixels, photometric="rgb", subifds=1, extratags=[curve])
        tiff.write(pixels[::2, ::2], photometric="rgb", subfiletype=1)
    with losses() as lost:
        encode(decode(file.getvalue()), ImageFormat.TIFF)
    assert lost == ["its further versions (SubIFDs)", "its transfer function"]


def test_layers_that_show_other_pixels_are_left_out_with_a_line() -> None:
    picture = decode(tiff([(37724, 7, 9, b"Adobe PSD", True), (65002, 13, 1, 8, True)]))
    with losses() as lost:
        written = encode(picture, ImageFormat.TIFF)
    assert lost == ["its Photoshop layers and 1 private TIFF tag"]
    assert b"Adobe PSD" not in written


def test_a_directory_of_any_size_is_no_harm() -> None:
    data = bytearray(tiff(TAGS))
    rng = np.random.default_rng(0)
    (start,) = struct.unpack_from("<I", data, 4)
    expected = decode(bytes(data)).pixels
    for _ in range(100):
        damaged = bytearray(data)
        # Counts and offsets of the tags above 34000, which say nothing about pixels.
        entries = [start + 2 + 12 * i for i in range(struct.unpack_from("<H", data, start)[0])]
        private = [e for e in entries if struct.unpack_from("<H", data, e)[0] > 34000]
        at = private[rng.integers(len(private))] + 4 + rng.integers(8)
        damaged[at] = rng.integers(256)
        picture = decode(bytes(damaged))
        np.testing.assert_array_equal(picture.pixels, expected)
        encode(picture, ImageFormat.TIFF)
