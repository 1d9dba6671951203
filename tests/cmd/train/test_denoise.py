"""`imrestore train denoise` as a user runs it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.tasks import load

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
        (["--steps", "5", "--time", "1h"], "either --steps"),
        ([], "either --steps"),
        (["--time", "soon"], "--time soon"),
        (["--steps", "5", "--sigma", "a:b"], "--sigma a:b"),
        (["--steps", "5", "--width", "x"], "--width x"),
        (["--steps", "5", "--model", "gan"], "model 'gan'"),
        (["--steps", "5", "--device", "abacus"], "device 'abacus'"),
        (["--steps", "5", "--device", "cuda:all"], "torchrun --nproc-per-node N"),
        (["--steps", "5", "--noise", "snow"], "noise 'snow'"),
        (["--steps", "5", "--schedule", "up"], "schedule 'up'"),
        (["--steps", "5", "--checkpoint-every", "often"], "--checkpoint-every often"),
        (["--steps", "5", "--accumulate", "3"], "batch of 16 cannot be divided into 3"),
        (["--steps", "5", "--depth", "9"], "--depth does nothing here: only a DnCNN has one"),
        (["--steps", "5", "--batch-norm"], "--batch-norm does nothing here"),
        (["--steps", "5", "--model", "dncnn", "--blind"], "--blind does nothing here"),
        (["--steps", "5", "--noise", "camera", "--sigma", "0:9"], "--sigma does nothing here"),
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


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def assert_same_weights(first: Path, second: Path) -> None:
    theirs = load(second).tensors
    for key, tensor in load(first).tensors.items():
        assert torch.equal(tensor, theirs[key]), key


def test_killed_run_resumes_to_the_same_weights(photos: Path, tmp_path: Path) -> None:
    """Kill -9 leaves only the last checkpoint, whatever was going on."""
    arguments = [*TINY, "--steps", "600", "--noise=awgn", "--noise=jpeg:10-90"]
    output, checkpoint = tmp_path / "mine.safetensors", tmp_path / "mine.checkpoint"
    killed = [photos, "-o", output, *arguments, "--checkpoint-every", "0.2s"]
    process = subprocess.Popen(command(*killed), stderr=subprocess.PIPE, text=True)
    wait_for(checkpoint, process)
    process.kill()
    process.communicate()
    assert not output.exists()
    assert run(*killed, "--resume").returncode == 0
    whole = tmp_path / "whole.safetensors"
    assert run(photos, "-o", whole, *arguments).returncode == 0
    assert_same_weights(whole, output)
    rows = (tmp_path / "mine.history.csv").read_text().splitlines()[1:]
    steps = [int(row.split(",")[0]) for row in rows]
    assert steps == sorted(set(steps)), "the table goes on without repeating itself"


def together(*arguments: str | Path) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=1"]
    train = ["-m", "imrestore", "train", "denoise", *map(str, arguments)]
    return [*launcher, "--nproc-per-node=2", *train]


def ranks(launcher: int) -> list[int]:
    """Return the processes that `launcher` started, Linux only."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return [int(pid) for pid in children]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_lost_process_costs_no_more_than_a_checkpoint_interval(
    photos: Path, tmp_path: Path
) -> None:
    arguments = [*TINY, "--steps", "400", "--checkpoint-every", "0.2s"]
    whole, output = tmp_path / "whole.safetensors", tmp_path / "mine.safetensors"
    finished = subprocess.run(
        together(photos, "-o", whole, *arguments), capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert load(whole).provenance["processes"] == 2

    process = subprocess.Popen(
        together(photos, "-o", output, *arguments), stderr=subprocess.PIPE, text=True
    )
    wait_for(tmp_path / "mine.checkpoint", process)
    os.kill(ranks(process.pid)[-1], signal.SIGKILL)
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages
    assert_same_weights(whole, output)


@pytest.mark.slow
def test_two_processes_see_other_crops_and_agree(photos: Path, tmp_path: Path) -> None:
    """Half the batch on each of two processes is a batch, and only one of them speaks."""
    output = tmp_path / "mine.safetensors"
    finished = subprocess.run(
        together(photos, "-o", output, *TINY, "--steps", "3"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count(": 1,377 parameters") <= 1
    assert finished.stderr.count("step 1,") == 1
    odd = subprocess.run(
        together(photos, "-o", tmp_path / "odd.safetensors", *TINY, "--steps=3", "--batch=3"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert odd.returncode != 0
    assert "batch of 3 cannot be divided into 2 equal parts" in odd.stderr
