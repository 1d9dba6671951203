"""Linear DNG files of radiance, as RAW converters read them."""

import io
from dataclasses import replace

import numpy as np
import pytest
import rawpy

from restore.errors import OutputError
from restore.hdr.dng import sensor_of
from restore.hdr.radiance import Radiance, guessed_where
from restore.image.codec import WriteOptions
from restore.image.codecs import ImageFormat
from restore.image.losses import losses, remarks
from restore.image.picture import Picture, Transfer
from restore.image.raw_picture import REFERENCE_CFA, RawPicture

_HEIGHT, _WIDTH = 40, 64


def _radiance(sensor: RawPicture | None = None) -> Radiance:
    """Return patches of four colours, one of them eight times as bright as white."""
    light = np.empty((3, _HEIGHT, _WIDTH), dtype=np.float32)
    for index, colour in enumerate(((0.2, 0.2, 0.2), (0.4, 0.1, 0.05), (1, 1, 1), (8, 8, 8))):
        light[:, :, 16 * index : 16 * (index + 1)] = np.array(colour)[:, None, None]
    picture = Picture(pixels=light, bit_depth=32, is_float=True, transfer=Transfer.LINEAR)
    known = guessed_where(np.zeros(light.shape[1:], dtype=bool))
    return Radiance(picture=picture, known=known, record={}, sensor=sensor)


def _camera() -> RawPicture:
    matrix = np.array([[0.9, -0.3, -0.1], [-0.4, 1.2, 0.2], [-0.1, 0.25, 0.6]], dtype=np.float32)
    raw = RawPicture(
        mosaic=np.zeros((_HEIGHT, _WIDTH), dtype=np.uint16),
        cfa=REFERENCE_CFA[2],
        black_level=(512.0,) * 4,
        white_level=16383,
        xyz_to_camera=matrix,
        make="Maker",
        model="Camera",
    )
    return sensor_of(raw, (2.0, 1.0, 1.6))


@pytest.mark.parametrize("sensor", [None, _camera()])
def test_libraw_develops_the_light_that_was_written(sensor: RawPicture | None) -> None:
    data = _radiance(sensor).encoded(ImageFormat.DNG)
    with rawpy.imread(io.BytesIO(data)) as raw:
        samples = raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, gamma=(1, 1), output_bps=16,
            output_color=rawpy.ColorSpace.sRGB, adjust_maximum_thr=0,
        )  # fmt: skip
    assert samples.shape[:2] == (_HEIGHT, _WIDTH)
    gray, orange, white, lamp = (
        samples[8:-8, 16 * index + 4 : 16 * (index + 1) - 4].mean(axis=(0, 1)) for index in range(4)
    )
    # Whatever LibRaw's scale is, light keeps its ratios and its colours.
    np.testing.assert_allclose(gray / white, 0.2, rtol=0.02)
    np.testing.assert_allclose(orange / white, (0.4, 0.1, 0.05), atol=0.01)
    np.testing.assert_allclose(lamp / white, 8, rtol=0.05)


def test_a_dng_of_light_has_no_alpha() -> None:
    radiance = _radiance()
    alpha = np.full((_HEIGHT, _WIDTH), 0.5, dtype=np.float32)
    cut = replace(radiance, picture=replace(radiance.picture, alpha=alpha))
    with pytest.raises(OutputError, match="alpha"):
        cut.encoded(ImageFormat.DNG)


def test_metadata_are_stripped_on_demand() -> None:
    radiance = _radiance(replace(_camera(), xmp=b"<x:xmpmeta>mine</x:xmpmeta>"))
    assert b"xmpmeta" in radiance.encoded(ImageFormat.DNG)
    stripped = radiance.encoded(ImageFormat.DNG, WriteOptions(strip_metadata=True))
    assert b"xmpmeta" not in stripped


def test_what_reading_left_out_and_changed_is_said() -> None:
    radiance = _radiance()
    picture = replace(radiance.picture, left_out=["1 more picture"], remarks=["has a palette"])
    with losses() as lost, remarks() as said:
        replace(radiance, picture=picture).encoded(ImageFormat.DNG)
    assert (lost, said) == (["1 more picture"], ["has a palette"])
