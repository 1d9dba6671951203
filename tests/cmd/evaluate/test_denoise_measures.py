"""`imrestore evaluate denoise`: other measures, and whether error maps hold."""

import json
import math
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import restore
from imrestore.__main__ import run
from restore.image.decode import decode


def _evaluate(*arguments: str | Path) -> int:
    return run(["evaluate", "denoise", *map(str, arguments)])


def test_what_was_restored_is_kept(
    pictures: Path, identity: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "restored"
    assert _evaluate(pictures, "--model", identity, "--sigma", "0,25", "--save", saved) == 0
    names = sorted(path.relative_to(saved).as_posix() for path in saved.rglob("*.*"))
    assert names == [f"sigma-{level}/{name}.png" for level in (0, 25) for name in "ab"]
    assert _evaluate(pictures, "--model", identity, "--sigma", "25", "--save", saved) != 0
    assert "sigma-25/a.png: exists already; give --save another folder" in capsys.readouterr().err
    same = decode(saved / "sigma-0/a.png")
    assert same.bit_depth == 16
    np.testing.assert_allclose(same.pixels, 128 / 255, atol=1e-4)
    assert _evaluate(saved / "sigma-25", "--reference", pictures) == 0
    assert _evaluate(pictures, "--model", identity, "--save", pictures) == 2
    assert "the folder of the clean pictures" in capsys.readouterr().err


def _package(**measures: Any) -> ModuleType:
    package = ModuleType("piq")
    package.__spec__ = ModuleSpec("piq", None)
    for name, measure in measures.items():
        setattr(package, name, measure)
    return package


def test_other_measures_are_taken_where_they_can_be(
    pictures: Path,
    identity: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def difference() -> Any:
        return lambda result, reference: (result - reference).abs().mean()

    monkeypatch.setitem(sys.modules, "piq", _package(LPIPS=difference, DISTS=difference))
    arguments = (pictures, "--model", identity, "--sigma", "0,25", "--metrics", "lpips")
    assert _evaluate(*arguments) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("LPIPS"))
    clean, noisy = map(float, line.partition(": ")[2].split(","))
    assert clean == 0
    assert noisy == pytest.approx(25 / 255 * math.sqrt(2 / math.pi), rel=0.1)


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [
        (None, "lpips", "imrestore[metrics]"),
        (_package(LPIPS=None), "lpips", "its weights are not on this machine"),
        (_package(), "niqe", "pip install pyiqa"),
        (_package(), "ssim2", "give some of lpips,dists,niqe"),
    ],
)
def test_measures_that_cannot_be_taken_are_one_line(
    pictures: Path,
    identity: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    package: ModuleType | None,
    name: str,
    words: str,
) -> None:
    found = {} if package is None else {"piq": package}
    monkeypatch.setattr("restore.denoise.perceptual.find_spec", found.get)
    if package:
        monkeypatch.setitem(sys.modules, "piq", package)
    assert _evaluate(pictures, "--model", identity, "--metrics", name) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_coverage_has_a_row_for_each_noise(
    pictures: Path, identity: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (pictures, "--model", identity, "--coverage", "--sigma", "10", "--limit", "1")
    assert _evaluate(*arguments) == 0
    head, row, *rest = capsys.readouterr().out.splitlines()
    assert head.split()[:6] == ["noise", "pictures", "flat", "edge", "fine", "all"]
    assert row.startswith("white, sigma 10")
    assert row.split()[3] == "1"
    assert any(line.startswith("camera, ") for line in rest)
    assert "sigma known: yes" in rest
    assert any(line.startswith("protocol: white: clean picture") for line in rest)
    assert _evaluate(*arguments, "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records[0]["noise"] == "white, sigma 10"
    assert set(records[0]["coverage"]) <= {"flat", "edge", "fine", "all"}
    assert records[-1]["pictures"] == 1


def test_coverage_of_several_networks_is_in_one_table(
    pictures: Path, identity: Path, halving: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = (pictures, "--model", identity, "--model", halving, "--coverage", "--sigma", "10")
    assert _evaluate(*both, "--limit", "1") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["noise", "model", "pictures"]
    assert [row.split()[3] for row in rows[:2]] == ["identity", "halving"]
    found = restore.evaluate(
        "denoise", pictures, model=[identity, halving], coverage=True, sigma=10, limit=1
    )
    white = [row for row in found.summary if row["noise"] == "white, sigma 10"]
    assert [row["model"] for row in white] == ["identity", "halving"]
    shown = [float(row.split()[8]) for row in rows[:2]]
    assert shown == [round(100 * row["coverage_all"], 1) for row in white]
    assert found.means("model", "noise")[0]["psnr"] == white[0]["psnr"]


@pytest.mark.parametrize("option", [("--jpeg", "10"), ("--noisy", ".")])
def test_coverage_adds_noise_of_its_own(
    pictures: Path, option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _evaluate(pictures, "--coverage", *option) == 2
    assert f"{option[0]} is not for --coverage" in capsys.readouterr().err
