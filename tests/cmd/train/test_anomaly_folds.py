"""`imrestore train anomaly --folds` as a user runs it."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from imrestore.__main__ import run as command_line
from restore.anomaly.network import InspectionNetwork, Scored
from restore.anomaly.part import Part, read_part
from restore.errors import RestoreError
from restore.tasks import load

pytestmark = pytest.mark.usefixtures("few_trials")

Run = Callable[..., SimpleNamespace]
Parts = Callable[..., Path]
TINY = ("--size", "64", "--batch", "2", "--steps", "2", "--precision", "fp32")


def test_in_folds_all_parts_calibrate(run: Run, parts: Parts, workplace: Path) -> None:
    parts(12)
    ended = run(
        "train", "anomaly", "--good", "good", "-o", "m.safetensors", *TINY,
        "--folds", "3", "--target-fpr", "0.1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "from 12 that were not trained on" in ended.err
    weights = load("m.safetensors")
    assert weights.provenance["data"]["trained_on"] == 11, "all but one for validation"
    assert weights.provenance["calibration"]["pictures"] == 12
    left = {path.name for path in workplace.iterdir()} - {"m.tensorboard"}
    assert left == {"good", "m.safetensors", "m.history.csv", "m.history.png"}


def test_folds_go_on_where_they_were_stopped(
    run: Run, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts(12)
    arguments = ["train", "anomaly", "--good", "good", *TINY, "--folds", "2"]
    run(*arguments, "-o", "whole.safetensors")
    scored = InspectionNetwork.__call__

    def fail(self: InspectionNetwork, pixels: np.ndarray) -> None:
        if self.weights.name == "m.fold2":
            raise RestoreError("the lamp went out")
        return scored(self, pixels)

    with monkeypatch.context() as patched:
        patched.setattr(InspectionNetwork, "__call__", fail)
        assert run(*arguments, "-o", "m.safetensors").code != 0
    first = Path("m.fold1.safetensors").stat().st_mtime_ns
    again = run(*arguments, "-o", "m.safetensors")
    assert again.code == 2
    (line,) = again.err.splitlines()
    assert "m.fold1.safetensors: a stopped run is there; use --resume to continue it" in line
    assert Path("m.fold1.safetensors").stat().st_mtime_ns == first
    resumed = run(*arguments, "-o", "m.safetensors", "--resume")
    assert resumed.code == 0, resumed.err
    assert "fold 1" not in resumed.err
    one, other = load("m.safetensors"), load("whole.safetensors")
    assert all(torch.equal(one.tensors[key], other.tensors[key]) for key in one.tensors)
    assert one.provenance["calibration"] == other.provenance["calibration"]


IN_FOLDS = ("train", "anomaly", "--good", "good", *TINY, "--folds", "2", "-o", "m.safetensors")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, write_parts: Parts) -> Path:
    """The folder of a run that was stopped; its first fold is done, its second is begun."""
    folder = tmp_path_factory.mktemp("stopped")
    write_parts(folder / "good")
    scored = InspectionNetwork.__call__

    def interrupt(self: InspectionNetwork, pixels: np.ndarray) -> Scored:
        if self.weights.name == "m.fold2":
            os.kill(os.getpid(), signal.SIGINT)
        return scored(self, pixels)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(InspectionNetwork, "__call__", interrupt)
        assert command_line([*IN_FOLDS]) == 130
    return folder


@pytest.fixture
def stopped_in_fold_2(stopped: Path, workplace: Path) -> tuple[str, ...]:
    """The arguments of such a run, in the working folder."""
    copytree(stopped, workplace, dirs_exist_ok=True)
    return IN_FOLDS


def test_folds_of_other_parts_are_not_gone_on_with(
    run: Run, stopped_in_fold_2: tuple[str, ...]
) -> None:
    Path("m.fold2.checkpoint").unlink()
    Path("good/00.png").unlink()
    ended = run(*stopped_in_fold_2, "--resume")
    assert ended.code == 2
    assert "trained on other parts (pictures: 12, now 11); use --overwrite" in ended.err


def test_started_again_folds_are_not_taken_from_the_run_before(
    run: Run, stopped_in_fold_2: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*stopped_in_fold_2, "--overwrite", "--good", "nowhere").code == 2
    assert Path("m.fold1.safetensors").exists(), "nothing was begun"

    def interrupt(path: Path) -> Part:
        os.kill(os.getpid(), signal.SIGINT)
        return read_part(path)

    with monkeypatch.context() as patched:
        patched.setattr("restore.anomaly.data.read_part", interrupt)
        assert run(*stopped_in_fold_2, "--overwrite").code == 130
    assert not Path("m.fold1.safetensors").exists()
    assert not Path("m.fold2.checkpoint").exists()
