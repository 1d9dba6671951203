"""A small part of `make torture`: nothing that is damaged, ended or failed ends badly."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("torture")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs fork, /proc and limits")


def torture(tmp_path: Path, *arguments: str) -> str:
    """Return the last line of the table, after checking that all is as it should be."""
    found = tmp_path / "found"
    ended = subprocess.run(
        [sys.executable, SUITE, "--jobs", "1", "--seed", "1", "--keep", found, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    log = found / "found.jsonl"
    first = log.read_text().partition("\n")[0] if log.exists() else "the suite itself failed"
    assert ended.returncode == 0, f"{first}\n{ended.stdout}"
    return ended.stdout.splitlines()[-1]


def test_damaged_pictures_end_in_one_sentence(tmp_path: Path) -> None:
    none = ["--kills", "0", "--faults", "0"]
    table = torture(tmp_path, "--kinds", "picture", "raw", "--mutants", "200", *none)
    assert table.startswith("| all | 200 |")


@pytest.mark.slow
def test_other_damaged_files_end_in_one_sentence(tmp_path: Path) -> None:
    kinds = ["weights", "verified", "foreign", "psf", "checkpoint", "history", "results"]
    none = ["--kills", "0", "--faults", "0"]
    table = torture(tmp_path, "--kinds", *kinds, "--mutants", "100", *none)
    assert table.startswith("| all | 100 |")


@pytest.mark.slow
def test_runs_that_are_ended_can_go_on(tmp_path: Path) -> None:
    table = torture(tmp_path, "--mutants", "0", "--kills", "12", "--faults", "0")
    assert table.startswith("| all | 12 |")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_runs_whose_writes_fail_can_go_on(tmp_path: Path) -> None:
    table = torture(tmp_path, "--mutants", "0", "--kills", "0", "--faults", "12")
    assert table.startswith("| all | 12 |")
