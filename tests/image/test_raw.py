"""RAW files written as DNG from real sensor data, and read back through LibRaw."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rawpy
from PIL import Image

from restore.errors import CorruptImage, ImageTooLarge, InputError, UnsupportedImage
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.metadata import bare_exif, exif_directories
from restore.image.raw import develop_raw, read_raw
from restore.image.raw_picture import RawPicture

Sensor = Callable[..., RawPicture]


def written(raw: RawPicture, folder: Path) -> Path:
    path = folder / "file.dng"
    path.write_bytes(write_cfa_dng(raw))
    return path


def test_names_need_not_be_utf_8(tmp_path: Path, sensor: Sensor) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.dng"))
    try:
        path.write_bytes(write_cfa_dng(sensor("rggb")))
    except OSError:
        pytest.skip("this file system has no such names")
    assert read_raw(path).mosaic.shape == sensor("rggb").mosaic.shape


@pytest.mark.parametrize("phase", ["rggb", "grbg", "gbrg", "bggr"])
def test_every_code_comes_back_from_every_phase(tmp_path: Path, phase: str, sensor: Sensor) -> None:
    before = sensor(phase, mosaic=np.arange(2**16, dtype=np.uint16).reshape(128, 512))
    after = read_raw(written(before, tmp_path))
    assert np.array_equal(after.mosaic, before.mosaic)
    assert (after.pattern, after.is_xtrans) == (phase, False)


@pytest.mark.parametrize("phase", ["rggb", "grbg", "gbrg", "bggr"])
def test_real_frame_comes_back_bit_for_bit(
    shared_data: Path, tmp_path: Path, phase: str, sensor: Sensor
) -> None:
    data = np.fromfile(shared_data / f"raw/nikon/DSC_1339_768x512_{phase}.raw", "<u2")
    before = sensor(phase, mosaic=data.reshape(512, 768).astype(np.uint16))
    after = read_raw(written(before, tmp_path))
    assert np.array_equal(after.mosaic, before.mosaic)
    assert after.pattern == phase
    assert not after.is_xtrans


def test_xtrans_comes_back_bit_for_bit(tmp_path: Path, sensor: Sensor) -> None:
    before = sensor("xtrans")
    after = read_raw(written(before, tmp_path))
    assert np.array_equal(after.mosaic, before.mosaic)
    assert np.array_equal(after.cfa, before.cfa)
    assert after.is_xtrans


def test_levels_and_colours_come_from_the_file(tmp_path: Path, sensor: Sensor) -> None:
    before = sensor(black_level=(510.0, 511.0, 512.0, 513.0), orientation=6)
    after = read_raw(written(before, tmp_path))
    assert after.black_level == before.black_level
    assert after.white_level == before.white_level
    assert after.white_balance == pytest.approx(before.white_balance, rel=1e-3)
    assert after.orientation == 6
    assert after.xyz_to_camera is not None
    np.testing.assert_allclose(after.xyz_to_camera, before.xyz_to_camera, atol=2e-3)


def test_exposure_and_exif_are_read(tmp_path: Path, sensor: Sensor) -> None:
    block = Image.Exif()
    block[271], block[272] = "Maker", "Model 5"
    block.get_ifd(34665).update({33434: 1 / 60, 33437: 2.8, 34855: 1600})
    after = read_raw(written(sensor(exif=bare_exif(block.tobytes())), tmp_path))
    assert after.exposure_time_s == pytest.approx(1 / 60, rel=1e-3)
    assert (after.iso, after.aperture) == (1600.0, pytest.approx(2.8))
    assert after.exif is not None
    main, details, _ = exif_directories(after.exif)
    assert (main[271], main[272], details[34855]) == ("Maker", "Model 5", 1600)


def test_linear_dng_opens_as_the_same_picture(tmp_path: Path, sensor: Sensor) -> None:
    import rawpy

    linear = np.random.default_rng(0).random((3, 40, 60), dtype=np.float32)
    path = tmp_path / "linear.dng"
    path.write_bytes(write_linear_dng(linear, sensor()))
    with rawpy.imread(str(path)) as raw:
        assert (raw.sizes.width, raw.sizes.height) == (60, 40)
        assert raw.camera_whitebalance[0] == pytest.approx(2.1, rel=1e-3)
        flat = raw.postprocess(
            gamma=(1, 1), no_auto_bright=True, use_camera_wb=False, user_wb=[1, 1, 1, 1],
            output_color=rawpy.ColorSpace.raw, output_bps=16,
        )  # fmt: skip
    assert np.abs(flat / 65535 - np.moveaxis(linear, 0, -1)).max() < 0.01


def test_a_cameras_file_without_a_mosaic_is_refused(shared_data: Path) -> None:
    with pytest.raises(UnsupportedImage, match=r"canon_eos_6d.dng: holds no mosaic"):
        read_raw(shared_data / "raw/canon_eos_6d.dng")


def test_pictures_without_a_mosaic_are_refused(tmp_path: Path, sensor: Sensor) -> None:
    linear = tmp_path / "linear.dng"
    linear.write_bytes(write_linear_dng(np.zeros((3, 40, 60), np.float32), sensor()))
    with pytest.raises(UnsupportedImage, match=r"linear.dng: holds no mosaic"):
        read_raw(linear)
    text = tmp_path / "a.nef"
    text.write_text("not a picture")
    with pytest.raises(UnsupportedImage, match="is not a camera RAW file"):
        read_raw(text)
    with pytest.raises(InputError, match="No such file"):
        read_raw(tmp_path / "none.nef")


def test_headerless_data_are_not_guessed_by_their_size(tmp_path: Path) -> None:
    """LibRaw takes this file for one of a camera whose files have its size."""
    path = tmp_path / "768x512.raw"
    path.write_bytes(np.random.default_rng(0).integers(600, 16384, 768 * 512, "<u2").tobytes())
    with pytest.raises(UnsupportedImage, match="is not a camera RAW file"):
        read_raw(path)


def test_cut_file_is_damaged(tmp_path: Path, sensor: Sensor) -> None:
    whole = write_cfa_dng(sensor())
    path = tmp_path / "cut.dng"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptImage, match=r"cut\.dng: is cut short"):
        read_raw(path)


def test_large_sensors_are_refused_before_they_are_read(tmp_path: Path, sensor: Sensor) -> None:
    with pytest.raises(ImageTooLarge, match="132x96"):
        read_raw(written(sensor(), tmp_path), max_pixels=1000)


def test_damaged_levels_are_refused(tmp_path: Path, sensor: Sensor) -> None:
    wrong = replace(sensor(), white_level=16000.0)
    object.__setattr__(wrong, "black_level", (17000.0,) * 4)
    with pytest.raises(CorruptImage, match="is not between 0 and 16000"):
        read_raw(written(wrong, tmp_path))


def test_libraw_develops_in_the_child(tmp_path: Path, sensor: Sensor) -> None:
    path = written(sensor(orientation=6), tmp_path)
    with rawpy.imread(str(path)) as opened:
        wanted = opened.postprocess(
            use_camera_wb=True, no_auto_bright=True, output_bps=16, user_flip=0
        )
    assert np.array_equal(develop_raw(path, "libraw"), wanted.transpose(2, 0, 1))


def test_camera_look_is_linear(tmp_path: Path, sensor: Sensor) -> None:
    """Half the light above black gives half the values."""
    bright = sensor(mosaic=np.full((40, 40), 512 + 6000, np.uint16))
    dark = replace(bright, mosaic=np.full((40, 40), 512 + 3000, np.uint16))
    lights = [develop_raw(written(raw, tmp_path), "camera").astype(float) for raw in (bright, dark)]
    np.testing.assert_allclose(lights[0], 2 * lights[1], rtol=2e-3)


def test_development_of_what_is_no_raw_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dng").write_bytes(b"nothing")
    with pytest.raises(UnsupportedImage, match=r"a\.dng"):
        develop_raw(tmp_path / "a.dng", "srgb")
