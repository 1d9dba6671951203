"""Sensors whose pixels are not square: what is developed is stretched, and DNG says so."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from restore.dark.runner import DarkEnhancer
from restore.image.codec import AS_IT_CAME
from restore.image.codecs import ImageFormat
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.linear_dng import encoded_linear_dng, read_linear_dng
from restore.image.losses import remarks
from restore.image.raw import read_raw
from restore.image.raw_picture import RawPicture
from restore.image.square_pixels import squared
from restore.mosaic.develop import developed, encoded_mosaic

Sensor = Callable[..., RawPicture]
WIDER = "its pixels are not square; the result is stretched to 1.5 times its width"


@pytest.mark.parametrize("pixel_aspect", [0.5, 1.5])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_ramp_stays_a_ramp(pixel_aspect: float, orientation: int) -> None:
    down, across = np.mgrid[:40, :60].astype(np.float32)
    pixels = np.stack([down, across, across + down])
    is_wider = (pixel_aspect > 1) is (orientation == 1)
    result = squared(pixels, pixel_aspect, orientation)
    factor = max(pixel_aspect, 1 / pixel_aspect)
    height, width = (40, round(60 * factor)) if is_wider else (round(40 * factor), 60)
    assert result.shape == (3, height, width)
    longer, other = (result[1, 0], result[0, :, 0]) if is_wider else (result[0, :, 0], result[1, 0])
    inner = longer[2:-2]
    np.testing.assert_allclose(np.diff(inner), 1 / factor, atol=1e-4)
    assert longer.mean() == pytest.approx((60 if is_wider else 40) / 2 - 0.5, abs=1e-3)
    np.testing.assert_array_equal(other, np.arange(len(other)))


def test_pixels_of_one_column_are_repeated() -> None:
    assert squared(np.ones((1, 5, 1), np.float32), 4.0).shape == (1, 5, 4)


@pytest.mark.parametrize("orientation", [1, 8])
def test_developed_pictures_have_square_pixels(
    tmp_path: Path, sensor: Sensor, orientation: int
) -> None:
    raw = sensor(size=(64, 96), orientation=orientation, pixel_aspect=1.5)
    path = tmp_path / "wide.dng"
    path.write_bytes(write_cfa_dng(raw))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.pages.first.pages[0].tags[50718].value == (3, 2, 1, 1)
    after = read_raw(path)
    assert after.pixel_aspect == 1.5
    size = (64, 144) if orientation == 1 else (144, 64)
    assert developed(after).pixels.shape[1:] == size
    plain = developed(replace(after, pixel_aspect=1.0))
    assert plain.pixels.shape[1:] == ((64, 96) if orientation == 1 else (96, 64))
    assert DarkEnhancer()(after, ratio=2).picture.pixels.shape[1:] == size
    with remarks() as said:
        encoded_mosaic(after, ImageFormat.PNG, AS_IT_CAME)
        encoded_mosaic(after, ImageFormat.DNG, AS_IT_CAME)
    assert said == [WIDER]


def test_linear_colours_get_square_pixels(tmp_path: Path, sensor: Sensor) -> None:
    path = tmp_path / "linear.dng"
    light = np.full((3, 64, 96), 0.2, np.float32)
    path.write_bytes(write_linear_dng(light, sensor(size=(64, 96), pixel_aspect=1.5)))
    picture = read_linear_dng(path)
    assert picture.pixels.shape[1:] == (64, 144)
    assert picture.remarks == [WIDER]
    path.write_bytes(encoded_linear_dng(picture, AS_IT_CAME))
    assert not read_linear_dng(path).remarks


def test_nonsense_is_not_believed(tmp_path: Path, sensor: Sensor) -> None:
    data = write_cfa_dng(sensor(size=(64, 96), pixel_aspect=1.5))
    path = tmp_path / "wide.dng"
    stored = b"".join(each.to_bytes(4, "little") for each in (3, 2, 1, 1))
    path.write_bytes(data.replace(stored, bytes(16)))
    assert data.count(stored) == 1
    assert read_raw(path).pixel_aspect == 1
