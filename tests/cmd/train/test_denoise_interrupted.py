"""Trainings that are stopped, killed or spread over processes end with the same weights."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from imrestore.__main__ import run as command_line
from restore.tasks import load
from restore.training.history import History
from restore.training.schedule import Progress

Run = Callable[..., SimpleNamespace]
TINY = ["--gray", "--model=dncnn", "--depth=3", "--width=8", "--patch=16", "--batch=4"]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "imrestore", "train", "denoise", *map(str, arguments)]


def assert_same_weights(first: Path, second: Path) -> None:
    theirs = load(second).tensors
    for key, tensor in load(first).tensors.items():
        assert torch.equal(tensor, theirs[key]), key


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole(three_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a training of 24 steps that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    arguments = [three_photos, "-o", folder / "w.safetensors", *TINY]
    assert command_line(["train", "denoise", *map(str, arguments), "--steps", "24"]) == 0
    return folder / "w.safetensors"


def test_a_signal_ends_the_process_with_a_checkpoint(
    train: Run, photos: Path, tmp_path: Path
) -> None:
    output, checkpoint = tmp_path / "mine.safetensors", tmp_path / "mine.checkpoint"
    arguments = [photos, "-o", output, *TINY, "--steps", "100000"]
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "step 0," in process.stderr.readline(), "also before the first step"
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "--resume" in messages
    assert checkpoint.exists()
    assert not output.exists()
    assert (tmp_path / "mine.history.png").exists()
    assert train(*arguments).code == 2, "the stopped run is not thrown away"


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1], ids=str
)
def test_a_run_that_a_signal_stopped_is_resumed(
    train: Run,
    photos: Path,
    tmp_path: Path,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    output = tmp_path / "mine.safetensors"
    arguments = [*TINY, "--steps", "24"]
    note = History.__call__

    def interrupt(history: History, progress: Progress) -> None:
        note(history, progress)
        if progress.step == 9:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(History, "__call__", interrupt)
        stopped = train(photos, "-o", output, *arguments)
    assert stopped.code == 128 + number
    assert "stopped after 10 steps; continue with --resume" in stopped.err
    resumed = train(photos, "-o", output, *arguments, "--resume")
    assert resumed.code == 0, resumed.err
    assert_same_weights(whole, output)


def test_one_command_starts_continues_and_ends(
    train: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "mine.safetensors"
    arguments = [photos, "-o", output, *TINY, "--steps", "12", "--resume", "auto"]

    def stop_at_5(_self: History, progress: Progress) -> None:
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGUSR1)

    with monkeypatch.context() as slurm:
        slurm.setattr(History, "__call__", stop_at_5)
        assert train(*arguments).code == 128 + signal.SIGUSR1
    assert (tmp_path / "mine.checkpoint").exists(), "saved at once"
    assert not output.exists()
    resumed = train(*arguments)
    assert resumed.code == 0, resumed.err
    assert "step 0" not in resumed.err
    again = train(*arguments)
    assert (again.code, again.out) == (0, "")
    assert "is there already, and no stopped run; nothing to do" in again.err


KILLED_AT_STEP_19 = """
import os, signal
from imrestore.__main__ import main
from restore.training.history import History

note = History.__call__

def note_and_die(history, progress):
    note(history, progress)
    if progress.step == 19:
        os.kill(os.getpid(), signal.SIGKILL)

History.__call__ = note_and_die
main()
"""


def test_killed_run_resumes_to_the_same_weights(train: Run, photos: Path, tmp_path: Path) -> None:
    """Kill -9 leaves only the last checkpoint, which is older than what the table says."""
    arguments = [*TINY, "--steps", "40", "--noise=awgn", "--noise=jpeg:10-90"]
    output, checkpoint = tmp_path / "mine.safetensors", tmp_path / "mine.checkpoint"
    killed = [photos, "-o", output, *arguments, "--checkpoint-every", "0.01s"]
    program = [sys.executable, "-c", KILLED_AT_STEP_19, "train", "denoise", *map(str, killed)]
    assert subprocess.run(program, check=False).returncode == -signal.SIGKILL
    assert checkpoint.exists()
    assert not output.exists()
    assert train(*killed, "--resume").code == 0
    whole = tmp_path / "whole.safetensors"
    assert train(photos, "-o", whole, *arguments).code == 0
    assert_same_weights(whole, output)
    rows = (tmp_path / "mine.history.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [*range(41)], "each step once"


def test_a_cache_changes_no_weights(train: Run, photos: Path, tmp_path: Path) -> None:
    cache, first, second = (tmp_path / name for name in ("cache", "a.safetensors", "b.safetensors"))
    assert train(photos, "-o", first, *TINY, "--steps", "3").code == 0
    assert train(photos, "-o", second, *TINY, "--steps", "3", "--cache", cache).code == 0
    assert_same_weights(first, second)
    assert len(list(cache.iterdir())) == 3
    refused = train(photos, "-o", tmp_path / "c.safetensors", *TINY, "--steps=3", "--cache", first)
    assert refused.code == 2
    assert "name one as --cache" in refused.err


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
    assert finished.stderr.count("step 0,") == 1
    odd = subprocess.run(
        together(photos, "-o", tmp_path / "odd.safetensors", *TINY, "--steps=3", "--batch=3"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert odd.returncode != 0
    assert "batch of 3 cannot be divided into 2 equal parts" in odd.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of Linux only")
def test_two_nodes_meet_at_an_address(photos: Path, tmp_path: Path) -> None:
    """Two launchers, as on two machines with a shared folder, each with an address of its own."""
    output = tmp_path / "mine.safetensors"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def node(rank: int) -> "subprocess.Popen[str]":
        launcher = [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}"),
            *("--rdzv-backend=c10d", "--rdzv-id=mine", f"--rdzv-endpoint=127.0.0.1:{port}"),
            f"--local-addr=127.0.0.{rank + 1}",
        ]
        train = ["-m", "imrestore", "train", "denoise", str(photos), "-o", str(output)]
        return subprocess.Popen(
            [*launcher, *train, *TINY, "--steps=3"], stderr=subprocess.PIPE, text=True
        )

    nodes = [node(rank) for rank in (0, 1)]
    messages = [each.communicate(timeout=500)[1] for each in nodes]
    assert [each.returncode for each in nodes] == [0, 0], messages
    assert load(output).provenance["processes"] == 2
    assert sum(text.count("step 0,") for text in messages) == 1
