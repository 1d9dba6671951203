"""Tests of measuring a camera in its RAW files, on a synthetic camera."""

from pathlib import Path
from weakref import ref

import numpy as np
import pytest

from restore.errors import UsageError
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.noise import fixed_pattern, photon_transfer
from restore.noise.frame_kinds import FrameKind, kind_of
from restore.noise.photon_transfer import Measured, measure_camera

SIDE = 384
BLACK, WHITE = 600.0, 16383.0
RANGE = WHITE - BLACK
HOT = ((20, 31), (200, 101), (301, 302))


class Camera:
    """A sensor with shot, read and row noise, uneven gains and hot photosites."""

    def __init__(self, a: float, b: float, row: float, *, prnu: float = 0.0) -> None:
        self.a, self.b, self.row = a, b, row
        self.rng = np.random.default_rng(0)
        self.gains = 1 + prnu * self.rng.standard_normal((SIDE, SIDE))

    def frame(
        self, light: float | np.ndarray, *, iso: float = 400, time_s: float = 0.01
    ) -> RawPicture:
        rows, columns = np.indices((SIDE, SIDE)) / SIDE - 0.5
        seen = light * (1 - 0.4 * (rows**2 + columns**2))
        colours = np.array([0.6, 1.0, 0.7, 1.0])[np.tile(REFERENCE_CFA[2], (SIDE // 2, SIDE // 2))]
        seen = seen * colours * self.gains
        read = np.sqrt(self.b) * self.rng.standard_normal(seen.shape)
        offsets = self.row * self.rng.standard_normal((SIDE, 1))
        samples = self.a * self.rng.poisson(seen / self.a) + read + offsets
        for row, column in HOT:
            samples[row, column] += 0.2
        return RawPicture(
            mosaic=np.rint(BLACK + RANGE * samples).clip(0, WHITE).astype(np.uint16),
            cfa=REFERENCE_CFA[2],
            black_level=(BLACK,) * 4,
            white_level=WHITE,
            iso=iso,
            exposure_time_s=time_s,
            make="Maker",
            model="Synthetic",
        )

    def scene(self, iso: float = 400) -> RawPicture:
        rows, columns = np.indices((SIDE, SIDE)) // 64
        return self.frame(0.3 + 0.3 * ((rows + columns) % 2), iso=iso)


def measured(
    monkeypatch: pytest.MonkeyPatch, frames: list[RawPicture]
) -> tuple[Measured, list[str]]:
    by_path = {Path(f"{index}.dng"): frame for index, frame in enumerate(frames)}
    monkeypatch.setattr(photon_transfer, "read_raw", by_path.__getitem__)
    said: list[str] = []
    return measure_camera(list(by_path), said.append), said


def test_flats_and_darks_give_the_noise_within_five_percent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera = Camera(2e-4, 4e-6, 5e-4, prnu=0.01)
    frames = [camera.frame(light, time_s=light) for light in (0.1, 0.1, 0.4, 0.4, 0.8, 0.8)]
    found, said = measured(monkeypatch, [*frames, camera.frame(0), camera.frame(0)])
    (speed,) = found.camera.speeds
    assert speed.a == pytest.approx((2e-4,) * 3, rel=0.05)
    assert speed.b == pytest.approx((4e-6,) * 3, rel=0.05)
    assert speed.row == pytest.approx(5e-4, rel=0.1)
    assert found.camera.prnu == pytest.approx(0.01, rel=0.1)
    assert found.camera.black_level == pytest.approx((BLACK,) * 4, abs=1)
    assert set(HOT) <= set(found.camera.hot)
    assert len(found.camera.hot) < len(HOT) + 5
    assert (speed.flat, speed.dark, speed.scenes) == (6, 2, 0)
    assert (found.camera.name, said) == ("Maker Synthetic", [])


def test_each_speed_has_its_own_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = Camera(5e-5, 1e-6, 0), Camera(8e-4, 2e-5, 0)
    frames = [
        camera.frame(light, iso=iso, time_s=light)
        for camera, iso in ((high, 6400), (low, 400))
        for light in (0, 0, 0.5, 0.5)
    ]
    found, _ = measured(monkeypatch, frames)
    assert [speed.iso for speed in found.camera.speeds] == [400, 6400]
    assert [speed.a[1] for speed in found.camera.speeds] == pytest.approx([5e-5, 8e-4], rel=0.05)
    between = found.camera.at(1600)
    assert between.a[1] == pytest.approx(2e-4, rel=0.06)


def test_a_single_flat_frame_counts_its_pattern_and_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera = Camera(2e-4, 4e-6, 0)
    frames = [camera.frame(light, time_s=light) for light in (0.2, 0.6)]
    found, said = measured(monkeypatch, [*frames, camera.frame(0)])
    assert found.camera.speeds[0].a == pytest.approx((2e-4,) * 3, rel=0.1)
    assert any("pattern counts as noise" in line for line in said)


def test_ordinary_files_are_estimated_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(2e-4, 4e-6, 0)
    found, said = measured(monkeypatch, [camera.scene(iso=6400)])
    speed = found.camera.speeds[0]
    assert speed.a[1] == pytest.approx(2e-4, rel=0.3)
    assert (speed.scenes, found.points, found.camera.prnu) == (1, (), None)
    assert any("estimated in ordinary files" in line for line in said)


def test_of_ordinary_files_one_is_in_memory_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, frames, most = Camera(2e-4, 4e-6, 0), list[ref[RawPicture]](), 0

    def read(path: Path) -> RawPicture:
        nonlocal most
        frame = camera.scene(iso=6400 if path.stem == "0" else 400)
        frames.append(ref(frame))
        most = max(most, sum(each() is not None for each in frames))
        return frame

    monkeypatch.setattr(photon_transfer, "read_raw", read)
    found = measure_camera([Path(f"{index}.dng") for index in range(5)], lambda _: None)
    assert [speed.scenes for speed in found.camera.speeds] == [4, 1]
    assert most <= 3, "the first one, the last one and the one that is read"


def test_more_defects_than_the_file_may_name_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fixed_pattern, "MOST_HOT", len(HOT) - 1)
    camera = Camera(2e-4, 4e-6, 0)
    found, said = measured(monkeypatch, [camera.frame(light) for light in (0, 0, 0.5, 0.5)])
    assert found.camera.hot == ()
    assert any("photosites stand out, more than can be defective" in line for line in said)


def test_dark_frames_alone_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(2e-4, 4e-6, 0)
    with pytest.raises(UsageError, match="ISO 400: dark frames alone"):
        measured(monkeypatch, [camera.frame(0), camera.frame(0)])


def test_files_of_two_cameras_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Camera(2e-4, 4e-6, 0).frame(0.5)
    other = RawPicture(**{**vars(frame), "model": "Other"})
    with pytest.raises(UsageError, match="another camera"):
        measured(monkeypatch, [frame, other])


def test_what_a_frame_shows_is_told_apart() -> None:
    camera = Camera(2e-4, 4e-6, 5e-4)
    kinds = [kind_of(camera.frame(light)) for light in (0, 0.05, 0.5)]
    assert kinds == [FrameKind.DARK, FrameKind.FLAT, FrameKind.FLAT]
    assert kind_of(camera.scene()) is FrameKind.SCENE
