"""Imports point down the floors that docs/architecture.md draws."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def test_imports_point_down_and_no_task_imports_another() -> None:
    pytest.importorskip("importlinter")
    # In a process of its own: it leaves a log handler on the stream that pytest captures.
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--config", "pyproject.toml", "--no-cache"]
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cmd")])
    linted = subprocess.run(
        command, cwd=PROJECT, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_floors_below_the_tasks_name_none() -> None:
    """A task is one record to them, so that a new one touches none of their files."""
    names = ("denoise", "dark-enhance", "anomaly", "hdr")
    for floor in ("engine", "training", "batch"):
        for path in sorted((PROJECT / "restore" / floor).glob("*.py")):
            text = path.read_text()
            assert not [name for name in names if f'"{name}"' in text], path
