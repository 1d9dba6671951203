"""TIFF files of many pages."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from restore.errors import CorruptImage, UnsupportedImage, UsageError
from restore.image.codec import AS_IT_CAME, WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.decode import decode_all
from restore.image.picture import Picture
from restore.image.stack import Stack, encoded_stack

PLANES = np.random.default_rng(0).integers(0, 65536, (2, 3, 20, 30), dtype=np.uint16)


def written(data: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, data, **options)
    return buffer.getvalue()


def stack_of(data: bytes) -> Stack:
    stack = decode_all(data)
    assert isinstance(stack, Stack)
    return stack


def again(stack: Stack, options: WriteOptions = AS_IT_CAME) -> tifffile.TiffFile:
    return tifffile.TiffFile(io.BytesIO(encoded_stack(stack, ImageFormat.TIFF, options)))


def test_an_ome_tiff_keeps_its_planes_axes_and_metadata() -> None:
    metadata = {"axes": "TZYX", "PhysicalSizeX": 0.1, "PhysicalSizeXUnit": "µm"}
    stored = written(PLANES, ome=True, photometric="minisblack", metadata=metadata)
    with again(stack_of(stored)) as tiff:
        assert tiff.is_ome
        assert tiff.series[0].axes == "TZYX"
        assert "PhysicalSizeX" in (tiff.ome_metadata or "")
        np.testing.assert_array_equal(tiff.series[0].asarray(), PLANES)


def test_an_imagej_stack_keeps_its_axes() -> None:
    metadata = {"axes": "ZCYX", "spacing": 2.0, "unit": "um"}
    stored = written(PLANES, imagej=True, resolution=(5.0, 5.0), metadata=metadata)
    with again(stack_of(stored)) as tiff:
        assert tiff.is_imagej
        assert tiff.series[0].shape == PLANES.shape
        assert tiff.imagej_metadata["spacing"] == 2.0
        assert tiff.pages[3].tags[282].value == (5, 1)
        np.testing.assert_array_equal(tiff.series[0].asarray(), PLANES)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_depth_comes_back_unchanged(dtype: type) -> None:
    data = (PLANES[0] / 300).astype(dtype)
    with again(stack_of(written(data, photometric="minisblack"))) as tiff:
        assert tiff.pages[0].dtype == dtype
        np.testing.assert_array_equal(tiff.asarray(), data)


def test_descriptions_can_be_stripped() -> None:
    stored = written(PLANES[0], photometric="minisblack", description="who and where")
    with again(stack_of(stored), WriteOptions(strip_metadata=True)) as tiff:
        assert tiff.pages[0].description == ""


def test_pages_of_several_sizes_are_refused() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        for side in (20, 30):
            tiff.write(np.zeros((side, side), np.uint8), photometric="minisblack")
    with pytest.raises(UnsupportedImage, match="several sizes"):
        decode_all(buffer.getvalue())


def test_a_page_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.tif"
    stored = written(PLANES[0], photometric="minisblack", compression="zlib")
    damaged = bytearray(stored)
    with tifffile.TiffFile(io.BytesIO(stored)) as tiff:
        start = tiff.pages[2].dataoffsets[0]
    damaged[start : start + 200] = bytes(200)
    path.write_bytes(damaged)
    with pytest.raises(CorruptImage, match="is damaged or cut short"):
        decode_all(path)


def test_a_stack_stays_in_its_container_and_depth() -> None:
    stack = stack_of(written(PLANES[0], photometric="minisblack"))
    with pytest.raises(UsageError, match="3 planes, which stay in TIFF"):
        encoded_stack(stack, ImageFormat.PNG, AS_IT_CAME)
    with pytest.raises(UsageError, match="keeps its 16 bits"):
        encoded_stack(stack, ImageFormat.TIFF, WriteOptions(bit_depth=8))
    with pytest.raises(UsageError, match="one size"):
        Stack(planes=(stack.planes[0], Picture(pixels=np.zeros((1, 2, 2), np.float32))))
