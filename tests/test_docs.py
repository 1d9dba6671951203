"""The documentation can be built, and says what the program does."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from imrestore.app import app

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
WRITTEN = [page for page in PAGES if page.name != "commands.md"]
"""Pages that are not generated."""


def test_generated_pages_are_up_to_date() -> None:
    pages: dict[Path, str] = runpy.run_path(str(PROJECT / "docs/generate.py"))["pages"]()
    stale = [path.name for path, text in pages.items() if path.read_text() != text]
    assert not stale, "run `make pages`"
    assert set((PROJECT / "man").iterdir()) == {path for path in pages if path.suffix == ".1"}


def test_manual_pages_are_roff_without_control_characters() -> None:
    for page in (PROJECT / "man").iterdir():
        text = page.read_text()
        assert text.startswith(f'.TH "{page.stem.upper()}" "1"')
        assert text.isprintable() or not re.search(r"[\x00-\x09\x0b-\x1f]", text), page
        commands = {line.split()[0] for line in text.splitlines() if line.startswith(".")}
        assert commands <= {".TH", ".SH", ".PP", ".TP", ".nf", ".fi"}, page


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "cmd")])
    environment = os.environ | {"PYTHONPATH": paths, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "api" / "index.html").read_text()
    import restore

    missing = [name for name in restore.__all__ if f'id="restore.{name}"' not in reference]
    assert not missing
    assert "fonts.googleapis" not in (tmp_path / "index.html").read_text()


def shown(page: Path) -> list[list[str]]:
    """Return the imrestore commands of a page: of its fences, indented blocks and inline code."""
    text = page.read_text().replace("\\\n", " ")
    fenced = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    indented = re.findall(r"(?m)^    (imrestore .+)$", text)
    inline = re.findall(r"(?<!`)`(imrestore [^`]+)`", text)
    lines = [*"\n".join(fenced).splitlines(), *indented, *inline]
    parts = (part for line in lines for part in re.split(r" [|>] |&&", line))
    words = (shlex.split(part, comments=True) for part in parts if part.strip())
    return [split[1:] for split in words if split[:1] == ["imrestore"]]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_every_option_shown_exists(page: Path) -> None:
    for words in shown(page):
        command: Any = typer.main.get_command(app)
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            if command.invoke_without_command and rest[0] not in command.commands:
                break
            name = rest.pop(0)
            assert name in command.commands, words
            command = command.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        known |= {"--help", "-h", "--debug", "--install-completion", "--version"}
        options = {word for word in rest if re.match(r"-[a-z-]", word)}
        assert options <= known, words


def test_every_command_is_explained() -> None:
    prose = "\n".join(page.read_text() for page in WRITTEN)
    groups = r"imrestore-(anomaly|train|evaluate|weights|manifest)-"
    commands = {
        re.sub(groups, r"imrestore \1 ", page.stem).replace("imrestore-", "imrestore ")
        for page in (PROJECT / "man").iterdir()
    }
    assert not [command for command in sorted(commands) if command not in prose]


@pytest.mark.parametrize("words", [[], ["denoise"], ["train"], ["weights", "convert"]])
def test_help_ends_with_where_the_documentation_is(words: list[str]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"]).stdout.strip().splitlines()
    page = "-".join(["imrestore", *words])
    ending = " ".join(" ".join(shown[-2:]).split())
    assert f"Manual: man {page}. Documentation: docs/index.md" in ending
    assert (PROJECT / "man" / f"{page}.1").is_file()


def test_the_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(PROJECT / "samples/city.png", tmp_path / "noisy.png")
    monkeypatch.chdir(tmp_path)
    page = (PROJECT / "docs/python.md").read_text()
    pictures, training = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(pictures, {})
    assert (tmp_path / "clean.png").stat().st_size > 10_000
    for folder in ("photos", "test"):
        (tmp_path / folder).mkdir()
    for name in ("casa-mila", "tea-gardens"):
        shutil.copy(PROJECT / f"weights/measure/{name}.png", tmp_path / "photos")
    with Image.open(PROJECT / "weights/measure/casa-mila.png") as photo:
        photo.crop((0, 0, 48, 32)).save(tmp_path / "test/a.png")
        photo.crop((0, 0, 64, 64)).save(tmp_path / "noisy.png")
    short = ("""time="20m", """, """time=0.1, depth=3, widths=8, batch=2, """)
    assert short[0] in training
    exec(training.replace(*short), {})


def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = json.loads((PROJECT / "docs/own-network.ipynb").read_text())
    code = [
        line
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
    ]
    assert sum(bool(line.strip()) for line in code) <= 40
    (tmp_path / "docs").mkdir()
    for name in ("samples/market", "weights/measure/casa-mila"):
        target = tmp_path / f"{name}.png"
        target.parent.mkdir(parents=True)
        with Image.open(PROJECT / f"{name}.png") as photo:
            photo.crop((0, 0, 96, 80)).save(target)
    monkeypatch.chdir(tmp_path / "docs")
    names: dict[str, object] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]).replace("steps=300", "steps=4"), names)
    printed = capsys.readouterr().out
    assert printed.startswith("4 steps, loss 0.")
    assert "less than 0.0001: True" in printed
    assert "the same result: True" in printed
    stored = "".join(
        line
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
        for line in output["text"]
    )
    pattern = r"\d+(\.\d+)?"
    assert re.sub(pattern, "0", printed) == re.sub(pattern, "0", stored), "run it again"
