"""Imports point down the floors that docs/architecture.md draws."""

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def test_imports_point_down_and_no_task_imports_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    linter = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(PROJECT)
    monkeypatch.syspath_prepend(PROJECT / "cmd")
    broken = linter.lint_imports(config_filename="pyproject.toml", no_cache=True)
    assert not broken, capsys.readouterr().out


def test_floors_below_the_tasks_name_none() -> None:
    """A task is one record to them, so that a new one touches none of their files."""
    names = ("denoise", "dark-enhance", "anomaly", "hdr")
    for floor in ("engine", "training", "batch"):
        for path in sorted((PROJECT / "restore" / floor).glob("*.py")):
            text = path.read_text()
            assert not [name for name in names if f'"{name}"' in text], path
