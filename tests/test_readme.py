"""What the README shows works as it stands."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from imrestore.app import app

PROJECT = Path(__file__).resolve().parents[1]
README = (PROJECT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = "\n".join(blocks("sh")).splitlines()
    parts = (part for line in lines for part in line.split(" | "))
    words = (shlex.split(part, comments=True) for part in parts)
    return [split[1:] for split in words if split[:1] == ["imrestore"]]


def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PROJECT / "samples/city.png", tmp_path / "noisy.png")
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("python")
    exec(example, {})
    assert (tmp_path / "clean.png").stat().st_size > 10_000


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_option_shown_exists(words: list[str]) -> None:
    import typer

    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    shown = {word for word in words if re.match(r"-[a-z-]", word) and word != "--help"}
    assert shown <= known
