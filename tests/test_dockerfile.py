"""The steps of the Dockerfile make a command that runs; done without Docker."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def steps() -> list[list[str]]:
    """Return instructions and their arguments; continued lines are joined."""
    text = re.sub(r"\\\n", " ", (PROJECT / "Dockerfile").read_text())
    lines = (line.strip() for line in text.splitlines())
    return [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]


def test_the_image_is_small_and_not_run_by_root() -> None:
    stages = [argument for name, argument in steps() if name == "FROM"]
    assert all("-slim" in stage for stage in stages)
    names = [name for name, _ in steps()]
    last = len(names) - 1 - names[::-1].index("FROM")
    assert ["USER", "imrestore"] in steps()[last:]
    assert names.index("USER") < names.index("ENTRYPOINT")


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()
    for name, argument in steps():
        if name == "COPY" and not argument.startswith("--from"):
            for source in argument.split()[:-1]:
                assert (PROJECT / source).exists()
                assert f"!{source}" in ignored


@pytest.mark.slow
def test_the_steps_run(tmp_path: Path) -> None:
    """The index of PyTorch may be out of reach: pip's own settings name one that is not."""
    source, place = tmp_path / "source", tmp_path / "imrestore"
    source.mkdir()
    build = steps()[: [name for name, _ in steps()].index("FROM", 1)]
    for name, argument in build:
        if name == "COPY":
            *sources, target = argument.split()
            for each in sources:
                whole = PROJECT / each
                copy = shutil.copytree if whole.is_dir() else shutil.copy
                copy(whole, source / target / ("" if whole.is_dir() else each))
        elif name == "RUN":
            command = argument.replace("/opt/imrestore", str(place))
            command = command.replace('--index-url "$TORCH_INDEX" ', "")
            command = re.sub(r"^python ", f"{sys.executable} ", command)
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            done = subprocess.run(
                command, shell=True, cwd=source, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
    (entry,) = [argument for name, argument in steps() if name == "ENTRYPOINT"]
    command = [entry.strip('["]').replace("/opt/imrestore", str(place))]
    picture = PROJECT / "samples/city.png"
    subprocess.run([*command, "denoise", str(picture), "-o", "clean.png"], cwd=tmp_path, check=True)
    assert (tmp_path / "clean.png").stat().st_size > 10_000
