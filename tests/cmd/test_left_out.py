"""Files of other kinds are named once, on standard error."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from imrestore.app import app


def folder_of_kinds(folder: Path) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(0).normal(128, 20, (32, 32, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).save(folder / "a.png")
    Image.fromarray(noise).save(folder / "b.JFIF", "JPEG")
    Image.fromarray(noise).save(folder / "c.gif")
    return folder


def test_a_run_names_what_it_leaves_out(tmp_path: Path) -> None:
    words = ["denoise", str(folder_of_kinds(tmp_path / "in")), "-o", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, [*words, "--json"])
    assert ran.exit_code == 0
    assert len([json.loads(line) for line in ran.stdout.splitlines()]) == 2
    assert "1 file of another kind left out: .gif 1" in ran.stderr
    quiet = CliRunner().invoke(app, [*words, "--overwrite", "-q"])
    assert quiet.stderr == ""


def test_a_folder_of_nothing_else_is_an_error_that_says_so(tmp_path: Path) -> None:
    folder = folder_of_kinds(tmp_path / "in")
    (folder / "a.png").unlink()
    (folder / "b.JFIF").unlink()
    ran = CliRunner().invoke(app, ["denoise", str(folder), "-o", str(tmp_path / "out")])
    assert "left out: .gif 1" in str(ran.exception or ran.stderr)
