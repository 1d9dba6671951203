"""`imrestore train denoise` as a user runs it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.weights import load

TINY = ["--gray", "--model=dncnn", "--depth=3", "--width=8", "--patch=16", "--batch=4"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (40, 50), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "imrestore", "train", "denoise", *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def test_trains_and_says_what_it_wrote(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    result = run(photos, "-o", output, *TINY, "--steps", "3")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert "step 1" in result.stderr
    assert f"{output}: " in result.stderr
    assert load(output).provenance["recipe"]["steps"] == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_saves_and_resume_goes_on(photos: Path, tmp_path: Path, number: int) -> None:
    output, checkpoint = tmp_path / "mine.safetensors", tmp_path / "mine.checkpoint"
    arguments = [photos, "-o", output, *TINY, "--steps", "400"]
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "step 1," in process.stderr.readline()
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "--resume" in messages
    assert checkpoint.exists()
    assert not output.exists()

    assert run(*arguments).returncode == 2, "the stopped run is not thrown away"
    resumed = run(*arguments, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    whole = tmp_path / "whole.safetensors"
    assert run(photos, "-o", whole, *TINY, "--steps", "400").returncode == 0
    for key, tensor in load(whole).tensors.items():
        assert torch.equal(tensor, load(output).tensors[key]), key


def test_time_is_kept(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    started = time.monotonic()
    assert run(photos, "-o", output, *TINY, "--time", "2s").returncode == 0
    assert time.monotonic() - started > 2
    assert load(output).provenance["hours"] == pytest.approx(2 / 3600, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "5", "--time", "1h"], "either a number of steps or a time"),
        ([], "either a number of steps or a time"),
        (["--time", "soon"], "--time soon"),
        (["--steps", "5", "--sigma", "a:b"], "--sigma a:b"),
        (["--steps", "5", "--width", "x"], "--width x"),
        (["--steps", "5", "--model", "gan"], "model 'gan'"),
        (["--steps", "5", "--device", "abacus"], "device 'abacus'"),
    ],
)
def test_wrong_usage_is_one_line(
    photos: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run(photos, "-o", tmp_path / "x.safetensors", *arguments)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert message in line


def test_empty_folder_is_one_line(tmp_path: Path) -> None:
    result = run(tmp_path, "-o", tmp_path / "x.safetensors", "--steps", "5")
    assert (result.returncode, result.stdout) == (2, "")
    assert "holds no pictures" in result.stderr
