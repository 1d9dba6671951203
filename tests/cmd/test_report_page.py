"""`--report` of the tasks that restore pictures."""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from restore.image.decode import decode
from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]
Sensor = Callable[..., RawPicture]
PICTURE = re.compile(r'^<li class="picture (\w+)" data-key="[^"]*" data-name="([^"]*)"', re.M)


def pictures(path: str) -> list[tuple[str, str]]:
    return PICTURE.findall(Path(path).read_text(encoding="utf-8"))


def test_a_page_is_written_beside_the_same_results(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    for name in ("in/a.png", "in/b.jpg"):
        photo(name)
    Path("in/c.png").write_bytes(b"no picture")
    options = ("denoise", "in", "--model", tiny_weights, "--precision", "fp32")
    assert run(*options, "-o", "plain").code == 1
    ended = run(*options, "-o", "out", "--report", "page/all.html")
    assert ended.code == 1, ended.err
    assert pictures("page/all.html") == [
        ("done", "in/a.png"), ("done", "in/b.jpg"), ("failed", "in/c.png"),
    ]  # fmt: skip
    for name in ("a.png", "b.jpg"):
        assert Path("out", name).read_bytes() == Path("plain", name).read_bytes()
    page = Path("page/all.html").read_text()
    for text in ("noise level, of 255", "tiny", "seconds", "c.png: is not a picture"):
        assert text in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_page_goes_on_with_skip_existing(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("in/a.png")
    options = ("denoise", "in", "-o", "out", "--report", "p.html", "--model", tiny_weights)
    assert run(*options).code == 0
    photo("in/b.png")
    refused = run(*options)
    assert refused.code == 2
    assert "exist" in refused.err
    assert run(*options, "--skip-existing").code == 0
    assert pictures("p.html") == [("done", "in/a.png"), ("done", "in/b.png")]
    assert run(*options, "--skip-existing").code == 0
    assert pictures("p.html") == [("done", "in/a.png"), ("done", "in/b.png")]
    assert run(*options, "--overwrite", "--dry-run").code == 0
    Path("p.html").unlink()
    assert run(*options, "--skip-existing").code == 0
    assert pictures("p.html") == [("skipped", "in/a.png"), ("skipped", "in/b.png")]


def test_a_run_that_does_not_begin_leaves_the_page_as_it_was(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    photo("a.png")
    options = ("denoise", "a.png", "-o", "b.png", "--report", "page/p.html")
    assert run(*options, "--model", "nope").code == 2
    assert not Path("page").exists()
    assert run(*options, "--model", tiny_weights).code == 0
    page = Path("page/p.html").read_bytes()
    assert run(*options, "--overwrite", "--model", "nope").code == 2
    assert Path("page/p.html").read_bytes() == page


def test_names_that_no_page_can_have_are_refused_before_work(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    photo("a.png")
    for name, message in (("a.png", "HTML file"), ("-", "HTML file"), (".", "HTML file")):
        ended = run("denoise", "a.png", "-o", "b.png", "--report", name, "--model", tiny_weights)
        assert ended.code == 2
        assert message in ended.err
        assert not Path("b.png").exists()


def test_what_was_done_before_a_signal_is_in_the_page(
    spawn: Callable[..., "subprocess.Popen[bytes]"], photo: Photo, slow_weights: str
) -> None:
    photo("in/a.png")
    photo("in/b.png", width=1500, height=1500)
    options = ("--model", slow_weights, "--tile", "2000", "--json", "--report", "p.html")
    process = spawn("denoise", "in", "-o", "out", *options)
    assert process.stdout
    assert json.loads(process.stdout.readline())["source"] == "in/a.png"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert pictures("p.html") == [("done", "in/a.png")]
    assert not list(Path().rglob("*.part"))


def test_a_page_that_cannot_be_written_fails_the_run_but_no_picture(
    run: Run, photo: Photo, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from restore.batch.page import RunPage
    from restore.errors import OutputError

    finish = RunPage.finish

    def full(page: RunPage) -> None:
        finish(page)
        raise OutputError("p.html: cannot be written: No space left on device")

    monkeypatch.setattr(RunPage, "finish", full)
    photo("a.png")
    ended = run("denoise", "a.png", "-o", "b.png", "--report", "p.html", "--model", tiny_weights)
    assert ended.code == 1
    assert "p.html: cannot be written: No space" in ended.err
    assert "1 done" in ended.err
    assert decode(Path("b.png")).width == 40


def test_raw_files_are_shown_developed(
    run: Run, sensor: Sensor, isp_weights: dict[str, Path]
) -> None:
    Path("a.dng").write_bytes(write_cfa_dng(sensor(size=(40, 60), level=0.01)))
    options = ("--model", str(isp_weights["bayer"]), "--report", "p.html")
    ended = run("dark-enhance", "a.dng", "-o", "a.png", *options)
    assert ended.code == 0, ended.err
    assert pictures("p.html") == [("done", "a.dng")]
    assert "<dt>ratio</dt>" in Path("p.html").read_text()


def test_light_and_brackets_are_shown(
    run: Run, photo: Photo, single_model: Path, sensor: Sensor
) -> None:
    photo("a.png")
    ended = run("hdr", "a.png", "-o", "a.exr", "--model", str(single_model), "--report", "p.html")
    assert ended.code == 0, ended.err
    assert pictures("p.html") == [("done", "a.png")]
    for index, share in enumerate((1, 4)):
        mosaic = np.full((48, 64), 600 + 1000 * share, dtype=np.uint16)
        Path(f"{index}.dng").write_bytes(write_cfa_dng(sensor("rggb", mosaic=mosaic)))
    merge = ["--mode", "merge", "--exposures", "1/60,1/15", "--no-align"]
    ended = run("hdr", "0.dng", "1.dng", "-o", "b.exr", *merge, "--report", "q.html")
    assert ended.code == 0, ended.err
    assert pictures("q.html") == [("done", "0.dng")]
