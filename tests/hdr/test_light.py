"""Views of panoramas, and files of light."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.hdr.data import view, wrapped
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
