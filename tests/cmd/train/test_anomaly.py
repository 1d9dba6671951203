"""`imrestore train anomaly` as a user runs it."""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from imrestore.__main__ import run as command_line
from restore.anomaly.calibration import Calibration
from restore.anomaly.network import InspectionNetwork, Scored
from restore.anomaly.part import Part, read_part
from restore.anomaly.runner import Detector
from restore.errors import RestoreError
from restore.tasks import load

pytestmark = pytest.mark.usefixtures("few_trials")

Run = Callable[..., SimpleNamespace]
Parts = Callable[..., Path]
TINY = ("--size", "64", "--batch", "2", "--steps", "2", "--precision", "fp32")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, write_parts: Parts) -> Path:
    """Weights of a training on 12 parts that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_parts(folder / "good")
        assert (
            command_line(["train", "anomaly", "--good", "good", *TINY, "-o", "w.safetensors"]) == 0
        )
    return folder / "w.safetensors"


@pytest.mark.parametrize("model", ["draem", "ssim-ae", "vae"])
def test_trains_calibrates_and_inspects(run: Run, parts: Parts, model: str) -> None:
    parts()
    trained = run(
        "train", "anomaly", "--good", "good", "-o", "m.safetensors", "--model", model, *TINY,
        "--target-fpr", "0.25",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert "for 0.25 false alarms per good part, from 3 that were not trained on" in trained.err
    weights = load("m.safetensors")
    assert weights.task == "anomaly"
    assert weights.provenance["data"] == {
        "folder": "good", "pictures": 12, "trained_on": 8, "channels": 1, "bit_depth": 8,
    }  # fmt: skip
    with Path("m.history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert 0 <= float(rows[-1]["validation_auroc_percent"]) <= 100
    inspected = run("anomaly", "good", "--model", "m.safetensors", "-o", "r")
    assert inspected.code == 0, inspected.err


def test_thresholds_come_from_parts_that_were_not_trained_on(run: Run, parts: Parts) -> None:
    """The stored scores are those that inspection gives, to the last bit."""
    folder = parts(32)
    run("train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY, "--seed", "3")
    weights = load("m.safetensors")
    stored = Calibration.from_mapping(weights.provenance["calibration"])
    detector = Detector("m.safetensors", device="cpu", precision="fp32")
    scores = {detector(read_part(path)).score for path in sorted(folder.iterdir())}
    assert weights.provenance["inspection"]["edge_factors"], "edges count as in inspection"
    assert weights.provenance["inspection"]["texture"], "and so do textures"
    assert len(stored.scores) == 10, "a third, where the rate takes more"
    assert set(stored.scores) <= scores


@pytest.mark.parametrize(
    ("rate", "advice"),
    [("0.01", "which would guarantee 0.091"), ("0.1", "which is enough")],
)
def test_few_parts_are_warned_about(run: Run, parts: Parts, rate: str, advice: str) -> None:
    parts(10)
    arguments = ("train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY)
    ended = run(*arguments, "--target-fpr", rate)
    assert ended.code == 0
    assert f"3 held-out good parts cannot guarantee a false-alarm rate of {rate}" in ended.err
    assert f"; with --folds all 10 parts count, {advice}" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_calibration_stops_at_a_signal_and_goes_on(
    run: Run,
    parts: Parts,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    parts(12)
    arguments = ["train", "anomaly", "--good", "good", *TINY]
    scored = InspectionNetwork.__call__
    calls = []

    def interrupt(self: InspectionNetwork, pixels: np.ndarray) -> Scored:
        calls.append(os.kill(os.getpid(), number))
        return scored(self, pixels)

    with monkeypatch.context() as patched:
        patched.setattr(InspectionNetwork, "__call__", interrupt)
        stopped = run(*arguments, "-o", "m.safetensors")
    assert stopped.code == 128 + number
    assert "calibrating on 4 parts" in stopped.err
    assert "stopped while calibrating; continue with --resume" in stopped.err
    assert len(calls) == 1, "at the next part"
    assert not Path("m.safetensors").exists()
    resumed = run(*arguments, "-o", "m.safetensors", "--resume")
    assert resumed.code == 0, resumed.err
    one, other = load("m.safetensors"), load(whole)
    assert all(torch.equal(one.tensors[key], other.tensors[key]) for key in one.tensors)
    assert one.provenance["calibration"] == other.provenance["calibration"]


def test_a_continuation_with_added_parts_stops_and_goes_on(
    run: Run, parts: Parts, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts(12)
    arguments = [
        "anomaly", "calibrate", str(whole), "--good", "good", "--add-good", "good",
        "--time", "1s", "-o", "m.safetensors", "--json",
    ]  # fmt: skip

    def interrupt(self: InspectionNetwork, pixels: np.ndarray) -> Scored:
        os.kill(os.getpid(), signal.SIGTERM)
        return scored(self, pixels)

    scored = InspectionNetwork.__call__
    with monkeypatch.context() as patched:
        patched.setattr(InspectionNetwork, "__call__", interrupt)
        stopped = run(*arguments)
    assert (stopped.code, stopped.out) == (143, "")
    assert "stopped while calibrating; continue with --resume" in stopped.err
    steps = len(Path("m.history.csv").read_text().splitlines())
    resumed = run(*arguments, "--resume")
    assert resumed.code == 0, resumed.err
    assert len(Path("m.history.csv").read_text().splitlines()) == steps, "it does not begin again"
    record = json.loads(resumed.out)
    calibration = Calibration.from_mapping(load("m.safetensors").provenance["calibration"])
    reaching = [part["score"] for part in record["reaching"]]
    assert reaching == [s for s in reversed(calibration.scores) if s >= calibration.threshold()]
    assert all(Path(part["file"]).is_file() for part in record["reaching"])


def test_only_a_training_is_resumed(run: Run, parts: Parts, whole: Path) -> None:
    parts(12)
    ended = run(
        "anomaly", "calibrate", str(whole), "--good", "good", "-o", "m.safetensors", "--resume"
    )
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "give the --add-good" in ended.err


def test_reading_stops_at_a_signal(run: Run, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    parts(12)

    def interrupt(path: Path) -> Part:
        os.kill(os.getpid(), signal.SIGINT)
        return read_part(path)

    monkeypatch.setattr("restore.anomaly.data.read_part", interrupt)
    stopped = run("train", "anomaly", "--good", "good", *TINY, "-o", "m.safetensors")
    assert stopped.code == 130
    assert "stopped while pictures were read" in stopped.err


def test_three_parts_are_refused(run: Run, parts: Parts) -> None:
    parts(3)
    ended = run("train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "good: 3 usable pictures of good parts" in line
    assert "at least 10" in line


def test_depths_and_sizes_mix_and_strangers_are_left_out(run: Run, parts: Parts) -> None:
    folder = parts(12)
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 65535, (70, 40), dtype=np.uint16)).save(folder / "deep.png")
    Image.fromarray(rng.integers(0, 255, (70, 40, 3), dtype=np.uint8)).save(folder / "colour.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    ended = run("train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY)
    assert ended.code == 0, ended.err
    assert "colour.png: has 3 channels, most have 1; left out" in ended.err
    assert "broken.png: " in ended.err
    data = load("m.safetensors").provenance["data"]
    assert (data["pictures"], data["bit_depth"]) == (13, 16)


@pytest.mark.parametrize("channels", [3, 5])
def test_parts_of_several_channels(run: Run, parts: Parts, workplace: Path, channels: int) -> None:
    if channels == 3:
        parts(colour=True)
    else:
        (workplace / "good").mkdir()
        rng = np.random.default_rng(0)
        for index in range(12):
            values = rng.integers(0, 65535, (5, 60, 70), dtype=np.uint16)
            tifffile.imwrite(
                workplace / f"good/{index}.tif", values, photometric="minisblack",
                planarconfig="separate",
            )  # fmt: skip
    ended = run("train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY)
    assert ended.code == 0, ended.err
    assert load("m.safetensors").channels == channels


def test_defect_size_sets_the_scale_and_is_said(run: Run, parts: Parts) -> None:
    parts()
    ended = run(
        "train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY, "--defect-size", "16"
    )
    assert ended.code == 0, ended.err
    assert "--defect-size 16: pictures are reduced to 1/2 of their resolution" in ended.err
    assert load("m.safetensors").provenance["inspection"]["scale"] == 2


def test_the_best_weights_so_far_know_their_scale(
    run: Run, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts()

    def fail(_self: InspectionNetwork, _pixels: np.ndarray) -> None:
        raise RestoreError("the lamp went out")

    monkeypatch.setattr(InspectionNetwork, "__call__", fail)
    run("train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY, "--defect-size", "16")
    assert load("m.best.safetensors").provenance["inspection"] == {"scale": 2}


def test_the_same_seed_gives_the_same_weights(run: Run, parts: Parts, whole: Path) -> None:
    parts()
    run("train", "anomaly", "--good", "good", "-o", "a.safetensors", *TINY)
    first, second = load("a.safetensors"), load(whole)
    assert all(torch.equal(first.tensors[key], second.tensors[key]) for key in first.tensors)
    assert first.provenance["calibration"] == second.provenance["calibration"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "gan"], "model 'gan': use draem, ssim-ae, vae"),
        (["--size", "100"], "size 100: give a multiple of 16"),
        (["--size", "32"], "--size 32: give a multiple of 16, at least 64"),
        (["--target-fpr", "0"], "--target-fpr 0"),
        (["--defect-size", "small"], "--defect-size small"),
        (["--loss", "l1"], "loss 'l1'"),
        (["--beta", "-1"], "beta -1"),
        (["--latent", "0"], "latent 0: give a number from 1"),
        (["--folds", "1"], "--folds 1: give 0, or a number from 2 to 10"),
        (["--good", "nowhere"], "nowhere: not a folder"),
    ],
)
def test_wrong_usage_is_one_line(
    run: Run, parts: Parts, arguments: list[str], message: str
) -> None:
    parts()
    ended = run("train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY, *arguments)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert message in line
