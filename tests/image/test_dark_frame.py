from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restore.errors import UnsupportedImage, UsageError
from restore.image.dark_frame import read_dark_frame
from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture
from restore.image.shot import Shot, completed_exif

Sensor = Callable[..., RawPicture]


@pytest.fixture
def folder(sensor: Sensor, tmp_path: Path) -> Path:
    """Four dark frames with a glow in a corner and 20 hot photosites."""
    glow = np.outer(np.linspace(1, 0, 96), np.linspace(1, 0, 132)) * 300
    for index in range(4):
        noise = np.random.default_rng(index).normal(0, 8, glow.shape)
        mosaic = np.rint(512 + glow + noise).clip(0, 15512).astype(np.uint16)
        mosaic[10:90:8, 20] = mosaic[10:90:8, 70] = 9000
        (tmp_path / f"dark{index}.dng").write_bytes(write_cfa_dng(sensor(mosaic=mosaic)))
    return tmp_path


def test_frames_of_a_folder_are_averaged_and_subtracted(folder: Path, sensor: Sensor) -> None:
    dark = read_dark_frame(folder)
    assert dark.frames == 4
    assert np.count_nonzero(dark.hot) == pytest.approx(20, abs=1)
    assert dark.hot[10:90:8, 20].all()
    glow = np.outer(np.linspace(1, 0, 96), np.linspace(1, 0, 132)) * 300
    raw = sensor(mosaic=np.rint(2512 + glow).astype(np.uint16))
    left = dark.subtracted_from(raw).mosaic[~dark.hot].astype(float) - 2512
    assert abs(left.mean()) < 0.5
    assert left.std() < 6, "noise of four frames averaged"


def test_one_file_is_a_master_dark(folder: Path) -> None:
    one = read_dark_frame(folder / "dark0.dng")
    assert one.frames == 1
    assert read_dark_frame([folder / "dark0.dng", folder / "dark1.dng"]).frames == 2


def test_saturated_samples_stay(folder: Path, sensor: Sensor) -> None:
    raw = sensor(mosaic=np.full((96, 132), 15512, np.uint16))
    np.testing.assert_array_equal(read_dark_frame(folder).subtracted_from(raw).mosaic, 15512)


def test_a_dark_frame_of_another_sensor_is_refused(folder: Path, sensor: Sensor) -> None:
    dark = read_dark_frame(folder)
    for other in (sensor(size=(96, 130)), sensor("bggr")):
        with pytest.raises(UnsupportedImage, match="same camera"):
            dark.subtracted_from(other)


def test_another_exposure_is_said(folder: Path, sensor: Sensor) -> None:
    dark = replace(read_dark_frame(folder), exposure_time_s=30.0, iso=800.0)
    assert dark.differences(sensor(exposure_time_s=30.0, iso=800.0)) == []
    said = dark.differences(sensor(exposure_time_s=10.0, iso=1600.0))
    assert said == [
        "the dark frame is exposed for 30 s, the picture 10",
        "the dark frame is of ISO 800, the picture 1600",
    ]


def test_frames_of_different_exposures_are_not_averaged(tmp_path: Path, sensor: Sensor) -> None:
    for name, seconds in (("a.dng", 30.0), ("b.dng", 240.0)):
        exif = completed_exif(None, Shot(exposure_time_s=seconds, iso=800))
        (tmp_path / name).write_bytes(write_cfa_dng(sensor(exif=exif)))
    with pytest.raises(UsageError, match=r"b.dng: is exposed for 240 s, .*a.dng 30; give dark"):
        read_dark_frame(tmp_path)


def test_a_folder_without_raw_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no RAW files"):
        read_dark_frame(tmp_path)


def test_traces_of_light_are_said(folder: Path, sensor: Sensor) -> None:
    lamp = np.full((96, 132), 520, np.uint16)
    lamp[:20, :30] = 5000
    path = folder / "night.dng"
    path.write_bytes(write_cfa_dng(sensor(mosaic=lamp)))
    (sentence,) = read_dark_frame(path).differences(sensor())
    assert sentence.startswith("the dark frame seems to have seen light: 5% of it is brighter")
    assert not read_dark_frame(folder / "dark0.dng").differences(sensor())


def test_a_frame_that_saw_light_is_no_dark_frame(tmp_path: Path, sensor: Sensor) -> None:
    path = tmp_path / "lit.dng"
    path.write_bytes(write_cfa_dng(sensor(mosaic=np.full((32, 40), 3000, np.uint16))))
    with pytest.raises(UsageError, match=r"lit\.dng: is no dark frame: .* with the cap on"):
        read_dark_frame(path)
