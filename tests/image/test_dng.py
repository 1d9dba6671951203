"""DNG as it is written: every tag and sample comes back, through LibRaw and other readers."""

import io
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
import rawpy
import tifffile
from PIL import Image

from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.dng_metadata import MAIN_TAGS, RAW_TAGS, DngMetadata, DngTag
from restore.image.ifd import Entry, entry_of
from restore.image.linear_dng import is_linear_dng, read_linear_dng
from restore.image.metadata import bare_exif, exif_directories
from restore.image.picture import Picture
from restore.image.raw import read_raw
from restore.image.raw_picture import RawPicture

Sensor = Callable[..., RawPicture]

MATRIX_A = [0.7, -0.1, -0.1, -0.4, 1.2, 0.3, -0.1, 0.2, 0.6]
MATRIX_D65 = [0.8, -0.2, -0.1, -0.5, 1.3, 0.2, -0.1, 0.2, 0.7]
FORWARD = [0.6, 0.2, 0.2, 0.3, 0.6, 0.1, 0.0, 0.1, 0.7]


def opcodes(*numbers: int) -> bytes:
    return struct.pack(">I", len(numbers)) + b"".join(
        struct.pack(">IIII", number, 0x01030000, 0, 6) + b"opcode" for number in numbers
    )


def converted(area: tuple[int, int, int, int] = (0, 0, 96, 132)) -> DngMetadata:
    """What a DNG of Adobe's converter says."""
    entries: dict[int, Entry] = {
        DngTag.UNIQUE_CAMERA_MODEL: entry_of(2, b"Maker Model 5\x00", "<"),
        DngTag.COLOR_MATRIX[0]: entry_of(10, MATRIX_A, "<"),
        DngTag.COLOR_MATRIX[1]: entry_of(10, MATRIX_D65, "<"),
        DngTag.ILLUMINANT[0]: entry_of(3, [17], "<"),
        DngTag.ILLUMINANT[1]: entry_of(3, [21], "<"),
        DngTag.FORWARD_MATRIX[0]: entry_of(10, FORWARD, "<"),
        DngTag.FORWARD_MATRIX[1]: entry_of(10, FORWARD, "<"),
        DngTag.CAMERA_CALIBRATION[0]: entry_of(10, [1, 0, 0, 0, 1, 0, 0, 0, 1], "<"),
        DngTag.ANALOG_BALANCE: entry_of(5, [1, 1, 1], "<"),
        DngTag.BASELINE_EXPOSURE: entry_of(10, [0.35], "<"),
        50731: entry_of(5, [0.8], "<"),  # BaselineNoise
        DngTag.PROFILE_NAME: entry_of(2, b"Adobe Standard\x00", "<"),
        50938: entry_of(11, [0.5, 1.5, 2.5], "<"),  # ProfileHueSatMapData1
        DngTag.DEFAULT_SCALE: entry_of(5, [1, 1], "<"),
        DngTag.ACTIVE_AREA: entry_of(4, area, "<"),
        DngTag.OPCODE_LISTS[0]: entry_of(7, opcodes(4), "<"),
        DngTag.OPCODE_LISTS[1]: entry_of(7, opcodes(9, 9), "<"),
        DngTag.OPCODE_LISTS[2]: entry_of(7, opcodes(1), "<"),
        DngTag.NOISE_PROFILE: entry_of(12, [1e-4, 1e-7, 2e-4, 2e-7, 3e-4, 3e-7], "<"),
        51125: entry_of(5, [0, 0, 1, 1], "<"),  # DefaultUserCrop
    }
    return DngMetadata(tags=entries)


def exif(order: str = "<") -> bytes:
    block = Image.Exif()
    block.endian = order
    block[271], block[272], block[306] = "Maker", "Model 5", "2024:05:01 12:00:00"
    details = {33434: 1 / 60, 33437: 2.8, 34855: 1600, 37500: b"a maker's note", 42036: "50 mm"}
    details[36867] = "2024:05:01 12:00:00"
    block.get_ifd(34665).update(details)
    whole = bare_exif(block.tobytes())
    assert whole is not None
    return whole


