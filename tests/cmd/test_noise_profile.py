"""`imrestore noise-profile`, and what takes its file."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from restore.image.dng import write_cfa_dng
from restore.image.raw import read_raw
from restore.image.raw_picture import REFERENCE_CFA, RawPicture
from restore.image.shot import Shot, completed_exif
from restore.noise.measured_camera import IsoNoise, MeasuredCamera, read_camera

Run = Callable[..., SimpleNamespace]

A, B, SIDE, BLACK, WHITE = 2e-4, 4e-6, 256, 512.0, 16383.0


def shot(light: float, seed: int) -> RawPicture:
    rng = np.random.default_rng(seed)
    seen = A * rng.poisson(light / A, (SIDE, SIDE)) + np.sqrt(B) * rng.normal(size=(SIDE, SIDE))
    seen[40, 31] += 0.3
    return RawPicture(
        mosaic=np.rint(BLACK + (WHITE - BLACK) * seen).clip(0, WHITE).astype(np.uint16),
        cfa=REFERENCE_CFA[2],
        black_level=(BLACK,) * 4,
        white_level=WHITE,
        iso=800.0,
        make="Maker",
        model="One",
        exif=completed_exif(None, Shot(iso=800.0, make="Maker", model="One")),
    )


@pytest.fixture(autouse=True)
def frames(workplace: Path) -> Path:
    folder = workplace / "frames"
    folder.mkdir()
    for index, light in enumerate((0.0, 0.0, 0.5, 0.5)):
        (folder / f"{index}.dng").write_bytes(write_cfa_dng(shot(light, index)))
    return folder


@pytest.fixture
def camera(workplace: Path) -> str:
    one = MeasuredCamera(
        height=48,
        width=66,
        black_level=(BLACK,) * 4,
        white_level=WHITE,
        speeds=(IsoNoise(iso=100.0, a=(A,) * 3, b=(B,) * 3, row=1e-3),),
        hot=((10, 20),),
    )
    (workplace / "camera.json").write_text(one.to_json())
    return "camera.json"


def test_a_camera_is_measured_and_plotted(run: Run) -> None:
    ended = run("noise-profile", "frames", "-o", "camera.json")
    assert ended.code == 0, ended.err
    camera = read_camera("camera.json")
    assert camera.speeds[0].a == pytest.approx((A,) * 3, rel=0.05)
    assert camera.speeds[0].b == pytest.approx((B,) * 3, rel=0.05)
    assert (40, 31) in camera.hot
    assert "2 dark frames, 2 flat frames, 0 ordinary files" in ended.err
    assert "800" in ended.out
    assert Path("camera.png").read_bytes().startswith(b"\x89PNG")
    again = run("noise-profile", "frames", "-o", "camera.json")
    assert (again.code, "--overwrite" in again.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none/", "-o", "camera.json"), "none"),
        (("frames", "-o", "camera.txt"), "ends with .json"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, words: tuple[str, ...], message: str) -> None:
    ended = run("noise-profile", *words)
    assert ended.code == 2
    assert message in ended.err
    assert not Path("camera.json").exists()


def test_all_inputs_without_raw_files_are_named(run: Run, workplace: Path) -> None:
    for name in ("one", "two"):
        (workplace / name).mkdir()
    ended = run("noise-profile", "one", "two", "-", "-o", "camera.json")
    assert (ended.code, ended.err) == (2, "imrestore: no RAW files in one, two, -\n")


def test_denoise_takes_the_file(
    run: Run, sensor: Callable[..., RawPicture], mosaic_model: Path, camera: str
) -> None:
    raw = sensor(size=(48, 66), level=0.2)
    mosaic = raw.mosaic.copy()
    mosaic[10, 20] = 16000
    Path("one.dng").write_bytes(write_cfa_dng(replace(raw, mosaic=mosaic)))
    ended = run(
        *("denoise", "one.dng", "-o", "out.dng", "--model", str(mosaic_model)),
        *("--noise-profile", camera, "--json"),
    )
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert record["noise_a"][0] == pytest.approx(A)
    assert record["noise_b"][0] == pytest.approx(B + 1e-6)
    assert record["hot_filled"] == 1
    assert read_raw(Path("out.dng")).mosaic[10, 20] < 15000


def test_a_file_of_another_camera_is_refused_by_name(
    run: Run, mosaic_model: Path, camera: str
) -> None:
    other = replace(read_camera(camera), make="Maker", model="Two")
    Path(camera).write_text(other.to_json())
    ended = run(
        *("denoise", "frames/2.dng", "-o", "out.dng", "--model", str(mosaic_model)),
        *("--noise-profile", camera),
    )
    assert ended.code == 1
    assert "2.dng: is from a Maker One, and --noise-profile is of a Maker Two" in ended.err


def test_a_broken_file_is_refused_before_work(run: Run, camera: str) -> None:
    Path(camera).write_text("{}")
    ended = run("denoise", "frames", "-o", "out/", "--noise-profile", camera)
    assert ended.code == 2
    assert "is no camera noise file" in ended.err
    assert not list(Path("out").glob("*"))


def test_training_and_evaluation_take_the_file(run: Run, camera: str) -> None:
    ended = run("train", "denoise", "x", "-o", "x.safetensors", "--camera", camera, "--steps", "1")
    assert (ended.code, "--camera is for --raw" in ended.err) == (2, True)
    ended = run("evaluate", "denoise", "x", "--camera", camera)
    assert "--raw alone has cameras" in ended.err
