"""The light of RAW files above the white of a developed picture."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore.errors import UsageError
from restore.hdr.radiance import Known
from restore.hdr.runner import HdrReconstructor
from restore.hdr.sensor_light import light_of_raw
from restore.image.raw_picture import RawPicture

Sensor = Callable[..., Any]
WHITE, BLACK, GAINS = 4095, 256, (2.0, 1.0, 1.5)


def raw_of(sensor: Sensor, light: np.ndarray[Any, np.dtype[np.float64]]) -> RawPicture:
    """Return a file of gray light ``[H, W]``, 1 where green saturates, seen with a warm balance."""
    mosaic = np.zeros(light.shape)
    for (row, column), gain in {(0, 0): 2.0, (0, 1): 1.0, (1, 0): 1.0, (1, 1): 1.5}.items():
        mosaic[row::2, column::2] = light[row::2, column::2] / gain
    codes = np.minimum(BLACK + mosaic * (WHITE - BLACK), WHITE).round().astype(np.uint16)
    raw: RawPicture = sensor("rggb", mosaic=codes)
    return replace(
        raw, black_level=(BLACK,) * 4, white_level=WHITE, saturation=None, white_balance=GAINS,
        xyz_to_camera=None, default_crop=None,
    )  # fmt: skip


def steps(*levels: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return areas of 32 columns, each of one level."""
    return np.repeat(np.array(levels), 32)[None].repeat(64, axis=0)


def test_colours_that_go_on_measure_light_above_white(sensor: Sensor) -> None:
    """Green ends at 1, blue at 1.5 and red at 2: of gray light of 1.3 only green is lost."""
    found = light_of_raw(raw_of(sensor, steps(0.3, 0.7, 1.3, 1.8, 5.0)))
    assert found.white == pytest.approx(2, rel=0.01)
    middles = found.light[:, 32, 16::32]
    np.testing.assert_allclose(middles[:, 0], 0.3, rtol=0.03)
    np.testing.assert_allclose(middles[:, 1], 0.7, rtol=0.03)
    np.testing.assert_allclose(middles[:, 2], 1.3, rtol=0.08)
    np.testing.assert_allclose(middles[:, 4], 2.0, rtol=0.01)
    assert found.lost[32, 16::32].tolist() == [False, False, False, False, True]
    assert found.partly[32, 16::32].tolist() == [False, False, True, True, False]


def test_only_what_no_colour_measured_is_guessed(sensor: Sensor) -> None:
    raw = raw_of(sensor, steps(0.3, 0.7, 1.3, 0.5, 5.0))
    result = HdrReconstructor("single")(replace(raw, xmp=b"<x:xmpmeta/>"))
    assert result.picture.xmp == b"<x:xmpmeta/>"
    assert result.known[32, 16::32].tolist() == [
        Known.MEASURED, Known.MEASURED, Known.PARTLY, Known.MEASURED, Known.GUESSED
    ]  # fmt: skip
    assert float(result.picture.pixels[:, 32, 4 * 32 + 16].min()) >= 1.99
    assert result.record["headroom_stops"] == pytest.approx(1, abs=0.02)
    assert result.record["partly"] > 0.1
    np.testing.assert_allclose(result.picture.pixels[:, 32, 16], 0.3, rtol=0.03)


def test_optics_take_no_raw_files(sensor: Sensor, tmp_path: Path) -> None:
    del tmp_path
    with pytest.raises(UsageError, match="mode optics takes linear pictures"):
        HdrReconstructor("optics")(raw_of(sensor, steps(0.5, 0.6)))
