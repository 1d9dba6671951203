from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.anomaly.network import shrunk
from restore.anomaly.part import as_part, read_part
from restore.errors import InputError, UnsupportedImage
from restore.image.codecs import ImageFormat
from restore.image.picture import Picture


def bands(count: int, dtype: type = np.uint16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (count, 6, 9)).astype(dtype)


@pytest.mark.parametrize("count", [2, 4, 5, 12])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize(("dtype", "peak"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_bands_are_exact(tmp_path: Path, count: int, planar: str, dtype: type, peak: int) -> None:
    path, samples = tmp_path / "bands.tif", bands(count, dtype)
    stored = samples if planar == "separate" else np.moveaxis(samples, 0, -1)
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    for source in (path, path.read_bytes()):
        part = read_part(source)
        assert part.channels == count
        np.testing.assert_array_equal(part.pixels, samples.astype(np.float32) / np.float32(peak))


def test_gray_and_colour_are_read_as_ever(tmp_path: Path) -> None:
    values = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    Image.fromarray(values).save(tmp_path / "colour.png")
    Image.fromarray(values[..., 0]).save(tmp_path / "gray.tif")
    assert read_part(tmp_path / "colour.png").pixels.shape == (3, 4, 5)
    assert read_part(tmp_path / "gray.tif").pixels.shape == (1, 4, 5)


def test_gray_stored_as_rgb_fits_a_gray_network(tmp_path: Path) -> None:
    gray = np.arange(20, dtype=np.uint8).reshape(4, 5)
    Image.fromarray(np.stack([gray] * 3, axis=-1)).save(tmp_path / "rgb.png")
    part = read_part(tmp_path / "rgb.png")
    np.testing.assert_array_equal(part.fitted_to(1).pixels, gray[None] / np.float32(255))
    assert part.fitted_to(3) is part
    tinted = replace(part, pixels=part.pixels + np.float32([0, 0, 0.02])[:, None, None])
    assert tinted.fitted_to(1) is tinted


@pytest.mark.parametrize("is_lossless", [True, False])
def test_a_slight_tint_is_compression_only_where_that_is_lossy(is_lossless: bool) -> None:
    tinted = np.full((3, 20, 20), 0.5, np.float32)
    tinted[2] += np.float32(1 / 255)
    picture = Picture(pixels=tinted, format=ImageFormat.WEBP, is_lossless=is_lossless)
    assert as_part(picture).fitted_to(1).channels == (3 if is_lossless else 1)


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5))
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    upright = read_part(tmp_path / "turned.png").pixels[0]
    expected = np.rot90(np.arange(20).reshape(4, 5), -1).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(upright, expected)


@pytest.mark.parametrize("count", [4, 5])
def test_bands_are_turned_upright(tmp_path: Path, count: int) -> None:
    samples = bands(count, np.uint8)
    photometric = "rgb" if count == 4 else "minisblack"
    tifffile.imwrite(
        tmp_path / "turned.tif", np.moveaxis(samples, 0, -1), photometric=photometric,
        planarconfig="contig", extrasamples=["unspecified"] if count == 4 else None,
        extratags=[(274, "H", 1, 6, True)],
    )  # fmt: skip
    part = read_part(tmp_path / "turned.tif")
    expected = np.rot90(samples, -1, axes=(1, 2)).astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(part.pixels, expected)


def test_limits_and_damage_are_one_sentence_with_the_name(tmp_path: Path) -> None:
    path = tmp_path / "bands.tif"
    tifffile.imwrite(path, bands(5), photometric="minisblack", planarconfig="separate")
    with pytest.raises(InputError, match=r"bands\.tif: has 9x6 pixels, the limit is 10"):
        read_part(path, max_pixels=10)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"bands\.tif: "):
        read_part(path)
    tifffile.imwrite(path, bands(5, np.int32), photometric="minisblack", planarconfig="separate")
    with pytest.raises(UnsupportedImage, match=r"bands\.tif: "):
        read_part(path)


def test_shrinking_takes_the_mean_of_whole_squares_and_of_what_is_left() -> None:
    pixels = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
    expected = [[[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]]
    np.testing.assert_allclose(shrunk(pixels, 2), expected)
    assert shrunk(pixels, 2).dtype == np.float32
    assert shrunk(pixels, 1) is pixels