def back(raw: RawPicture, folder: Path, **options: Any) -> RawPicture:
    path = folder / "file.dng"
    path.write_bytes(write_cfa_dng(raw, **options))
    return read_raw(path)


@pytest.mark.parametrize("order", ["<", ">"])
def test_everything_comes_back(tmp_path: Path, sensor: Sensor, order: str) -> None:
    before = sensor(
        black_level=(510.0, 511.5, 512.0, 513.0),
        white_balance=(1 / 0.47, 1.0, 1 / 0.631),
        xyz_to_camera=np.reshape(MATRIX_D65, (3, 3)).astype(np.float32),
        default_crop=(4, 6, 80, 120),
        orientation=6,
        exif=exif(order),
        xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
        dng=converted(),
    )
    after = back(before, tmp_path)
    assert np.array_equal(after.mosaic, before.mosaic)
    assert np.array_equal(after.cfa, before.cfa)
    assert after.black_level == before.black_level
    assert after.white_level == before.white_level
    assert after.white_balance == pytest.approx(before.white_balance, rel=1e-6)
    np.testing.assert_allclose(after.xyz_to_camera, before.xyz_to_camera, atol=1e-6)
    assert after.default_crop == before.default_crop
    assert (after.orientation, after.make, after.model) == (6, "Maker", "Model 5")
    assert after.xmp == before.xmp
    assert after.exif is not None
    assert before.exif is not None
    stated, found = exif_directories(before.exif)[1], exif_directories(after.exif)[1]
    assert found == stated
    assert after.dng is not None
    assert before.dng is not None
    for tag in before.dng.tags:
        assert after.dng.numbers(tag) == before.dng.numbers(tag), tag
        assert after.dng.tags[tag].count == before.dng.tags[tag].count, tag
    assert after.dng.opcodes == after.unapplied
    assert after.unapplied == ("FixBadPixelsConstant", "GainMap", "WarpRectilinear")
    assert after.baseline_exposure == 0.35


def test_a_second_generation_is_the_same_file(tmp_path: Path, sensor: Sensor) -> None:
    first = back(sensor(exif=exif(), dng=converted(), default_crop=(4, 6, 80, 120)), tmp_path)
    again = back(first, tmp_path)
    assert write_cfa_dng(again) == write_cfa_dng(first)


def test_no_kept_tag_is_about_how_samples_are_stored() -> None:
    stored = {*range(254, 270), 273, 277, 278, 279, 284, *range(317, 340), 50713, 50714, 50717}
    assert not stored & (MAIN_TAGS | RAW_TAGS)
    assert not MAIN_TAGS & RAW_TAGS


def test_places_in_the_first_list_of_opcodes_stay_right(tmp_path: Path, sensor: Sensor) -> None:
    """They are counted from the corner of the sensor, which had margins."""
    before = sensor(dng=converted(area=(10, 20, 106, 152)))
    after = back(before, tmp_path)
    assert np.array_equal(after.mosaic, before.mosaic)
    assert after.dng is not None
    assert after.dng.numbers(DngTag.ACTIVE_AREA) == (10, 20, 106, 152)
    assert after.pattern == before.pattern


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_are_read(tmp_path: Path, sensor: Sensor, orientation: int) -> None:
    after = back(sensor(orientation=orientation, exif=exif()), tmp_path)
    assert after.orientation == orientation
    assert after.exif is not None
    assert exif_directories(after.exif)[0][274] == orientation


def test_monochrome_sensors_have_no_pattern(tmp_path: Path, sensor: Sensor) -> None:
    before = sensor(cfa=np.array([[1]], np.uint8), size=(100, 132), xyz_to_camera=None)
    after = back(before, tmp_path)
    assert after.is_monochrome
    assert after.pattern == "mono"
    assert np.array_equal(after.mosaic, before.mosaic)
    assert after.black_level == before.black_level
    with tifffile.TiffFile(tmp_path / "file.dng") as tiff:
        below = tiff.pages.first.pages[0]
        assert (below.photometric, below.samplesperpixel) == (34892, 1)
        assert 33422 not in below.tags


