"""TIFF files that are read part by part are the pictures that `decode` reads."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.errors import CorruptImage, ImageTooLarge
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.damage import keeping_damaged, noting_damage
from restore.image.decode import decode
from restore.image.encode import encode, encode_rows
from restore.image.limits import limited
from restore.image.picture import Picture
from restore.image.tiff_regions import OutOfCorePicture, open_out_of_core

HEIGHT, WIDTH = 300, 250
PARTS = [
    (slice(0, 20), slice(0, WIDTH)),
    (slice(10, 40), slice(5, 40)),
    (slice(30, 190), slice(33, 175)),
    (slice(HEIGHT - 1, HEIGHT), slice(WIDTH - 1, WIDTH)),
    (slice(0, HEIGHT), slice(0, WIDTH)),
]


def samples(count: int, dtype: str = "uint8") -> np.ndarray:
    peak = 1 if dtype == "float32" else np.iinfo(dtype).max
    values = np.random.default_rng(0).random((HEIGHT, WIDTH, count)) * peak
    return values.astype(dtype)[..., 0] if count == 1 else values.astype(dtype)


def out_of_core(path: Path, *, budget: int = 900_000) -> OutOfCorePicture | None:
    return open_out_of_core(path, workplace=path.parent, budget_bytes=budget)


def assert_reads_as_whole(path: Path) -> None:
    whole, source = decode(path), out_of_core(path)
    assert source is not None
    assert (source.height, source.width) == (whole.height, whole.width)
    assert beside_pixels(source.like) == beside_pixels(whole)
    with source.opened() as read:
        for rows, columns in PARTS:
            part = read((rows, columns))
            np.testing.assert_array_equal(part.pixels, whole.pixels[:, rows, columns])
            if whole.alpha is None:
                assert part.alpha is None
            else:
                np.testing.assert_array_equal(part.alpha, whole.alpha[rows, columns])


def beside_pixels(picture: Picture) -> dict[str, object]:
    return {key: value for key, value in vars(picture).items() if key not in ("pixels", "alpha")}


@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 32)}], ids=str)
def test_every_layout_and_compression(
    tmp_path: Path, layout: dict[str, object], compression: str | None, big: bool
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples(3),
        photometric="rgb",
        bigtiff=big,
        compression=compression,
        predictor=compression is not None,
        **layout,
    )
    assert_reads_as_whole(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_kind_of_sample(tmp_path: Path, byteorder: str, count: int, dtype: str) -> None:
    kind = "minisblack" if count < 3 else "rgb"
    alpha = {"extrasamples": ["unassalpha"], "planarconfig": "contig"} if count % 2 == 0 else {}
    tifffile.imwrite(
        tmp_path / "a.tif", samples(count, dtype), photometric=kind, byteorder=byteorder, **alpha
    )
    assert_reads_as_whole(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 7}, {"tile": (16, 32)}], ids=str)
def test_planes_one_after_the_other(
    tmp_path: Path, layout: dict[str, object], compression: str | None
) -> None:
    planes = np.moveaxis(samples(3), -1, 0)
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options, **layout)
    assert_reads_as_whole(tmp_path / "a.tif")


def test_palettes_and_white_as_zero(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 1 << 16, (3, 256), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples(1), photometric="palette", colormap=colours)
    assert_reads_as_whole(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", samples(1), photometric="miniswhite")
    assert_reads_as_whole(tmp_path / "b.tif")


def test_jpeg_in_tiff(tmp_path: Path) -> None:
    options = {"photometric": "ycbcr", "compression": "jpeg"}
    tifffile.imwrite(tmp_path / "a.tif", samples(3), tile=(16, 32), **options)
    assert_reads_as_whole(tmp_path / "a.tif")
    Image.fromarray(samples(3)).save(tmp_path / "b.tif", compression="jpeg", strip_size=12_000)
    assert_reads_as_whole(tmp_path / "b.tif")


def test_what_stands_beside_the_pixels_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8769)[0x829A] = 0.01
    picture = Picture(
        pixels=np.zeros((3, 64, 1 << 14), np.float32),
        icc=b"profile of some kind",
        xmp=b"<x/>",
        exif=exif.tobytes()[6:],
        orientation=6,
    )
    (tmp_path / "a.tif").write_bytes(encode(picture, ImageFormat.TIFF))
    whole = decode(tmp_path / "a.tif")
    assert whole.exif
    source = out_of_core(tmp_path / "a.tif", budget=20_000_000)
    assert source is not None
    assert beside_pixels(source.like) == beside_pixels(whole)


def test_a_file_is_written_by_rows_as_at_once(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        samples(4),
        photometric="rgb",
        extrasamples=["unassalpha"],
        tile=(16, 16),
    )
    whole = decode(tmp_path / "a.tif")
    for options in ({}, {"bit_depth": 16}, {"bit_depth": 32}, {"strip_metadata": True}):
        file = io.BytesIO()
        encode_rows(file, whole.rows(0, 0), whole.height, whole.rows, WriteOptions(**options))
        assert file.getvalue() == encode(whole, ImageFormat.TIFF, **options)


def test_what_is_small_or_does_not_come_in_parts_is_left_to_decode(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", samples(3), photometric="rgb", rowsperstrip=8)
    assert out_of_core(tmp_path / "a.tif", budget=3_000_000) is None
    tifffile.imwrite(
        tmp_path / "b.tif", samples(3), photometric="rgb", rowsperstrip=HEIGHT, compression="zlib"
    )
    assert out_of_core(tmp_path / "b.tif") is None
    Image.fromarray(samples(3)).save(tmp_path / "c.png")
    assert out_of_core(tmp_path / "c.png") is None


def test_the_limit_on_pixels_holds(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", samples(3), photometric="rgb", rowsperstrip=8)
    with (
        limited(70_000),
        pytest.raises(ImageTooLarge, match=r"a\.tif: has 250x300 pixels, the limit is 70,000"),
    ):
        out_of_core(tmp_path / "a.tif")


@pytest.mark.parametrize("layout", [{"rowsperstrip": 8}, {"tile": (16, 32)}], ids=str)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_damaged_parts_are_told_and_kept_as_in_memory(
    tmp_path: Path, layout: dict[str, object], planar: str
) -> None:
    path = with_damage(tmp_path / "a.tif", [5, 9], planarconfig=planar, **layout)
    with pytest.raises(CorruptImage) as refused:
        decode(path)
    with pytest.raises(CorruptImage, match=r"a\.tif: is damaged or cut short \(2 of ") as early:
        out_of_core(path)
    assert str(early.value) == str(refused.value)
    with keeping_damaged(True), noting_damage() as noted:
        assert_reads_as_whole(path)
        assert noted == {str(path): decode(path).damaged}


def test_a_file_of_which_nothing_can_be_decoded_is_not_kept(tmp_path: Path) -> None:
    path = with_damage(tmp_path / "a.tif", range(38), rowsperstrip=8)
    for read in (decode, out_of_core):
        with keeping_damaged(True), pytest.raises(CorruptImage, match=r"a\.tif: is damaged"):
            read(path)


def with_damage(path: Path, indices: Iterable[int], **options: Any) -> Path:
    """Write a deflate TIFF of which some strips or tiles cannot be decoded."""
    pixels = samples(3)
    if options.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", **options)
    with tifffile.TiffFile(path) as tiff:
        offsets = tiff.pages.first.dataoffsets
    data = bytearray(path.read_bytes())
    for index in indices:
        data[offsets[index] : offsets[index] + 50] = bytes(50)
    path.write_bytes(data)
    return path
