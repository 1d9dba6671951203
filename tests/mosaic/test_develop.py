"""Mosaics are developed with their own colours, levels, crop and orientation."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from restore.errors import OutputError, UsageError
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.colour import linear_to_srgb
from restore.image.develop import camera_to_srgb, gains_of
from restore.image.dng_metadata import DngMetadata, DngTag
from restore.image.ifd import Entry
from restore.image.losses import losses
from restore.image.raw_picture import RawPicture
from restore.mosaic.develop import developed, encoded_mosaic, unclipped_colours

Sensor = Callable[..., RawPicture]


@pytest.fixture
def flat(sensor: Sensor) -> Callable[..., RawPicture]:
    """Makes a RAW picture of one colour, given as red, green and blue of the sensor in [0, 1]."""

    def make(red: float, green: float, blue: float, *words: str, **fields: Any) -> RawPicture:
        like = sensor(*words, **fields)
        levels = 512 + 15000 * np.array([red, green, blue, green])
        side = len(like.cfa)
        across = [-(-size // side) for size in like.mosaic.shape]
        height, width = like.mosaic.shape
        mosaic = np.tile(levels[like.cfa], across)[:height, :width].round().astype(np.uint16)
        return sensor(*words, **fields, mosaic=mosaic)

    return make


@pytest.mark.parametrize("pattern", ["rggb", "gbrg", "xtrans"])
def test_colours_are_those_of_the_matrix(flat: Callable[..., RawPicture], pattern: str) -> None:
    raw = flat(0.10, 0.15, 0.12, pattern)
    balanced = np.array([0.10, 0.15, 0.12]) * gains_of(raw.white_balance)
    wanted = linear_to_srgb((camera_to_srgb(raw) @ balanced).astype(np.float32))
    found = developed(raw).pixels[:, 40, 60]
    np.testing.assert_allclose(found, wanted, atol=0.004)


@pytest.mark.parametrize("is_stated", [True, False])
def test_nothing_is_clipped_by_the_white_balance(
    flat: Callable[..., RawPicture], is_stated: bool
) -> None:
    colours = unclipped_colours(flat(0.9, 0.5, 0.3, has_white_balance=is_stated))
    for colour, level in zip(colours, (0.9, 0.5, 0.3), strict=True):
        np.testing.assert_allclose(colour, level, atol=1e-3)


def test_what_the_sensor_blew_is_white(flat: Callable[..., RawPicture]) -> None:
    """Its white level claims more than it reaches."""
    raw = flat(0.8, 0.8, 0.8, saturation=(12512.0,) * 4)
    np.testing.assert_allclose(developed(raw).pixels, 1, atol=1e-3)


def test_the_picture_is_cropped_and_upright(flat: Callable[..., RawPicture]) -> None:
    raw = flat(0.1, 0.1, 0.1, size=(60, 90), default_crop=(4, 6, 40, 70), orientation=8)
    picture = developed(raw)
    assert (picture.height, picture.width, picture.orientation) == (70, 40, 1)


def test_monochrome_is_gray(sensor: Sensor) -> None:
    raw = sensor(cfa=np.array([[1]], np.uint8), mosaic=np.full((20, 30), 4262, np.uint16))
    np.testing.assert_allclose(developed(raw).pixels, linear_to_srgb(np.float32(0.25)), atol=1e-4)
    assert unclipped_colours(raw).shape == (1, 20, 30)


def test_corrections_that_are_not_applied_are_named(sensor: Sensor) -> None:
    def opcodes(*numbers: int) -> Entry:
        each = b"".join(np.array([n, 0, 0, 0], ">u4").tobytes() for n in numbers)
        return Entry(7, 4 + len(each), np.array(len(numbers), ">u4").tobytes() + each)

    first, _, third = DngTag.OPCODE_LISTS
    dng = DngMetadata(tags={first: opcodes(9), third: opcodes(1)})
    raw = sensor(dng=dng)
    named = {
        ImageFormat.DNG: [],
        ImageFormat.DNG_LINEAR: ["GainMap"],
        ImageFormat.PNG: ["GainMap", "WarpRectilinear"],
    }
    for image_format, names in named.items():
        with losses() as lost:
            encoded_mosaic(raw, image_format, AS_IT_CAME)
        assert lost == [f"its {name} correction, which is not applied" for name in names]


def test_a_dng_has_sixteen_bits(sensor: Sensor) -> None:
    with pytest.raises(UsageError, match="DNG holds 16 bits"):
        encoded_mosaic(sensor(), ImageFormat.DNG, WriteOptions(bit_depth=8))


def test_metadata_are_stripped_on_demand(sensor: Sensor) -> None:
    raw = sensor(xmp=b"<x:xmpmeta>mine</x:xmpmeta>")
    stripped = encoded_mosaic(raw, ImageFormat.DNG, WriteOptions(strip_metadata=True))
    assert b"xmpmeta" not in stripped


def test_where_memory_is_short_the_error_names_no_temporary_file(
    sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.image.reservation._ALWAYS_THERE", 0)
    monkeypatch.setattr("restore.image.reservation.available_bytes", lambda: 1000)
    with pytest.raises(OutputError, match=r"^cannot be developed: has 512x512 pixels and needs"):
        developed(sensor())