def test_black_of_each_place_of_a_large_pattern(tmp_path: Path, sensor: Sensor) -> None:
    before = sensor("xtrans", black_level=(500.0, 510.0, 520.0, 510.0))
    assert back(before, tmp_path).black_level == before.black_level


@pytest.mark.parametrize(
    "size", [(22, 22), (33, 35), (48, 64), (64, 512), (300, 272), (512, 512), (97, 131)]
)
def test_tiles_of_any_size_are_decoded(
    tmp_path: Path, sensor: Sensor, size: tuple[int, int]
) -> None:
    """LibRaw misreads single tiles, tiles wider than the picture, and of half its width."""
    mosaic = np.random.default_rng(1).integers(0, 2**16, size, dtype=np.uint16)
    assert np.array_equal(back(sensor(mosaic=mosaic), tmp_path).mosaic, mosaic)


def test_a_mosaic_is_compressed(sensor: Sensor) -> None:
    """Light with shot noise: as a camera's file of that scene, about ten bits a sample."""
    rng = np.random.default_rng(0)
    scene = np.linspace(600, 4000, 600)[None, :].repeat(400, axis=0)
    raw = sensor(mosaic=rng.normal(scene, np.sqrt(scene)).clip(0).astype(np.uint16))
    assert len(write_cfa_dng(raw)) < 0.6 * raw.mosaic.nbytes


def test_the_first_picture_is_a_preview(sensor: Sensor) -> None:
    gray = sensor(
        mosaic=np.full((1200, 1600), 512 + 3000, np.uint16),
        white_balance=(1.0, 1.0, 1.0),
        xyz_to_camera=None,
    )
    with tifffile.TiffFile(io.BytesIO(write_cfa_dng(gray))) as tiff:
        page = tiff.pages.first
        assert page.is_reduced
        assert not page.pages[0].is_reduced
        assert max(page.shape[:2]) == 800
        data = tiff.filehandle.read_array(np.uint8, page.databytecounts[0], page.dataoffsets[0])
    shown = np.asarray(Image.open(io.BytesIO(data.tobytes())))
    # 0.2 of white in sRGB's curve.
    assert np.abs(shown.astype(int) - 124).max() <= 2


def test_another_preview_may_be_given(sensor: Sensor) -> None:
    red = Picture(pixels=np.zeros((3, 96, 132), np.float32))
    red.pixels[0] = 1
    file = write_cfa_dng(sensor(), preview=red)
    with tifffile.TiffFile(io.BytesIO(file)) as tiff:
        page = tiff.pages.first
        place, size = page.dataoffsets[0], page.databytecounts[0]
    assert np.asarray(Image.open(io.BytesIO(file[place : place + size]))).mean((0, 1))[0] > 250


@pytest.mark.parametrize("as_float", [False, True])
def test_light_above_white_is_kept(tmp_path: Path, sensor: Sensor, as_float: bool) -> None:
    linear = np.random.default_rng(0).random((3, 90, 120), dtype=np.float32)
    linear[:, 40:50, 40:50] = 2.5
    path = tmp_path / "linear.dng"
    path.write_bytes(
        write_linear_dng(linear, sensor(dng=converted(), exif=exif()), as_float=as_float)
    )
    with rawpy.imread(str(path)) as raw:
        stored = raw.raw_image_visible[..., :3] / raw.white_level
    stops = np.log2(2.5)
    np.testing.assert_allclose(stored * 2**stops, np.moveaxis(linear, 0, -1), atol=1e-3)
    assert is_linear_dng(path)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        above, below = page.tags[DngTag.BASELINE_EXPOSURE].value
        assert above / below == pytest.approx(0.35 + stops, abs=1e-4)
        # What is true of mosaics only is not said of demosaicked light.
        tags = page.pages[0].tags
        assert DngTag.OPCODE_LISTS[2] in tags
        assert DngTag.OPCODE_LISTS[1] not in tags
        assert DngTag.NOISE_PROFILE not in tags


