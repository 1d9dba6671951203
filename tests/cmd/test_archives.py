"""Archives and web servers as inputs of `imrestore denoise`."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile, copytree
from types import SimpleNamespace

import pytest

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]
Tree = Callable[[str], dict[str, bytes]]


@pytest.fixture
def local(run: Run, photo: Photo, tiny_weights: str, tree: Tree) -> dict[str, bytes]:
    """What a local run makes of the folder ``in``."""
    photo("in/a.png")
    photo("in/sub/b.jpg", seed=1)
    Path("in/notes.txt").write_text("no picture")
    assert run("denoise", "in", "-r", "-o", "local", "--model", tiny_weights).code == 0
    return tree("local")


def packed(name: str) -> str:
    paths = [path for path in sorted(Path("in").rglob("*")) if path.is_file()]
    if name.endswith(".zip"):
        with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                archive.write(path, path.relative_to("in"))
    else:
        with tarfile.open(name, "w:gz" if name.endswith("gz") else "w") as archive:
            for path in paths:
                archive.add(path, path.relative_to("in"))
    return name


@pytest.mark.parametrize("name", ["shots.zip", "shard-0001.tar", "zip://shots.zip"])
def test_an_archive_is_read_as_a_folder(
    run: Run, local: dict[str, bytes], tiny_weights: str, tree: Tree, name: str
) -> None:
    packed(name.removeprefix("zip://"))
    ended = run("denoise", name, "-r", "-o", "out", "--model", tiny_weights, "-v")
    assert ended.code == 0, ended.err
    assert tree("out") == local
    plain = name.removeprefix("zip://")
    assert f"{plain}/sub/b.jpg -> out/sub/b.jpg" in ended.err
    assert "1 file of another kind left out: .txt 1" in ended.err


def test_a_place_in_an_archive_is_read(
    run: Run, local: dict[str, bytes], tiny_weights: str
) -> None:
    packed("shots.zip")
    one = "zip://sub/b.jpg::shots.zip"
    assert run("denoise", one, "-o", "one.jpg", "--model", tiny_weights).code == 0
    assert Path("one.jpg").read_bytes() == local["sub/b.jpg"]


def test_archives_that_lead_out_of_the_folder_or_are_damaged_are_refused(
    run: Run, local: dict[str, bytes], tiny_weights: str
) -> None:
    del local
    with zipfile.ZipFile("evil.zip", "w") as archive:
        for name in ("../../out.png", "/abs.png", "good.png"):
            archive.writestr(name, Path("in/a.png").read_bytes())
    ended = run("denoise", "evil.zip", "-r", "-o", "out", "--model", tiny_weights)
    assert (ended.code, "left out: no files can have these names" in ended.err) == (1, True)
    assert [path.name for path in Path("out").rglob("*.png")] == ["good.png"]
    data = bytearray(Path(packed("bad.zip")).read_bytes())
    start = data.index(b"a.png") + 40
    data[start : start + 20] = bytes(20)
    Path("bad.zip").write_bytes(data)
    ended = run("denoise", "bad.zip", "-o", "bad", "--model", tiny_weights)
    assert (ended.code, "bad.zip/a.png: cannot be read" in ended.err) == (1, True)
    Path("no.zip").write_bytes(b"no archive")
    assert "not a zip archive" in run("denoise", "no.zip", "-o", "out").err
    assert "uncompress it first" in run("denoise", packed("a.tar.gz"), "-o", "out").err
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(100 << 20))
    assert "states 104,857,600 bytes" in run("denoise", "bomb.zip", "-o", "out").err


def test_files_and_listings_of_a_web_server_are_read(
    run: Run,
    local: dict[str, bytes],
    tiny_weights: str,
    tree: Tree,
    web: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("aiohttp")
    Path("signed").mkdir()
    copyfile("in/a.png", "signed/a.png")
    one = f"{web}/signed/a.png?signature=secret"
    ended = run("denoise", one, "-o", "one/", "--model", tiny_weights, "--json")
    assert ended.code == 0, ended.err
    assert "secret" not in ended.out + ended.err
    assert Path("one/a.png").read_bytes() == local["a.png"]
    ended = run("denoise", f"{web}/in/", "-r", "-o", "out", "--model", tiny_weights)
    assert (ended.code, tree("out")) == (0, local)
    packed("shots.zip")
    ended = run("denoise", f"{web}/shots.zip", "-r", "-o", "zipped", "--model", tiny_weights)
    assert (ended.code, tree("zipped")) == (0, local)
    copytree("in", "untold")
    ended = run("denoise", f"{web}/untold/", "-r", "-o", "told", "--model", tiny_weights)
    assert (ended.code, tree("told")) == (0, local)
    monkeypatch.setattr("restore.remote.room._MOST_BYTES", 1000)
    Path("untold/large.png").write_bytes(bytes(20_000_000))
    ended = run("denoise", f"{web}/untold/large.png", "-o", "large/", "--model", tiny_weights)
    assert ended.code == 1
    assert "large.png: takes more than " in ended.err
    missing = run("denoise", f"{web}/in/none.png", "-o", "out/", "--model", tiny_weights)
    assert (missing.code, "no such file or folder" in missing.err) == (2, True)
