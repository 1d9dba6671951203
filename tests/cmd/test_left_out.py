"""Files of other kinds, and inputs without pictures, are named once, on standard error."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from imrestore.app import app
from restore.batch.inputs import find_pictures, pictures_in
from restore.image.codecs import PICTURE_SUFFIXES


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


def test_a_folder_without_pictures_among_others_is_named(tmp_path: Path) -> None:
    folder, empty, other = folder_of_kinds(tmp_path / "in"), tmp_path / "empty", tmp_path / "other"
    (empty / "deeper").mkdir(parents=True)
    other.mkdir()
    (other / "notes.txt").touch()
    words = ["denoise", *map(str, (folder, empty, other)), "-o", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, [*words, "--dry-run", "--json"])
    assert ran.exit_code == 0
    for each, hint in ((empty, "; --recursive looks into subfolders too"), (other, "")):
        assert f"{each}: holds no pictures or RAW files{hint}\n" in ran.stderr
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    skipped = [record["source"] for record in records if record["status"] == "skipped"]
    assert skipped == [str(empty), str(other)]
    quiet = CliRunner().invoke(app, [*words, "--dry-run", "-q"])
    assert quiet.stderr == ""


def test_pipes_are_counted_among_what_is_left_out(tmp_path: Path) -> None:
    folder = folder_of_kinds(tmp_path / "in")
    os.mkfifo(folder / "camera.png")
    (folder / "linked.png").symlink_to("camera.png")
    words = ["denoise", str(folder), "-o", str(tmp_path / "out"), "--dry-run"]
    ran = CliRunner().invoke(app, words)
    assert "3 files of other kinds left out: pipes and devices 2, .gif 1" in ran.stderr


@pytest.mark.parametrize("mode", ["single", "merge"])
def test_subfolders_are_hinted_at_only_where_there_are_some(tmp_path: Path, mode: str) -> None:
    words = ["hdr", "--mode", mode, str(tmp_path), "-o", str(tmp_path / "out")]
    assert "looks into" not in str(CliRunner().invoke(app, words).exception)
    folder_of_kinds(tmp_path / "deeper")
    error = str(CliRunner().invoke(app, words).exception)
    assert error.endswith("; 1 folder left out (--recursive searches them)")


def test_a_folder_whose_pictures_are_taken_already_is_not_empty(tmp_path: Path) -> None:
    folder = folder_of_kinds(tmp_path / "in")
    named = sorted(map(str, folder.glob("[ab].*")))
    search = find_pictures(
        [*named, str(folder)], recursive=False, output=None, suffixes=PICTURE_SUFFIXES
    )
    assert (len(search.found), search.empty) == (2, [])


def test_an_archive_without_pictures_among_others_is_named(tmp_path: Path) -> None:
    folder, archive = folder_of_kinds(tmp_path / "in"), tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "a.png", "deeper/a.png")
    words = ["denoise", str(folder), str(archive), "-o", str(tmp_path / "out"), "--dry-run"]
    flat = CliRunner().invoke(app, words)
    assert f"{archive}: holds no pictures or RAW files" in flat.stderr
    deep = CliRunner().invoke(app, [*words, "-r"])
    assert (deep.stderr.count("holds no"), "deeper/a.png" in deep.stdout) == (0, True)


@pytest.mark.parametrize("output", ["merged.exr", "merged/"])
def test_hdr_names_a_folder_without_frames(brackets: Path, tmp_path: Path, output: str) -> None:
    (tmp_path / "empty").mkdir()
    inputs = [*map(str, sorted((brackets / "stack").glob("*_[0-2].jpg"))), str(tmp_path / "empty")]
    words = ["hdr", "--mode", "merge", *inputs, "-o", str(tmp_path / output), "--dry-run", "--json"]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0
    assert ran.stderr.count(f"{tmp_path / 'empty'}: holds no pictures") == 1
    assert [json.loads(line)["status"] for line in ran.stdout.splitlines()].count("skipped") == 1


def test_evaluation_names_what_it_leaves_out(tmp_path: Path, gray_model: Path) -> None:
    words = ["evaluate", "denoise", str(folder_of_kinds(tmp_path / "in")), "--sigma", "25"]
    ran = CliRunner().invoke(app, [*words, "--model", str(gray_model), "--gray"])
    assert ran.stderr.count("1 file of another kind left out: .gif 1") == 1


def test_training_names_what_it_leaves_out_once(tmp_path: Path) -> None:
    folder = folder_of_kinds(tmp_path / "in")
    said: list[str] = []
    assert len(pictures_in(folder, recursive=True, warn=said.append)) == 2
    assert said == [f"{folder}: 1 file of another kind left out: .gif 1"]


def test_folders_that_are_not_searched_are_counted(tmp_path: Path) -> None:
    folder = folder_of_kinds(tmp_path / "in")
    (folder / "c.gif").unlink()
    for name in ("below", "out", ".hidden"):
        (folder / name).mkdir()
    words = ["denoise", str(folder), "--dry-run", "-o"]
    ran = CliRunner().invoke(app, [*words, str(folder / "out")])
    assert ran.exit_code == 0
    assert ran.stderr == "imrestore: 1 folder left out (--recursive searches them)\n"
    assert CliRunner().invoke(app, [*words, str(tmp_path / "out"), "-r"]).stderr == ""