def test_linear_dng_is_read_as_light(tmp_path: Path, sensor: Sensor) -> None:
    """A gray of 0.2 and a white of three times the sensor's, in camera RGB before balance."""
    raw = sensor(white_balance=(2.0, 1.0, 1.6), size=(64, 96), orientation=5)
    linear = np.full((3, 64, 96), 0.2, np.float32)
    linear[:, 20:40, 20:40] = 3
    linear /= np.array([2.0, 1.0, 1.6], np.float32)[:, None, None]
    path = tmp_path / "linear.dng"
    path.write_bytes(write_linear_dng(linear, replace(raw, default_crop=(2, 4, 60, 90))))
    picture = read_linear_dng(path)
    assert picture.pixels.shape == (3, 60, 90)
    assert picture.orientation == 5
    np.testing.assert_allclose(picture.pixels[:, 5, 5], 0.2, rtol=2e-3)
    np.testing.assert_allclose(picture.pixels[:, 30, 30], 3, rtol=2e-3)


def test_a_lossy_linear_dng_of_a_camera_is_read(shared_data: Path) -> None:
    path = shared_data / "raw/canon_eos_6d.dng"
    picture = read_linear_dng(path)
    assert picture.pixels.shape == (3, 816, 1224)
    assert not picture.left_out
    assert picture.exif is not None
    with rawpy.imread(str(path)) as raw:
        developed = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=(1, 1)
        )
    expected = developed.mean(axis=(0, 1)) / 65535
    # BaselineExposure of 0.25 stops, which LibRaw leaves out.
    shown = picture.pixels.clip(0, 2**0.25).mean(axis=(1, 2)) / 2**0.25
    np.testing.assert_allclose(shown, expected, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["canon_550d.dng", "canon_d30.crw"])
def test_libraw_develops_our_file_like_the_cameras(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    source = shared_data / "raw" / name
    before = read_raw(source)
    after = back(before, tmp_path)
    assert np.array_equal(after.mosaic, before.mosaic)
    assert (tmp_path / "file.dng").stat().st_size < 1.05 * source.stat().st_size
    developed = []
    for path in (source, tmp_path / "file.dng"):
        with rawpy.imread(str(path)) as raw:
            settings = {"no_auto_bright": True, "output_bps": 16, "user_flip": 0}
            # The D30's balance is none that LibRaw finds.
            has_balance = before.has_white_balance
            developed.append(raw.postprocess(use_camera_wb=has_balance, **settings).astype(int))
    assert developed[0].shape == developed[1].shape
    # AHD chooses its direction by comparison: where both are alike, the last bit of a factor tips.
    differences = np.abs(developed[0] - developed[1])
    assert (differences > 2).mean() < 1e-4
    assert differences.mean() < 0.01


def test_a_makers_note_is_read_by_others(shared_data: Path, tmp_path: Path) -> None:
    """Of a file of Nikon's, whose note holds offsets."""
    if which("exiftool") is None:
        pytest.skip("exiftool is not there")
    from restore.image.raw_metadata import read_raw_metadata

    with (shared_data / "raw/metadata_only/Nikon.nef").open("rb") as file:
        said = read_raw_metadata(file)
    path = tmp_path / "nikon.dng"
    mosaic = np.full((64, 96), 900, np.uint16)
    path.write_bytes(
        write_cfa_dng(
            RawPicture(
                mosaic=mosaic,
                cfa=np.array([[0, 1], [3, 2]], np.uint8),
                black_level=(0.0,) * 4,
                white_level=4095.0,
                exif=said.exif,
                make="NIKON CORPORATION",
                model="NIKON D70",
            )
        )
    )
    tags = ["-s3", "-UniqueCameraModel", "-LensID", "-ShutterCount", "-Warning"]
    shown = subprocess.run(["exiftool", *tags, path], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [
        "NIKON D70",
        "AF-S DX Zoom-Nikkor 18-70mm f/3.5-4.5G IF-ED",
        *shown.stdout.splitlines()[2:3],
    ]
