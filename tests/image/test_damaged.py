"""Pictures of which a part is missing are refused, or kept and said to be damaged."""

import io
import itertools
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.anomaly.part import read_part
from restore.errors import CorruptImage
from restore.image.damage import keeping_damaged, noting_damage
from restore.image.decode import decode
from restore.image.jpeg_samples import _segments
from restore.image.tiff_regions import open_out_of_core

END = b"\xff\xd9"
START_OF_SCAN = 0xDA


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """uint8 ``[240, 320, 3]`` with detail everywhere."""
    with Image.open(Path(__file__).parents[1] / "data" / "casa-mila.png") as image:
        return np.asarray(image.convert("RGB").resize((320, 240)))


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90, **options)
    return file.getvalue()


def is_refused(data: bytes | Path) -> bool:
    try:
        decode(data)
    except CorruptImage:
        return True
    return False


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}])
@pytest.mark.parametrize("end", [b"", END], ids=["cut", "closed"])
def test_half_a_jpeg_is_refused_unless_it_is_asked_for(
    photo: np.ndarray, options: dict[str, object], end: bytes
) -> None:
    whole = jpeg(photo, **options)
    half = whole[: len(whole) // 2] + end
    with pytest.raises(CorruptImage, match=r"cut short.*; keep_damaged=True takes what is there"):
        decode(half)
    kept = decode(half, keep_damaged=True)
    assert "cut short" in kept.damaged
    if "progressive" not in options:
        np.testing.assert_array_equal(kept.pixels[:, :80], decode(whole).pixels[:, :80])


def test_gray_jpegs_are_judged_alike(photo: np.ndarray) -> None:
    whole = jpeg(photo[..., 1])
    assert decode(whole).channels == 1
    assert is_refused(whole[: len(whole) // 2] + END)


def test_a_progressive_jpeg_that_lacks_scans_is_refused(photo: np.ndarray) -> None:
    whole = jpeg(photo, progressive=True)
    starts = [segment.start for segment in _segments(whole) if segment.marker == START_OF_SCAN]
    tables = [segment.start for segment in _segments(whole) if segment.marker == 0xC4]
    assert len(starts) > 5
    for before, start in itertools.pairwise(starts):
        cut = next((each for each in tables if before < each < start), start)
        assert is_refused(whole[:cut] + END)
    assert not decode(whole).damaged


def test_a_lost_restart_interval_is_noticed(photo: np.ndarray) -> None:
    whole = jpeg(photo, restart_marker_rows=1)
    first, second = (whole.index(bytes((0xFF, marker))) for marker in (0xD2, 0xD3))
    assert not is_refused(whole)
    assert is_refused(whole[:first] + whole[second:])


def test_data_after_the_last_pixel_are_a_sign_of_damage(photo: np.ndarray) -> None:
    whole = jpeg(photo)
    assert is_refused(whole[:-2] + np.random.default_rng(0).bytes(400).replace(b"\xff", b"") + END)


def harmless(whole: bytes) -> dict[str, bytes]:
    """Return files with all pixels of which libjpeg warns, or that other readers refuse."""
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x07"
    return {
        "bytes after the end": whole + b"and a thumbnail" + END,
        "zeros before the end": whole[:-2] + bytes(500) + END,
        "ones before the end": whole[:-2] + b"\xff" * 500 + END,
        "no end": whole[:-2],
        "blanks between segments": whole[:20] + b"   " + whole[20:],
        "many blanks": whole[:20] + 9 * b"   \xff\xfe\x00\x03c" + whole[20:],
        "a damaged profile": whole[:20] + b"\xff\xe2\x00\x12ICC_PROFILE\0\x03\x02ab" + whole[20:],
        "a JFIF of the future": whole.replace(b"JFIF\x00\x01", b"JFIF\x00\x07"),
        "an Adobe of the future": whole[:20] + adobe + whole[20:],
        "several": whole[:20] + adobe + b"   " + whole[20:-2] + bytes(9) + END,
    }


@pytest.mark.parametrize("progressive", [False, True])
def test_oddities_that_cost_no_pixels_are_accepted(photo: np.ndarray, progressive: bool) -> None:
    whole = jpeg(photo, progressive=progressive)
    expected = decode(whole).pixels
    for oddity, data in harmless(whole).items():
        picture = decode(data)
        assert not picture.damaged, oddity
        np.testing.assert_array_equal(picture.pixels, expected, err_msg=oddity)


@pytest.mark.parametrize(
    "oddity", ["blanks between segments", "many blanks", "a damaged profile", "several"]
)
def test_oddities_do_not_hide_damage(photo: np.ndarray, oddity: str) -> None:
    data = harmless(jpeg(photo))[oddity]
    half = data[: len(data) // 2] + END
    assert is_refused(half)
    assert decode(half, keep_damaged=True).damaged


def test_unusual_sampling_is_still_read(photo: np.ndarray) -> None:
    data = bytearray(jpeg(photo, subsampling="4:4:4"))
    frame = data.index(b"\xff\xc0")
    data[frame + 14] = 0x21  # the first colour has twice the columns of gray
    assert decode(bytes(data)).pixels.shape == (3, 240, 320)


def test_samples_are_those_of_pillow(photo: np.ndarray) -> None:
    for options in ({}, {"progressive": True}, {"subsampling": "4:2:2"}, {"keep_rgb": True}):
        data = jpeg(photo, **options)
        with Image.open(io.BytesIO(data)) as image:
            expected = np.asarray(image).transpose(2, 0, 1) / np.float32(255)
        np.testing.assert_array_equal(decode(data).pixels, expected)


def with_short_strip(data: bytes) -> bytes:
    """Return a TIFF whose second strip or tile has half its bytes."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages.first
        tag = page.tags[325 if page.is_tiled else 279]
        count = page.databytecounts[1]
    kind = {3: "<H", 4: "<I", 16: "<Q"}[tag.dtype]
    short = bytearray(data)
    struct.pack_into(kind, short, tag.valueoffset + struct.calcsize(kind), count // 2)
    return bytes(short)


COMPRESSIONS = ("lzw", "adobe_deflate", "packbits", "lzma", "zstd", "jpeg", "jpeg2000", "webp")


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    "layout", [{"rowsperstrip": 64}, {"tile": (64, 64)}], ids=["strip", "tile"]
)
def test_a_short_strip_or_tile_is_refused_or_said_to_be_lost(
    photo: np.ndarray, compression: str, layout: dict[str, object]
) -> None:
    file = io.BytesIO()
    colours = "ycbcr" if compression == "jpeg" else "rgb"
    tifffile.imwrite(file, photo, compression=compression, photometric=colours, **layout)
    expected = decode(file.getvalue())
    assert not expected.damaged
    damaged = with_short_strip(file.getvalue())
    with pytest.raises(
        CorruptImage, match=r"cut short \(1 of [0-9]+ (strips|tiles)\); keep_damaged"
    ):
        decode(damaged)
    kept = decode(damaged, keep_damaged=True)
    assert kept.damaged
    np.testing.assert_array_equal(kept.pixels[:, 64 + 64 :], expected.pixels[:, 64 + 64 :])
    assert not np.array_equal(kept.pixels, expected.pixels)


def fax(lines: np.ndarray, compression: str, options: int = 0) -> bytes:
    file = io.BytesIO()
    tags = {292: options} if options else {}
    Image.fromarray(lines).save(file, "TIFF", compression=compression, tiffinfo=tags)
    return file.getvalue()


def drawing(photo: np.ndarray) -> np.ndarray:
    """A page with white margins."""
    page = np.ones((160, 240), bool)
    page[30:120, 20:200] = photo[30:120, 20:200, 1] > 100
    return page


@pytest.mark.parametrize(
    ("compression", "options"),
    [("group4", 0), ("group3", 0), ("group3", 1), ("group3", 4), ("tiff_ccitt", 0)],
)
def test_a_fax_strip_that_ends_early_is_refused(
    photo: np.ndarray, compression: str, options: int
) -> None:
    whole = fax(drawing(photo), compression, options)
    assert not is_refused(whole)
    with tifffile.TiffFile(io.BytesIO(whole)) as tiff:
        tag, (count,) = tiff.pages.first.tags[279], tiff.pages.first.databytecounts
    kind = "<I" if tag.dtype == 4 else "<H"
    for share in (0.2, 0.5, 0.7):
        short = bytearray(whole)
        struct.pack_into(kind, short, tag.valueoffset, int(count * share))
        assert is_refused(bytes(short)), share
    kept = decode(bytes(short), keep_damaged=True)
    np.testing.assert_array_equal(kept.pixels[:, :60], decode(whole).pixels[:, :60])


def test_a_fax_strip_closed_before_its_last_row_is_refused(photo: np.ndarray) -> None:
    upper_half = fax(drawing(photo)[:80], "group4")
    assert not is_refused(upper_half)
    taller = bytearray(upper_half)
    with tifffile.TiffFile(io.BytesIO(upper_half)) as tiff:
        for code in (257, 278):  # rows of the picture, and of a strip
            tag = tiff.pages.first.tags[code]
            struct.pack_into("<I" if tag.dtype == 4 else "<H", taller, tag.valueoffset, 160)
    assert is_refused(bytes(taller))


def test_white_pages_are_whole() -> None:
    for page in (np.ones((50, 70), bool), np.zeros((50, 70), bool)):
        for compression in ("group4", "group3", "tiff_ccitt"):
            assert not is_refused(fax(page, compression))


def test_pictures_that_are_not_read_whole_are_judged_before(
    photo: np.ndarray, tmp_path: Path
) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, photo, compression="jpeg", photometric="ycbcr", rowsperstrip=64)
    path = tmp_path / "a.tif"
    path.write_bytes(with_short_strip(file.getvalue()))

    def opened() -> object:
        return open_out_of_core(path, workplace=tmp_path, budget_bytes=2_000_000)

    with pytest.raises(CorruptImage, match=r"a.tif: is damaged or cut short \(1 of 4 strips\)"):
        opened()
    with keeping_damaged(True), noting_damage() as noted:
        assert opened()
    assert noted == {str(path): "is damaged or cut short (1 of 4 strips)"}


def test_bands_of_parts_are_judged_alike(photo: np.ndarray, tmp_path: Path) -> None:
    bands = np.concatenate([photo, photo[..., :2]], axis=2)
    file = io.BytesIO()
    tifffile.imwrite(
        file, bands, compression="lzw", photometric="minisblack", planarconfig="contig",
        rowsperstrip=64,
    )  # fmt: skip
    path = tmp_path / "a.tif"
    path.write_bytes(with_short_strip(file.getvalue()))
    with pytest.raises(CorruptImage, match="1 of 4 strips"):
        read_part(path)
    with keeping_damaged(True):
        assert read_part(path).channels == 5


def test_a_file_that_is_read_twice_is_warned_of_once(
    photo: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(photo)[:8000] + END)
    with caplog.at_level(logging.WARNING), keeping_damaged(True), noting_damage() as noted:
        decode(path)
        decode(path)
    assert list(noted) == [str(path)]
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: {noted[str(path)]}; what is there is taken"
    ]
