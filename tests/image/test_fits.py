"""FITS pictures and cubes."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore.errors import CorruptImage, SeveralPages, UnsupportedImage
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.decode import decode, decode_all
from restore.image.encode import encode
from restore.image.picture import Picture
from restore.image.stack import Stack, encoded_stack

fits: Any = pytest.importorskip("astropy.io.fits")


def written(data: np.ndarray, **keys: object) -> bytes:
    header = fits.Header()
    for key, value in keys.items():
        header[key] = value
    buffer = io.BytesIO()
    fits.PrimaryHDU(data, header=header).writeto(buffer)
    return buffer.getvalue()


def opened(data: bytes) -> tuple[np.ndarray, Any]:
    with fits.open(io.BytesIO(data)) as units:
        return np.array(units[0].data), units[0].header


def light(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(100, 30, shape).astype(np.float32)


def test_floats_come_back_unchanged_with_their_header_and_nan() -> None:
    data = light(20, 30)
    data[3, 4] = np.nan
    picture = decode(written(data, OBJECT="M 31", CRVAL1=10.5))
    assert (picture.is_float, picture.channels, picture.height, picture.width) == (True, 1, 20, 30)
    again, header = opened(encode(picture, ImageFormat.FITS))
    np.testing.assert_array_equal(again, data)
    assert (header["OBJECT"], header["CRVAL1"], header["BITPIX"]) == ("M 31", 10.5, -32)


def test_unsigned_integers_stay_integers() -> None:
    data = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    picture = decode(written(data))
    assert (picture.is_float, picture.bit_depth) == (False, 16)
    again, header = opened(encode(picture, ImageFormat.FITS))
    np.testing.assert_array_equal(again, data)
    assert header["BITPIX"] == 16


def test_scaled_integers_are_read_as_the_values_that_they_stand_for() -> None:
    unit = fits.PrimaryHDU(np.arange(600, dtype=np.int16).reshape(20, 30))
    buffer = io.BytesIO()
    unit.header["BSCALE"], unit.header["BZERO"] = 0.5, -10.0
    unit.writeto(buffer)
    stored = buffer.getvalue()
    values, _ = opened(stored)
    picture = decode(stored)
    np.testing.assert_allclose(picture.pixels[0], values)
    again, header = opened(encode(picture, ImageFormat.FITS))
    np.testing.assert_allclose(again, values)
    assert "BSCALE" not in header


def test_rows_are_stored_from_the_bottom_up() -> None:
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    upside_down = decode(encode(decode(written(data)), ImageFormat.PNG))
    np.testing.assert_array_equal(np.rint(255 * upside_down.pixels[0]), data[::-1])
    top_down = decode(encode(decode(written(data, ROWORDER="TOP-DOWN")), ImageFormat.PNG))
    np.testing.assert_array_equal(np.rint(255 * top_down.pixels[0]), data)
    back, _ = opened(encode(upside_down, ImageFormat.FITS))
    np.testing.assert_array_equal(back, data)


def test_colour_becomes_a_cube_and_comes_back() -> None:
    pixels = np.random.default_rng(0).random((3, 6, 8), np.float32)
    picture = Picture(pixels=pixels, bit_depth=16)
    again = decode(encode(picture, ImageFormat.FITS))
    assert again.channels == 3
    np.testing.assert_allclose(again.pixels[:, ::-1], pixels, atol=1e-5)


def test_a_cube_is_a_stack_that_keeps_its_axes() -> None:
    data = light(2, 3, 20, 30)
    stored = written(data, CTYPE3="FREQ", CTYPE4="STOKES")
    with pytest.raises(SeveralPages, match="6 planes"):
        decode(stored)
    stack = decode_all(stored)
    assert isinstance(stack, Stack)
    assert len(stack.planes) == 6
    again, header = opened(encoded_stack(stack, ImageFormat.FITS, AS_IT_CAME))
    np.testing.assert_array_equal(again, data)
    assert (header["CTYPE3"], header["CTYPE4"]) == ("FREQ", "STOKES")
    _, bare = opened(encoded_stack(stack, ImageFormat.FITS, WriteOptions(strip_metadata=True)))
    assert "CTYPE4" not in bare


def test_a_stripped_cube_is_no_colour_and_keeps_the_order_of_its_rows() -> None:
    data = light(3, 20, 30)
    stack = decode_all(written(data, OBJECT="M 31", ROWORDER="TOP-DOWN"))
    assert isinstance(stack, Stack)
    stripped = encoded_stack(stack, ImageFormat.FITS, WriteOptions(strip_metadata=True))
    again = decode_all(stripped)
    assert isinstance(again, Stack)
    assert again.planes[0].orientation == stack.planes[0].orientation
    samples, header = opened(stripped)
    np.testing.assert_array_equal(samples, data)
    assert "OBJECT" not in header


@pytest.mark.parametrize("count", [2, 4, 5])
def test_only_three_planes_are_colour(count: int) -> None:
    stack = decode_all(written(light(count, 8, 9), CTYPE3="RGB"))
    assert isinstance(stack, Stack)
    assert len(stack.planes) == count


def test_the_first_picture_is_taken_and_the_others_are_said() -> None:
    pictures = [fits.ImageHDU(light(side, side)) for side in (8, 4)]
    units = fits.HDUList([fits.PrimaryHDU(), *pictures])
    buffer = io.BytesIO()
    units.writeto(buffer)
    picture = decode(buffer.getvalue())
    assert picture.height == 8
    assert picture.left_out == ("2 other units of the file",)


def test_what_is_no_picture_or_cut_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedImage, match="without a picture"):
        decode(written(np.zeros(10, np.float32)))
    path = tmp_path / "short.fits"
    path.write_bytes(written(light(200, 300))[:60_000])
    with pytest.raises(CorruptImage, match=r"short\.fits: is "):
        decode(path)


def test_without_astropy_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = written(light(8, 8))
    monkeypatch.setattr("restore.image.fits._astropy", lambda: None)
    with pytest.raises(UnsupportedImage, match=r"imrestore\[astronomy\]"):
        decode(stored)
