"""Messages name arguments as their reader gives them: in Python, and on the command line."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

import restore
from imrestore.__main__ import run
from imrestore.app import app
from imrestore.option_names import as_option
from restore.arguments import argument, naming_with
from restore.errors import OutputExists, RestoreError, UsageError

PROJECT = Path(__file__).resolve().parents[1]
NAMING = ("argument", "checked_number", "checked_whole", "seconds_in")
"""Functions whose first argument is the name of one of their caller's."""
SOURCES = sorted((PROJECT / "restore").rglob("*.py"))


def _options(command: Any) -> set[str]:
    own = {name for parameter in command.params for name in parameter.opts}
    return own.union(*map(_options, getattr(command, "commands", {}).values()))


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module but for its docstrings, with {} for what is put in."""
    tree = ast.parse(path.read_text())
    parts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= set(map(id, node.values))
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "" if id(node) in parts else node.value


def test_the_library_speaks_of_no_options() -> None:
    """But in command lines as a whole, which stand in backticks."""
    for path in SOURCES:
        for text in _texts(path):
            assert not re.search(r"^--[a-z]|[ (]--?[a-z]", re.sub(r"`[^`]*`", "", text)), (
                path,
                text,
            )


def test_every_argument_that_is_named_has_an_option() -> None:
    options = _options(typer.main.get_command(app))
    named = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMING:
                named |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    assert len(named) > 50
    assert not sorted(
        name for name in named if as_option(name, None) not in options | {"--channels"}
    )


def test_values_are_written_as_they_are_given() -> None:
    given = (("overwrite", True), ("image_format", "png"), ("channels", 3), ("time", "1 h"))
    assert [argument(*each) for each in given] == [
        "overwrite=True",
        "image_format='png'",
        "channels=3",
        "time='1 h'",
    ]
    with naming_with(as_option):
        names = [argument(*each) for each in given]
    assert names == ["--overwrite", "--format png", "--color", "--time '1 h'"]
    assert argument("start_from") == "start_from"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photos/a.png")
    return Path("photos")


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert run([*arguments]) != 0
    return capsys.readouterr().err.splitlines()[0].removeprefix("imrestore: ")


def test_a_refused_training_is_told_in_both_languages(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = Path("mine.safetensors")
    there.write_bytes(b"")
    with pytest.raises(OutputExists) as refused:
        restore.train("denoise", photos, output=there, steps=1)
    assert str(refused.value).endswith("exists already; use overwrite=True to replace it")
    said = _said(capsys, "train", "denoise", "photos", "-o", str(there), "--steps", "1")
    assert said.endswith("exists already; use --overwrite to replace it")
    with pytest.raises(UsageError) as refused_too:
        restore.train("denoise", photos, output="new.safetensors")
    assert str(refused_too.value) == "give either steps, or time, as in 2h"
    said = _said(capsys, "train", "denoise", "photos", "-o", "new.safetensors")
    assert said == "give either --steps, or --time, as in 2h"


@pytest.mark.parametrize(
    ("call", "command", "words"),
    [
        (
            lambda: restore.decode("photos/a.png", max_pixels=10),
            "denoise photos/a.png -o b.png --max-pixels 10",
            ("raise it with max_pixels", "raise it with --max-pixels"),
        ),
        (
            lambda: restore.Denoiser("dncnn-gray", device="cuda:99"),
            "denoise photos/a.png -o b.png --device cuda:99",
            ("try device='cpu'", "try --device cpu"),
        ),
        (
            lambda: restore.train("denoise", "photos", output="x.safetensors", steps=1, widths=0),
            "train denoise photos -o x.safetensors --steps 1 --width 9999",
            ("widths: give numbers from 1", "--width: give numbers from 1"),
        ),
        (
            lambda: restore.train("anomaly", "photos", output="x.safetensors", steps=1, patch=100),
            "train anomaly --good photos -o x.safetensors --steps 1 --size 100",
            ("patch 100: give a multiple of 16", "--size 100: give a multiple of 16"),
        ),
        (
            lambda: restore.train("denoise", "photos", output="x.safetensors", steps=1, device="x"),
            "train denoise photos -o x.safetensors --steps 1 --device x",
            ("use auto, cpu, cuda, cuda:N or mps", "use auto, cpu, cuda, cuda:N or mps"),
        ),
    ],
    ids=["decode", "device", "widths", "patch", "device of a training"],
)
def test_errors_name_arguments_in_python_and_options_in_commands(
    photos: Path,
    capsys: pytest.CaptureFixture[str],
    call: Any,
    command: str,
    words: tuple[str, str],
) -> None:
    with pytest.raises(RestoreError) as raised:
        call()
    assert words[0] in str(raised.value)
    assert "--" not in str(raised.value)
    assert words[1] in _said(capsys, *command.split())
    assert photos.is_dir()
