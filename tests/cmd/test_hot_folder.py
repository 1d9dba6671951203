"""`denoise --watch` and `dark-enhance --watch`: pictures are restored as they come."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from restore.image.dng import write_cfa_dng
from restore.image.raw_picture import RawPicture

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]
Process = subprocess.Popen[bytes]
Sensor = Callable[..., RawPicture]

LONGEST_S = 120
PROFILE = ("--noise-profile", "1e-4,1e-6")


def until(is_so: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + LONGEST_S
    while not is_so():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def names(folder: str) -> list[str]:
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in paths)


@pytest.fixture
def watching(spawn: Callable[..., Process], tiny_weights: str) -> Callable[..., Process]:
    """Start to watch the folder ``in``; its records go to the file ``records``."""
    Path("in").mkdir()

    def start(*more: str, settle: str = "0.3", model: str = tiny_weights) -> Process:
        arguments = ["denoise", "--watch", "in", "-o", "out", "--settle", settle, "--json"]
        with Path("records").open("ab") as file:
            return spawn(*arguments, "--model", model, "--device", "cpu", *more, stdout=file)

    return start


def records() -> list[dict[str, str]]:
    lines = Path("records").read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


def ended(process: Process, number: int = signal.SIGTERM) -> str:
    process.send_signal(number)
    _, messages = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    return messages.decode()


def test_pictures_are_denoised_as_they_come(
    watching: Callable[..., Process], photo: Photo, sensor: Sensor
) -> None:
    photo("in/before.png")
    photo("in/twin.jpg")
    Path("in/broken.png").write_text("no picture")
    Path("in/twin.dng").write_bytes(write_cfa_dng(sensor(size=(48, 66), level=0.1)))
    process = watching("-o", "in/out", "-r", *PROFILE)
    until(lambda: names("in/out") == ["before.png", "twin.dng"], process)
    photo("in/deep/later.png")
    until(lambda: "deep/later.png" in names("in/out"), process)
    until(lambda: len(records()) == 5, process)
    messages = ended(process)
    assert {each["source"]: each["status"] for each in records()} == {
        "in/before.png": "done", "in/twin.dng": "done", "in/twin.jpg": "skipped",
        "in/broken.png": "failed", "in/deep/later.png": "done",
    }  # fmt: skip
    assert messages.count("in/broken.png: is not a picture") == 1
    assert "in/twin.jpg has a RAW file of the same name, which is taken instead" in messages
    assert "3 done, 1 failed" in messages
    assert "stopped; the same command goes on with what is new" in messages
    assert names("in/out") == ["before.png", "deep/later.png", "twin.dng"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_it_a_restart_does_the_rest_and_nothing_twice(
    watching: Callable[..., Process], photo: Photo, number: int
) -> None:
    for index in range(30):
        photo(f"in/{index:02}.png", width=400, height=300, seed=index)
    process = watching("--jobs", "1")
    until(lambda: len(list(Path("out").glob("*.png"))) >= 3, process)
    process.send_signal(number)
    process.communicate(timeout=10)
    made = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}
    assert 3 <= len(made) < 30
    photo("in/while-away.png")
    Path("records").unlink()
    process = watching()
    until(lambda: len(records()) == 31, process)
    ended(process)
    statuses = [each["status"] for each in records()]
    assert statuses.count("skipped") == len(made)
    assert statuses.count("done") == 31 - len(made)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert names("out") == names("in")
    assert not list(Path("out").glob(".*"))


@pytest.mark.slow
def test_a_slow_copy_is_taken_when_it_is_whole(
    watching: Callable[..., Process], photo: Photo
) -> None:
    whole = photo("whole.png", width=200, height=200)
    content = whole.read_bytes()
    process = watching(settle="0.6")
    until(Path("records").exists, process)
    with Path("in/slow.png").open("wb") as file:
        for start in range(0, len(content), len(content) // 8):
            file.write(content[start : start + len(content) // 8])
            file.flush()
            assert names("out") == []
            time.sleep(0.4)
    until(lambda: names("out") == ["slow.png"], process)
    ended(process)
    assert [each["status"] for each in records()] == ["done"]


@pytest.mark.slow
def test_a_file_that_failed_is_taken_again_when_it_has_changed(
    watching: Callable[..., Process], photo: Photo
) -> None:
    content = photo("whole.png").read_bytes()
    process = watching()
    Path("in/a.png").write_bytes(content[:500])  # as where a copy pauses for too long
    until(lambda: len(records()) == 1, process)
    time.sleep(1.5)
    assert [each["status"] for each in records()] == ["failed"]
    Path("in/a.png").write_bytes(content)
    until(lambda: len(records()) == 2, process)
    ended(process)
    assert [each["status"] for each in records()] == ["failed", "done"]


@pytest.mark.slow
def test_what_is_moved_in_is_taken_at_once_but_a_jpeg_waits_for_its_raw_file(
    watching: Callable[..., Process], photo: Photo, sensor: Sensor
) -> None:
    old = (time.time() - 3600,) * 2
    for path in (photo("a.png"), photo("b.jpg"), Path("b.dng")):
        if path.suffix == ".dng":
            path.write_bytes(write_cfa_dng(sensor(size=(48, 66), level=0.1)))
        os.utime(path, old)
    process = watching(*PROFILE, settle="4")
    os.rename("a.png", "in/a.png")
    os.rename("b.jpg", "in/b.jpg")
    until(lambda: names("out") == ["a.png"], process)
    os.rename("b.dng", "in/b.dng")
    until(lambda: len(records()) == 3, process)
    ended(process)
    assert names("out") == ["a.png", "b.dng"]
    assert [each.get("twin_of") for each in records()] == [None, None, "in/b.dng"]


@pytest.mark.slow
def test_results_never_come_among_the_inputs(
    watching: Callable[..., Process], photo: Photo
) -> None:
    photo("in/in/a.png")  # would be written to in/a.png
    photo("in/b.png")
    process = watching("-r", "-o", ".")
    until(lambda: len(records()) == 2, process)
    messages = ended(process)
    assert "in/in/a.png: its result in/a.png would lie in the folder that is watched" in messages
    assert names("in") == ["b.png", "in/a.png"]
    assert Path("b.png").is_file()


@pytest.mark.slow
def test_dark_pictures_are_developed_as_they_come(
    spawn: Callable[..., Process], sensor: Sensor, isp_weights: dict[str, Path]
) -> None:
    Path("nights").mkdir()
    process = spawn(
        "dark-enhance", "--watch", "nights", "-o", "out", "--settle", "0.3",
        "--model", str(isp_weights["bayer"]), "--format", "jpg", "--device", "cpu",
    )  # fmt: skip
    Path("nights/a.dng").write_bytes(write_cfa_dng(sensor(size=(40, 60), level=0.01)))
    until(lambda: Path("out/a.jpg").exists(), process)
    assert "1 done" in ended(process)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--watch", "nowhere", "-o", "out"], "nowhere: not a folder to watch"),
        (["--watch", "in", "in/a.png", "-o", "out"], "and --watch contradict each other"),
        (["--watch", "in", "-o", "out", "--overwrite"], "--overwrite does nothing here"),
        (["--watch", "in", "-o", "out", "--shard", "1/2"], "--shard does nothing here"),
        (["--watch", "in", "-o", "out", "--report", "p.html"], "--report does nothing here"),
        (["--watch", "in"], "need a folder: give -o DIR"),
        (["--watch", "in", "--preview"], "need a folder: give -o DIR"),
        (["--watch", "in", "-o", "-"], "need a folder: give -o DIR"),
        (["--watch", "in", "-o", "in/a.png"], "is a file; these inputs need an output folder"),
        (["--watch", "in", "-o", "in"], "in: is the folder that is watched"),
        (["--watch", "in", "-o", "out", "--model", "none"], "none"),
        (["--watch", "in", "-o", "out", "--strength", "2"], "finished pictures take 0 to 1"),
        (["--watch", "in", "-o", "o", "--format", "jpg", "--bit-depth", "16"], "16"),
        (["in", "-o", "out", "--settle", "3"], "--settle does nothing here"),
        (["-o", "out"], "give pictures or folders, or --watch DIR"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    run: Run, photo: Photo, arguments: list[str], message: str
) -> None:
    photo("in/a.png")
    refused = run("denoise", *arguments)
    assert refused.code == 2
    (line,) = refused.err.splitlines()
    assert message in line
    assert names(".") == ["in/a.png"]


def test_a_dry_run_lists_what_lies_in_the_folder_now(run: Run, photo: Photo) -> None:
    photo("in/a.png")
    photo("in/b.png")
    photo("out/b.png")
    dry = run("denoise", "--watch", "in", "-o", "out", "--dry-run")
    assert dry.out.splitlines() == [
        "in/a.png -> out/a.png", "in/b.png -> out/b.png (exists, skipped)",
    ]  # fmt: skip
