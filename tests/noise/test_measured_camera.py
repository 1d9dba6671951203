"""Tests of the file of a camera's noise."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from restore.errors import UsageError
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.noise.measured_camera import IsoNoise, MeasuredCamera, read_camera


@pytest.fixture
def camera() -> MeasuredCamera:
    return MeasuredCamera(
        make="Maker",
        model="One",
        height=40,
        width=60,
        black_level=(512.0, 512.5, 511.0, 512.0),
        white_level=16383.0,
        speeds=(
            IsoNoise(iso=100.0, a=(1e-5, 1e-5, 2e-5), b=(1e-7,) * 3, row=1e-4, flat=4, dark=2),
            IsoNoise(iso=1600.0, a=(16e-5, 16e-5, 32e-5), b=(4e-6,) * 3, row=4e-4, scenes=3),
        ),
        prnu=0.006,
        hot=((3, 4), (39, 59)),
    )


def test_a_file_gives_the_camera_again(camera: MeasuredCamera, tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text(camera.to_json())
    assert read_camera(path) == camera


def test_a_profile_has_rows_as_read_noise(camera: MeasuredCamera) -> None:
    profile = camera.profile(100)
    assert profile.a == pytest.approx((1e-5, 1e-5, 2e-5))
    assert profile.b == pytest.approx((1e-7 + 1e-8,) * 3)
    assert camera.profile(400).a[0] == pytest.approx(4e-5)
    assert camera.profile(25600).a == pytest.approx(camera.speeds[1].a)


def test_an_unknown_speed_needs_a_camera_of_one(camera: MeasuredCamera) -> None:
    with pytest.raises(UsageError, match="states no ISO speed"):
        camera.profile(None)


def test_hot_photosites_are_those_of_a_mosaic_of_the_same_size(camera: MeasuredCamera) -> None:
    def raw(height: int) -> RawPicture:
        return RawPicture(
            mosaic=np.zeros((height, 60), np.uint16),
            cfa=REFERENCE_CFA[2],
            black_level=(0,) * 4,
            white_level=1000,
        )

    where = camera.hot_photosites(raw(40))
    assert where is not None
    assert np.argwhere(where).tolist() == [[3, 4], [39, 59]]
    assert camera.hot_photosites(raw(42)) is None


def test_noise_is_drawn_between_the_speeds(camera: MeasuredCamera) -> None:
    a, b, row = camera.levels(200, torch.Generator().manual_seed(0))
    assert 1.3e-5 <= float(a.min()) < 2e-5
    assert 1.5e-4 < float(a.max()) <= 22e-5
    assert torch.equal(a.argsort(), b.argsort())
    assert torch.equal(a.argsort(), row.argsort())


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "another format": ({"format": "x"}, "format is 'x'"),
    "unknown field": ({"gain": 1}, "unknown field 'gain'"),
    "missing": ({"white_level": None}, "white_level is None"),
    "no number": ({"white_level": "12"}, "white_level is '12'"),
    "black above white": ({"black_level": [16384.0] * 4}, "black_level"),
    "no speeds": ({"speeds": []}, "speeds must be"),
    "negative": ({"prnu": -1}, "prnu is -1"),
    "outside": ({"hot": [[40, 0]]}, r"hot has \[40, 0\]"),
    "not finite": ({"height": float("nan")}, "height is nan"),
    "too large for a float": ({"white_level": 10**400}, "white_level is 10000"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_field_is_named(camera: MeasuredCamera, tmp_path: Path, case: str) -> None:
    changes, message = BROKEN[case]
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({**json.loads(camera.to_json()), **changes}))
    with pytest.raises(UsageError, match=message) as caught:
        read_camera(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[", "[]", "null", "[" * 100_000])
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "camera.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is no camera noise file"):
        read_camera(path)
