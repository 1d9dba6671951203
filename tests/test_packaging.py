"""The wheel and the source distribution hold what a user needs, and run elsewhere."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    pytest.importorskip("build")
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--sdist", "--wheel"]
    done = subprocess.run(
        [*command, "--outdir", str(folder), str(PROJECT)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def run(command: list[str], folder: Path, **environment: str) -> str:
    cleaned = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=cleaned | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_weights_and_manual_pages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    weights = {path.name for path in (PROJECT / "weights").iterdir() if path.is_file()}
    assert {f"restore/weights_shipped/{name}" for name in weights} <= set(names)
    manual = {Path(name).name for name in names if "/share/man/man1/" in name}
    assert manual == {path.name for path in (PROJECT / "man").iterdir()}
    assert {"restore/py.typed", "imrestore/__main__.py"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "cmd/", "benchmarks/"))]


def test_the_source_distribution_holds_the_project(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    needed = {"README.md", "LICENSE", "Makefile", "mkdocs.yml", "Dockerfile", "docs/index.md"}
    assert needed <= names
    assert {"integrations/darktable/imrestore.lua", "tests/test_packaging.py"} <= names


def test_the_wheel_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """With the libraries that are installed here; installed elsewhere by itself."""
    place, empty = tmp_path / "place", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    command = [sys.executable, "-m", "imrestore"]
    listed = run([*command, "weights", "list"], empty, PYTHONPATH=str(place))
    assert "photo" in listed
    picture = PROJECT / "samples/city.png"
    words = ["denoise", str(picture), "-o", "clean.png", "--model", "resunet", "--sigma", "10"]
    run([*command, *words], empty, PYTHONPATH=str(place))
    assert (empty / "clean.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_oldest_and_newest_dependencies(wheel: Path, tmp_path: Path, resolution: str) -> None:
    """In an environment of its own, made by uv from the package registry.

    PyTorch is the one of constraints.txt in both: older ones are gigabytes of CUDA.
    """
    pytest.importorskip("uv")
    uv = [sys.executable, "-m", "uv"]
    python = tmp_path / "environment/bin/python"
    run([*uv, "venv", "--python", sys.executable, str(python.parents[1])], tmp_path)
    # pip knows where the processor build lies; uv resolves the rest around it.
    run([sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet",
         "-r", str(PROJECT / "constraints.txt")], tmp_path)  # fmt: skip
    install = ["pip", "install", "--quiet", "--python", str(python), "--resolution", resolution]
    run([*uv, *install, "--constraint", str(PROJECT / "constraints.txt"), str(wheel)], tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    command = str(python.parent / "imrestore")
    assert run([command, "--version"], empty).startswith("imrestore ")
    run([command, "denoise", str(PROJECT / "samples"), "-o", "clean"], empty)
    assert len(list((empty / "clean").iterdir())) == 6
