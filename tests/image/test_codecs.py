"""The table of file formats."""

import subprocess
import sys
from pkgutil import resolve_name

import numpy as np
import pytest

from restore.image.codecs import (
    CODECS,
    HEAD_BYTES,
    PICTURE_SUFFIXES,
    WRITTEN,
    WRITTEN_OF_LIGHT,
    WRITTEN_OF_MOSAICS,
    WRITTEN_OF_RAW,
    ImageFormat,
    format_of_suffix,
    is_lossy,
    sniff,
)
from restore.image.encode import encode
from restore.image.picture import Picture


def test_every_format_has_a_row() -> None:
    assert list(CODECS) == list(ImageFormat)


@pytest.mark.parametrize("image_format", ImageFormat)
def test_readers_and_writers_are_where_the_table_says(image_format: ImageFormat) -> None:
    codec = CODECS[image_format]
    for place in filter(None, (codec.reader, codec.writer)):
        assert callable(resolve_name(place))
    assert bool(codec.bit_depths) == (codec.is_for_mosaics or bool(codec.writer))


@pytest.mark.parametrize("image_format", WRITTEN)
def test_what_is_written_is_recognised(image_format: ImageFormat) -> None:
    data = encode(Picture(pixels=np.zeros((3, 20, 20), np.float32)), image_format)
    assert sniff(data[:HEAD_BYTES]) is image_format


def test_a_suffix_stands_for_one_format() -> None:
    others = [codec for each, codec in CODECS.items() if each is not ImageFormat.DNG_LINEAR]
    suffixes = [suffix for codec in others for suffix in codec.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert format_of_suffix(".JPEG") is ImageFormat.JPEG
    assert format_of_suffix(".dng") is ImageFormat.DNG
    assert format_of_suffix(".gif") is None
    assert {".bmp", ".jpe", ".tiff"} <= PICTURE_SUFFIXES
    assert ".dng" not in PICTURE_SUFFIXES


def test_outputs_depend_on_what_is_written() -> None:
    assert WRITTEN_OF_RAW.keys() == {"png", "tiff", "jpeg", "exr", "dng"}
    assert WRITTEN_OF_MOSAICS.keys() == WRITTEN.keys() | {"dng", "dng-linear"}
    assert WRITTEN_OF_LIGHT.keys() == {"dng", "exr", "fits", "hdr", "tiff", "jpeg", "jxl"}
    assert {"bmp", "czi", "dng", "jp2"}.isdisjoint(WRITTEN)
    assert WRITTEN[ImageFormat.TIFF] == ".tif"


def test_loss_is_that_of_the_format() -> None:
    lossy = {each for each in ImageFormat if is_lossy(each)}
    assert lossy == {"jpeg", "webp", "avif", "heic", "jxl", "jp2"}
    assert not is_lossy(None)


def test_the_table_costs_the_command_line_no_decoder() -> None:
    script = "import sys, restore.image.codecs; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
