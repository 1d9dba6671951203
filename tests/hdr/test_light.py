"""Panoramas, tone mapping, gain maps and interpolated mosaics."""

import io
import math
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from PIL import Image

from restore.errors import OutputError
from restore.hdr.data import view, wrapped
from restore.hdr.radiance import tone_mapped, write_gain_map
from restore.image.codec import SampleEncoding
from restore.image.picture import Picture, Transfer

HEIGHT = 90


def _sky() -> torch.Tensor:
    """A panorama whose channels are longitude as cosine and sine, and latitude."""
    longitude = (torch.arange(2 * HEIGHT) + 0.5) / HEIGHT * math.pi - math.pi
    latitude = math.pi / 2 - (torch.arange(HEIGHT) + 0.5) / HEIGHT * math.pi
    planes = (longitude.cos().expand(HEIGHT, -1), longitude.sin().expand(HEIGHT, -1),
              latitude[:, None].expand(-1, 2 * HEIGHT))  # fmt: skip
    return wrapped(torch.stack(planes))


@pytest.mark.parametrize("yaw", [0.0, 1.0, math.pi, -2.5])
@pytest.mark.parametrize("pitch", [0.0, 0.6, -0.6])
def test_the_middle_of_a_view_looks_where_it_is_told(yaw: float, pitch: float) -> None:
    seen = view(_sky(), yaw, pitch, 0.0, math.radians(60), side=31)[:, 15, 15]
    expected = torch.tensor([math.cos(yaw), math.sin(yaw), pitch])
    torch.testing.assert_close(seen, expected, atol=0.01, rtol=0)


def test_a_view_is_as_wide_as_its_angle_and_upright() -> None:
    seen = view(_sky(), 0.0, 0.0, 0.0, math.radians(90), side=101)
    left, right = (math.atan2(seen[1, 50, i], seen[0, 50, i]) for i in (0, 100))
    assert math.degrees(right - left) == pytest.approx(90, abs=1)
    assert seen[2, 0, 50] > 0.7
    assert seen[2, 100, 50] < -0.7


def _light(values: np.ndarray) -> Picture:
    return Picture(
        pixels=values.astype(np.float32), bit_depth=32, is_float=True, transfer=Transfer.LINEAR
    )


def test_a_preview_shows_shadows_and_lights_and_keeps_order_and_hue() -> None:
    ramp = np.geomspace(0.001, 64, 200)
    light = np.stack([ramp, ramp * 0.5, ramp * 0.25])[:, None].repeat(20, axis=1)
    shown = tone_mapped(_light(light))
    assert shown.transfer is Transfer.SRGB
    green = shown.pixels[1, 0]
    assert (np.diff(green) >= 0).all()
    assert green[100] > 0.2
    assert shown.pixels.max() <= 1
    assert (shown.pixels[0, 0, :150] >= shown.pixels[2, 0, :150]).all()


def test_a_preview_of_a_large_picture_is_small_and_as_bright() -> None:
    light = np.random.default_rng(0).random((1, 30, 5000))
    small, large = tone_mapped(_light(light[:, :, :2000])), tone_mapped(_light(light))
    assert (large.height, large.width) == (10, 1666)
    assert large.pixels.mean() == pytest.approx(small.pixels.mean(), rel=0.1)


@pytest.mark.parametrize("size", [(64, 96), (63, 95)])
def test_a_gain_map_is_a_jpeg_that_holds_light_beyond_white(size: tuple[int, int]) -> None:
    light = np.full((3, *size), 0.3)
    light[:, 10:30, 10:30] = 12.0
    data = write_gain_map(_light(light))
    shown = np.asarray(Image.open(io.BytesIO(data)))
    assert shown.dtype == np.uint8
    restored = imagecodecs.ultrahdr_decode(data).astype(np.float32)[..., :3]
    assert restored[20, 20].mean() == pytest.approx(12, rel=0.1)
    assert restored[50, 50].mean() == pytest.approx(0.3, rel=0.1)


def test_what_is_too_small_for_a_gain_map_is_refused() -> None:
    with pytest.raises(OutputError, match="--format exr"):
        write_gain_map(_light(np.ones((3, 1, 1))))


def test_a_file_of_light_can_carry_attributes(tmp_path: Path) -> None:
    import OpenEXR

    from restore.image.exr import write_exr

    path = tmp_path / "light.exr"
    encoding = SampleEncoding(bit_depth=32, is_float=True)
    attributes = {"whiteScale": 2.0, "imrestoreMode": "single"}
    path.write_bytes(write_exr(_light(np.ones((3, 4, 5))), encoding, attributes=attributes))
    with OpenEXR.File(str(path)) as file:
        header = dict(file.header())
    assert header["whiteScale"] == 2.0
    assert header["imrestoreMode"] == "single"
