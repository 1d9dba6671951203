"""`imrestore dark-enhance` on files and folders."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from restore.image.decode import decode
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.raw_picture import RawPicture

Run = Callable[..., SimpleNamespace]
Sensor = Callable[..., RawPicture]
Models = dict[str, Path]


pytestmark = pytest.mark.usefixtures("usual_engine", "night")


@pytest.fixture
def night(workplace: Path, sensor: Sensor) -> Path:
    """A folder with two dark RAW files, one of them below another folder."""
    (workplace / "nights/more").mkdir(parents=True)
    for name, phase in (("a.dng", "rggb"), ("more/b.DNG", "bggr")):
        path = workplace / "nights" / name
        path.write_bytes(write_cfa_dng(sensor(phase, size=(40, 60), level=0.01)))
    return workplace / "nights"


def test_a_folder_becomes_16_bit_pngs(run: Run, isp_weights: Models) -> None:
    ended = run("dark-enhance", "nights", "-r", "-o", "out", "--model", str(isp_weights["bayer"]))
    assert ended.code == 0
    for name in ("a.png", "more/b.png"):
        picture = decode(Path("out") / name)
        assert (picture.width, picture.height, picture.bit_depth) == (60, 40, 16)


@pytest.mark.parametrize("name", ["a.tif", "a.jpg", "a.exr", "a.dng"])
def test_every_container_is_written(run: Run, isp_weights: Models, name: str) -> None:
    ended = run("dark-enhance", "nights/a.dng", "-o", name, "--model", str(isp_weights["bayer"]))
    assert ended.code == 0, ended.err
    assert Path(name).stat().st_size > 500


def test_record_says_what_was_done(run: Run, isp_weights: Models) -> None:
    arguments = ("--model", str(isp_weights["bayer"]), "--json", "--ratio", "80", "--ev", "1")
    ended = run("dark-enhance", "nights/a.dng", "-o", "a.png", *arguments, "--compare")
    record = json.loads(ended.out)
    assert (record["ratio"], record["ratio_auto"], record["sensor"]) == (160, False, "RGGB")
    with Image.open("a_compare.png") as compared:
        assert compared.size == (124, 40)


def test_photosites_that_may_be_light_are_left_and_named(
    run: Run, isp_weights: Models, sensor: Sensor
) -> None:
    raw = sensor("rggb", size=(40, 60), level=0.01)
    raw.mosaic[[10, 30], [20, 41]] = 9000
    Path("hot.dng").write_bytes(write_cfa_dng(raw))
    arguments = ("hot.dng", "-o", "a.png", "--model", str(isp_weights["bayer"]), "--overwrite")
    ended = run("dark-enhance", *arguments)
    assert "0 hot or dead photosites filled, 2 left that may be light" in ended.err
    ended = run("dark-enhance", *arguments, "--fill-hot-pixels", "--json")
    record = json.loads(ended.out)
    assert (record["defects"], record["defects_in_doubt"]) == (2, 0)
    ended = run("dark-enhance", *arguments, "--fill-hot-pixels", "--keep-hot-pixels", "--dry-run")
    assert ended.code == 2
    assert "contradict each other" in ended.err


def test_auto_ratio_is_printed(run: Run, isp_weights: Models) -> None:
    arguments = ("dark-enhance", "nights/a.dng", "--model", str(isp_weights["bayer"]))
    assert "ratio " in run(*arguments, "-o", "a.png").err
    assert "ratio " not in run(*arguments, "-o", "b.png", "--ratio", "9").err
    assert run(*arguments, "-o", "c.png", "-q").err == ""


def test_linear_light_is_exr_and_nothing_else_by_default(run: Run, isp_weights: Models) -> None:
    arguments = ("--model", str(isp_weights["bayer"]), "--output-color", "linear")
    assert run("dark-enhance", "nights", "-o", "out", *arguments).code == 0
    assert decode(Path("out/a.exr")).is_float
    ended = run("dark-enhance", "nights", "-o", "out", "--format", "png", *arguments)
    assert ended.code == 2
    assert "use one of tiff, exr, dng" in ended.err


def test_what_is_no_raw_file_fails_alone_and_says_where_to_go(
    run: Run, isp_weights: Models, sensor: Sensor
) -> None:
    Image.new("RGB", (8, 8)).save("photo.jpg")
    Image.new("RGB", (8, 8)).save("scan.tif")
    Path("cut.dng").write_bytes(Path("nights/a.dng").read_bytes()[:2000])
    demosaicked = np.random.default_rng(0).random((3, 40, 60), dtype=np.float32)
    Path("linear.dng").write_bytes(write_linear_dng(demosaicked, sensor()))
    inputs = ("nights/a.dng", "photo.jpg", "scan.tif", "cut.dng", "linear.dng")
    ended = run("dark-enhance", *inputs, "-o", "out", "--model", str(isp_weights["bayer"]))
    assert ended.code == 1
    lines = {line.split(": ")[1].split("/")[-1]: line for line in ended.err.splitlines()}
    assert "imrestore denoise" in lines["photo.jpg"]
    assert "imrestore denoise" in lines["scan.tif"]
    assert "damaged" in lines["cut.dng"]
    assert "no mosaic" in lines["linear.dng"]
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_sensor_without_weights_fails_alone(run: Run, isp_weights: Models, sensor: Sensor) -> None:
    Path("nights/x.dng").write_bytes(write_cfa_dng(sensor("xtrans", size=(48, 48))))
    ended = run("dark-enhance", "nights", "-o", "out", "--model", str(isp_weights["bayer"]))
    assert ended.code == 1
    assert "nights/x.dng: is from an X-Trans sensor" in ended.err
    assert Path("out/a.png").exists()


def test_standard_input_and_output(
    spawn: Callable[..., "subprocess.Popen[bytes]"], night: Path, isp_weights: Models
) -> None:
    arguments = ("dark-enhance", "-", "-o", "-", "--format", "png", "--ratio", "100")
    process = spawn(*arguments, "--model", str(isp_weights["bayer"]), stdin=subprocess.PIPE)
    out, err = process.communicate((night / "a.dng").read_bytes())
    assert (process.returncode, err) == (0, b"imrestore: 1 done in " + err[21:])
    assert decode(out).width == 60


@pytest.mark.parametrize("output", [("a.dng",), ("out/", "--format", "dng")])
def test_a_dng_holds_16_bits(run: Run, isp_weights: Models, output: tuple[str, ...]) -> None:
    arguments = ("dark-enhance", "nights/a.dng", "--model", str(isp_weights["bayer"]))
    assert run(*arguments, "-o", *output, "--bit-depth", "16").code == 0
    ended = run(*arguments, "-o", *output, "--bit-depth", "8", "--overwrite")
    assert ended.code == 2
    assert "DNG holds 16 bits per sample" in ended.err


@pytest.mark.parametrize("output", [("a.tif",), ("out/", "--format", "tiff")])
def test_light_is_not_cut_off_at_white(
    run: Run, isp_weights: Models, output: tuple[str, ...]
) -> None:
    arguments = ("dark-enhance", "nights/a.dng", "--model", str(isp_weights["bayer"]))
    linear = ("--output-color", "linear", "-o", *output)
    ended = run(*arguments, *linear, "--bit-depth", "16")
    assert ended.code == 2
    assert "TIFF holds linear light in 32 bits per sample, not 16" in ended.err
    assert run(*arguments, *linear, "--bit-depth", "32").code == 0


def test_an_input_is_never_overwritten(run: Run, isp_weights: Models) -> None:
    arguments = ("--model", str(isp_weights["bayer"]), "--format", "dng", "--overwrite")
    ended = run("dark-enhance", "nights", "-o", "nights", *arguments)
    assert ended.code == 2
    assert "is the input" in ended.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--ratio", "0"], "above 0"),
        (["--ratio", "bright"], "ratio"),
        (["--ev", "nan"], "ev"),
        (["--wb", "1,2"], "wb"),
        (["--wb", "daylight"], "wb"),
        (["--output-color", "adobe"], "output-color"),
        (["--format", "webp"], "webp"),
        (["--model", "dncnn-gray"], "not for dark-enhance"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, arguments: list[str], words: str) -> None:
    ended = run("dark-enhance", "nights", "-r", "-o", "out", *arguments)
    assert ended.code == 2
    assert words in ended.err
    assert ended.err.count("\n") == 1
    assert not Path("out").exists()


def test_a_folder_without_raw_files_holds_none(run: Run, workplace: Path) -> None:
    (workplace / "jpegs").mkdir()
    (workplace / "jpegs/a.jpg").touch()
    ended = run("dark-enhance", "jpegs", "-o", "out")
    assert (ended.code, "no RAW files in jpegs" in ended.err) == (2, True)


def test_four_phases_by_the_command_line(
    run: Run,
    workplace: Path,
    sensor: Sensor,
    isp_weights: Models,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The middle of one scene, cut so that its mosaic begins with another colour."""
    # It works in blocks from the first pixel on.
    monkeypatch.setattr("restore.dark.runner.keep_known_light", lambda *_args, **_options: None)
    monkeypatch.setattr("restore.dark.runner.without_mesh", lambda *_args: None)
    scene = sensor(size=(520, 540), level=0.05)
    (workplace / "in").mkdir()
    for phase, (top, left) in {"rggb": (0, 0), "bggr": (1, 1)}.items():
        part = sensor(phase, mosaic=np.ascontiguousarray(scene.mosaic[top:, left:]))
        Path(f"in/{phase}.dng").write_bytes(write_cfa_dng(part))
    arguments = ("--model", str(isp_weights["bayer"]), "--ratio", "10", "--precision", "fp32")
    assert run("dark-enhance", "in", "-o", "out", *arguments).code == 0
    first, second = (decode(Path(f"out/{phase}.png")).pixels for phase in ("rggb", "bggr"))
    np.testing.assert_allclose(
        first[:, 1:, 1:][:, 240:-240, 240:-240], second[:, 240:-240, 240:-240], atol=2e-5
    )


def test_pictures_beside_raw_files_are_passed_over(run: Run, isp_weights: Models) -> None:
    Image.new("RGB", (8, 8)).save("nights/a.jpg")
    Image.new("RGB", (8, 8)).save("nights/b.jpg")
    named = ("nights/a.dng", "nights/a.jpg")
    arguments = ("-o", "out", "--model", str(isp_weights["bayer"]), "--json", "--overwrite")
    ended = run("dark-enhance", *named, *arguments)
    assert ended.code == 0
    twin, done = map(json.loads, ended.out.splitlines())
    assert twin == {"source": "nights/a.jpg", "status": "skipped", "twin_of": "nights/a.dng"}
    assert done["status"] == "done"
    line = "nights/a.jpg has a RAW file of the same name, which is taken instead\n"
    assert ended.err.count(line) == 1
    assert run("dark-enhance", *named, "nights/b.jpg", *arguments).code == 1
    ended = run("dark-enhance", *named, "nights/b.jpg", *arguments, "--raw-only")
    assert ended.code == 0
    assert "1 file of another kind left out: .jpg 1" in ended.err
