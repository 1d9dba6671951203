"""`imrestore hdr`, `train hdr` and `evaluate hdr` as a user runs them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import restore
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer
from restore.image.raw_picture import RawPicture
from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig
from restore.models.optical_element import set_element
from restore.weights.store import Weights, save_weights

Run = Callable[..., Any]
Sensor = Callable[..., RawPicture]

pytestmark = pytest.mark.usefixtures("usual_engine")


def _save(path: Path, psf: torch.Tensor | None) -> Path:
    torch.manual_seed(0)
    size = 0 if psf is None else psf.shape[1]
    network = HdrResUNet(HdrResUNetConfig(widths=(4, 6), psf_size=size))
    if psf is not None:
        set_element(network, psf)
    tensors = dict(network.state_dict())
    weights = Weights(
        name=path.stem, network=HdrResUNet, config=network.config, task="hdr",
        tensors=tensors,
    )  # fmt: skip
    save_weights(weights, path)
    return path


@pytest.fixture
def plain(workplace: Path) -> str:
    """Weights for ordinary pictures."""
    return str(_save(workplace / "plain.safetensors", None))


@pytest.fixture
def coded(workplace: Path) -> str:
    """Weights for captures through an element."""
    psf = torch.zeros(3, 9, 9)
    psf[:, 4, 4], psf[:, 4, 8] = 0.8, 0.2
    return str(_save(workplace / "coded.safetensors", psf))


@pytest.fixture
def scene(workplace: Path) -> str:
    """A panorama of high dynamic range."""
    light = np.random.default_rng(0).lognormal(-1, 1.5, (3, 64, 128)).astype(np.float32)
    picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    folder = workplace / "scenes"
    folder.mkdir()
    (folder / "scene.exr").write_bytes(encode(picture, ImageFormat.EXR))
    return str(folder / "scene.exr")


@pytest.fixture
def photograph(workplace: Path) -> str:
    """A photograph with a blown-out patch."""
    values = np.random.default_rng(0).integers(20, 180, (48, 64, 3), dtype=np.uint8)
    values[10:20, 20:40] = 255
    Image.fromarray(values).save(workplace / "photo.png")
    return "photo.png"


@pytest.mark.parametrize("name", ["out.exr", "out.hdr", "out.tif", "out.jpg"])
def test_a_photograph_becomes_light(
    run: Run, plain: str, photograph: str, workplace: Path, name: str
) -> None:
    ended = run("hdr", photograph, "-o", name, "--model", plain, "--device", "cpu")
    assert ended.code == 0, ended.err
    picture = decode(workplace / name)
    assert (picture.width, picture.height) == (64, 48)
    assert picture.is_float == (name != "out.jpg")


@pytest.mark.parametrize(
    ("name", "depth", "words"),
    [("out.tif", "16", "TIFF holds linear light in 32"), ("out.jpg", "16", "JPEG holds")],
)
def test_light_is_not_cut_off_at_white(
    run: Run, plain: str, photograph: str, workplace: Path, name: str, depth: str, words: str
) -> None:
    arguments = ("hdr", photograph, "-o", name, "--model", plain, "--bit-depth", depth)
    ended = run(*arguments)
    assert ended.code == 2
    assert words in ended.err
    assert not (workplace / name).exists()


def test_a_folder_gets_exr_previews_and_masks(
    run: Run, plain: str, photograph: str, workplace: Path
) -> None:
    (workplace / "in").mkdir()
    shutil.move(photograph, workplace / "in" / photograph)
    ended = run(
        "hdr", "in", "-o", "out", "--model", plain, "--preview", "--write-mask", "--json"
    )  # fmt: skip
    assert ended.code == 0, ended.err
    written = sorted(path.name for path in (workplace / "out").iterdir())
    assert written == ["photo.exr", "photo_mask.png", "photo_preview.jpg"]
    record = json.loads(ended.out)
    assert record["guessed"] == pytest.approx(200 / (48 * 64), abs=1e-6)
    mask = np.asarray(Image.open(workplace / "out" / "photo_mask.png"))
    assert np.unique(mask).tolist() == [0, 255]
    again = run("hdr", "in", "-o", "out", "--model", plain, "--preview")
    assert again.code == 2
    assert "exist already" in again.err


def test_simulation_and_decoding_are_a_round_trip_of_files(
    run: Run, coded: str, scene: str, workplace: Path
) -> None:
    made = run("hdr", scene, "-o", "capture.exr", "--simulate", "--model", coded, "-v")
    assert made.code == 0, made.err
    assert "saturated" in made.err
    capture = decode(workplace / "capture.exr").pixels
    assert capture.max() == 1
    decoded = run("hdr", "capture.exr", "-o", "back.exr", "--mode", "optics", "--model", coded)
    assert decoded.code == 0, decoded.err
    assert decode(workplace / "back.exr").pixels.shape == capture.shape


def test_what_does_not_fit_is_said_in_one_line(
    run: Run, plain: str, coded: str, photograph: str, workplace: Path
) -> None:
    psf = np.zeros((9, 9))
    psf[0, 0] = 1
    np.save(workplace / "other.npy", psf)
    (workplace / "empty.npz").touch()
    (workplace / "empty.npy").touch()
    for arguments, hint in (
        (["--model", coded], "--mode optics"),
        (["--model", plain, "--mode", "optics"], "--mode single"),
        (["--model", coded, "--mode", "optics", "--psf", "other.npy"], "--optics fixed --psf"),
        (["--model", coded, "--mode", "optics", "--psf", "empty.npz"], "empty.npz: not a point"),
        (["--model", coded, "--mode", "optics", "--psf", "empty.npy"], "empty.npy: not a point"),
        (["--model", plain, "--psf", "other.npy"], "--psf goes with"),
        (["--model", plain, "--exposures", "1,2"], "--mode merge"),
        (["--mode", "merge", "--simulate"], "--simulate"),
        (["--simulate", "--saturation", "0.9"], "--mode single or --mode optics or --mode merge"),
        (["--simulate", "--model", coded, "--saturation", "0.9"], "--saturation goes with"),
        (["--mode", "merge", "--model", plain], "--model goes with"),
        (["--model", plain, "--bits", "10"], "--bits goes with --simulate"),
        (["--model", plain, "--exposure", "auto"], "--exposure auto goes with --simulate"),
        (["--model", plain, "--no-align"], "--no-align goes with --mode merge"),
        (["--mode", "double"], "single, optics, merge"),
        (["--format", "png"], "is not written of light"),
    ):
        ended = run("hdr", photograph, "-o", "out.exr", *arguments)
        assert ended.code == 2, arguments
        assert hint in ended.err
        assert len(ended.err.strip().splitlines()) == 1
    assert not (workplace / "out.exr").exists()


def test_a_picture_that_is_hdr_already_fails_alone(
    run: Run, plain: str, photograph: str, scene: str, workplace: Path
) -> None:
    ended = run("hdr", photograph, scene, "-o", "out/", "--model", plain)
    assert ended.code == 1
    assert "scene.exr: has light above white" in ended.err
    assert [path.name for path in (workplace / "out").iterdir()] == ["photo.exr"]


def test_training_writes_weights_that_the_command_takes(
    run: Run, scene: str, photograph: str, workplace: Path
) -> None:
    ended = run(
        "train", "hdr", "scenes", "--optics", "none", "-o", "mine.safetensors", "--steps", "2",
        "--batch", "2", "--patch", "32", "--width", "4,6", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert run("weights", "verify", "mine.safetensors").code == 0
    used = run("hdr", photograph, "-o", "out.exr", "--model", "mine.safetensors")
    assert used.code == 0, used.err
    for arguments, hint in (
        (["--optics", "fixed"], "--optics fixed"),
        (["--optics", "none", "--saturated", "x"], "as in 1:2"),
        (["--optics", "none", "--width", "0"], "positive whole numbers"),
        (["--optics", "none", "--patch", "33", "--width", "4,6"], "multiple of 2"),
        (["--optics", "none", "--cells", "64"], "--cells does nothing here"),
        (["--optics", "fixed", "--psf", "x.npz", "--element", "free"], "--element does nothing"),
        (["--optics", "none", "--model", "unet", "--blocks", "2"], "--blocks does nothing here"),
    ):
        refused = run("train", "hdr", "scenes", "-o", "no.safetensors", "--steps", "1", *arguments)
        assert refused.code == 2, arguments
        assert hint in refused.err
    del scene, workplace


def test_evaluation_puts_networks_beside_their_twin(
    run: Run, plain: str, coded: str, scene: str, workplace: Path
) -> None:
    (workplace / "scenes" / "flat.png").write_bytes(
        encode(Picture(pixels=np.zeros((3, 8, 8), np.float32)), ImageFormat.PNG)
    )
    arguments = ["scenes", "--model", coded, "--twin", plain, "--size", "32", "--views", "2"]
    ended = run("evaluate", "hdr", *arguments, "--json")
    assert ended.code == 1
    assert "flat.png: is no HDR picture" in ended.err
    records = [json.loads(line) for line in ended.out.splitlines()]
    assert [record.get("model") for record in records[:3]] == [
        "the exposure itself", "coded", "plain"
    ]  # fmt: skip
    last = records[-1]
    assert last["scenes"] == 2
    for name in ("coded", "plain", "the exposure itself"):
        mean = last["mean"][name]
        each = [one["saturated"]["mu"] for one in records[:-1] if one["model"] == name]
        assert mean["saturated_mu"] == pytest.approx(sum(each) / 2, abs=1e-3)
    table = run("evaluate", "hdr", *arguments)
    assert "saturated pixels" in table.out
    assert "protocol: " in table.out
    del scene


def test_evaluation_takes_real_captures(run: Run, coded: str, workplace: Path) -> None:
    rng = np.random.default_rng(0)
    light = np.kron(rng.random((12, 12, 3)), np.ones((8, 8, 1))) ** 3
    light[40:56, 40:56] = 3.0
    for name in ("lamp", "window"):
        (workplace / "captures" / name).mkdir(parents=True)
        for stops, kind in ((0, "wPSF_0"), (0, "woutPSF_0.00"), (-2, "woutPSF_-2.00")):
            codes = (255 * (light * 2.0**stops).clip(0, 1)).astype(np.uint8)
            Image.fromarray(codes).save(workplace / "captures" / name / f"{kind}_stop.png")
    arguments = ["--captures", "captures", "--model", coded, "--twin", "none"]
    ended = run("evaluate", "hdr", *arguments, "--json")
    assert ended.code == 0, ended.err
    *records, last = [json.loads(line) for line in ended.out.splitlines()]
    assert [record["model"] for record in records] == ["the exposure itself", "coded"] * 2
    mean = last["mean"]["the exposure itself"]
    assert mean["stops_mean"] == pytest.approx(np.log2(3), abs=0.05)
    assert len(mean["stops_interval"]) == 2
    found = restore.evaluate("hdr", captures="captures", model=coded, precision="fp32")
    assert found.means("model")[0]["stops_mean"] == pytest.approx(mean["stops_mean"], abs=1e-4)
    table = run("evaluate", "hdr", *arguments)
    assert "95 % interval over scenes" in table.out
    for more, hint in (
        (["scenes"], "give a folder"),
        (["--size", "64"], "--size is not for --captures"),
    ):
        refused = run("evaluate", "hdr", *arguments, *more)
        assert refused.code == 2
        assert hint in refused.err


def test_raw_files_are_taken_as_they_are(run: Run, workplace: Path, sensor: Sensor) -> None:
    mosaic = np.full((64, 64), 1500, dtype=np.uint16)
    (workplace / "shot.dng").write_bytes(write_cfa_dng(sensor("rggb", mosaic=mosaic)))
    ended = run(
        "hdr", "shot.dng", "-o", "shot.exr", "--max-stops", "2", "--json", "--compare",
        "--write-mask",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    record = json.loads(ended.out.splitlines()[0])
    assert record["max_stops"] == 2
    assert "headroom_stops" in record
    assert decode(workplace / "shot.exr").pixels.shape == (3, 64, 64)
    assert (workplace / "shot_compare.png").is_file()
    refused = run("hdr", "shot.dng", "-o", "no.exr", "--mode", "merge", "--max-stops", "2")
    assert refused.code == 2
    assert "--max-stops goes with" in refused.err


def test_of_a_raw_file_and_its_jpeg_the_raw_file_is_taken(
    run: Run, workplace: Path, sensor: Sensor
) -> None:
    (workplace / "card").mkdir()
    mosaic = np.full((64, 64), 1500, dtype=np.uint16)
    (workplace / "card" / "shot.dng").write_bytes(write_cfa_dng(sensor("rggb", mosaic=mosaic)))
    Image.new("RGB", (64, 64), (90, 90, 90)).save(workplace / "card" / "shot.jpg")
    ended = run("hdr", "card", "-o", "light", "--json")
    assert ended.code == 0, ended.err
    sources = {json.loads(line)["source"]: json.loads(line) for line in ended.out.splitlines()}
    assert "headroom_stops" in sources["card/shot.dng"]
    assert sources["card/shot.jpg"]["status"] == "skipped"
