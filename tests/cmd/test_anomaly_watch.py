"""`imrestore anomaly --watch`: parts are inspected as they come, whatever happens."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from imrestore.anomaly.arrivals import _Refresh
from imrestore.anomaly.line import Noted
from restore.anomaly.follow import Followers
from restore.anomaly.results import Results
from restore.batch.plan import Item
from restore.batch.stream import Outcome, Status
from restore.files import sole_use

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
Records = Callable[..., list[dict[str, object]]]

LONGEST_S = 120


def until(is_so: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + LONGEST_S
    while not is_so():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def inspected() -> list[str]:
    path = Path("r/results.jsonl")
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["source"] for line in lines if line.endswith("}")]


@pytest.fixture
def watching(spawn: Spawn, model: str) -> Spawn:
    """Start to watch the folder ``in``."""
    Path("in").mkdir()

    def start(*more: str) -> "subprocess.Popen[bytes]":
        arguments = ["anomaly", "--watch", "in", "--model", model, "-o", "r", "--settle", "0.3"]
        return spawn(*arguments, "--device", "cpu", *more)

    return start


def ended(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> str:
    started = time.monotonic()
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    assert time.monotonic() - started < 4
    assert process.returncode == 128 + number
    return messages.decode()


@pytest.mark.slow
def test_parts_are_inspected_as_they_come_and_after_a_restart_none_again(
    watching: Spawn, part: Part, records: Records
) -> None:
    part("in/before.png")
    process = watching("--json")
    until(lambda: inspected() == ["in/before.png"], process)
    part("in/hole.png", hole=True)
    until(lambda: "in/hole.png" in Path("r/report.html").read_text(), process)
    messages = ended(process, signal.SIGINT)
    assert "2 done" in messages
    assert "stopped; the same command goes on with what is new" in messages
    made = Path("r/maps/hole.tif").stat().st_mtime_ns
    part("in/while-away.png", hole=True)
    process = watching()
    until(lambda: len(inspected()) == 3, process)
    messages = ended(process)
    assert "1 done, 2 skipped" in messages
    assert Path("r/maps/hole.tif").stat().st_mtime_ns == made
    verdicts = {record["source"]: record["verdict"] for record in records("r")}
    assert verdicts == {
        "in/before.png": "good", "in/hole.png": "defective", "in/while-away.png": "defective",
    }  # fmt: skip
    assert not list(Path("r").rglob("*.part"))


@pytest.mark.slow
def test_a_kill_loses_no_part(watching: Spawn, part: Part, records: Records) -> None:
    for index in range(20):
        part(f"in/{index:02}.png", hole=index % 2 == 1)
    process = watching("--jobs", "1")
    until(lambda: len(inspected()) >= 3, process)
    process.kill()
    process.wait()
    before = inspected()
    for index in range(20, 25):
        part(f"in/{index}.png")
    process = watching()
    until(lambda: len(inspected()) >= 25, process)
    until(lambda: "in/24.png" in Path("r/report.html").read_text(), process)
    ended(process)
    found = [record["source"] for record in records("r")]
    assert sorted(found) == sorted(f"in/{index:02}.png" for index in range(25))
    assert set(before) <= set(found)


@pytest.mark.slow
def test_a_name_that_comes_again_is_not_taken_for_inspected(watching: Spawn, part: Part) -> None:
    path = part("in/a.png")
    process = watching()
    until(lambda: inspected() == ["in/a.png"], process)
    process.kill()
    process.wait()
    path.unlink()
    part("in/a.png", hole=True)
    first = Path("r/maps/a.tif").read_bytes()
    process = watching("--json", "-q")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert told["status"] == "failed"
    assert "is newer than r/maps/a.tif, the result of that name, which is kept" in told["error"]
    ended(process)
    assert Path("r/maps/a.tif").read_bytes() == first
    record = json.loads(Path("r/results.jsonl").read_text().splitlines()[-1])
    assert record["verdict"] == "good"
    assert record["remark"].startswith("later: is newer than r/maps/a.tif")


@pytest.mark.slow
def test_two_pictures_of_one_name_are_told_and_the_first_is_kept(
    watching: Spawn, part: Part, records: Records
) -> None:
    part("in/a.png", hole=True)
    process = watching()
    until(lambda: inspected() == ["in/a.png"], process)
    part("in/a.bmp")
    until(lambda: len(inspected()) == 2, process)
    messages = ended(process)
    assert "in/a.png and in/a.bmp would both be written to r/maps/a.tif" in messages
    verdicts = {record["source"]: record["verdict"] for record in records("r")}
    assert verdicts == {"in/a.png": "defective", "in/a.bmp": "failed"}


@pytest.mark.slow
def test_defective_parts_are_put_aside_and_a_damaged_one_does_not_stop_the_line(
    watching: Spawn, part: Part, records: Records
) -> None:
    process = watching("--move-defective", "bad", "--on-defect", "false")
    Path("in/broken.png").write_text("no picture")
    hole = part("in/hole.png", hole=True).read_bytes()
    part("in/good.png")
    until(lambda: len(set(inspected())) == 3, process)
    until(lambda: Path("bad/hole.png").exists() and not Path("in/hole.png").exists(), process)
    messages = ended(process)
    assert Path("bad/hole.png").read_bytes() == hole
    assert sorted(path.name for path in Path("in").iterdir()) == ["broken.png", "good.png"]
    moved = {record["source"]: record.get("moved_to") for record in records("r")}
    assert moved == {"in/broken.png": None, "in/good.png": None, "in/hole.png": "bad/hole.png"}
    assert "in/hole.png: --on-defect false: ended with 1" in messages
    assert "in/broken.png: --on-defect false: ended with 1" in messages


def test_a_report_that_another_run_writes_is_refused(run: Run, part: Part, model: str) -> None:
    part("in/a.png")
    Path("r").mkdir()
    with sole_use(Path("r"), "results"):
        for arguments in (["in"], ["--watch", "in"]):
            refused = run("anomaly", *arguments, "--model", model, "-o", "r")
            assert refused.code == 2
            assert "imrestore: r: is written by another run; wait for it or end it" in refused.err
        assert run("anomaly", "in", "--model", model, "-o", "r", "--shard", "1/1").code == 0
    assert run("anomaly", "in", "--model", model, "-o", "r", "--overwrite").code == 0


def test_a_part_that_changed_keeps_its_verdict_with_a_remark(part: Part) -> None:
    results = Results(Path("r"))
    Path("r").mkdir()
    note = Noted(results, Followers(), None)
    record = {
        "verdict": "good", "score": 0.1, "relative_score": 0.2, "threshold": 0.5, "model": "dark",
        "weights": "0", "width": 64, "height": 48, "region_count": 0, "largest_area": 0,
        "peak_at": [0, 0], "regions": [], "map": "maps/a.tif", "mask": "masks/a.png",
        "overlay": "overlays/a.png", "reconstruction": "reconstructions/a.png",
    }  # fmt: skip
    item = Item(source=part("in/a.png"), destination=Path("r/maps/a.tif"))
    note(Outcome(item=item, status=Status.DONE, record=record))
    for _ in range(2):
        note(Outcome(item=item, status=Status.FAILED, error=f"{item.source_name}: changed"))
    lines = [json.loads(line) for line in Path("r/results.jsonl").read_text().splitlines()]
    assert [(line["verdict"], line.get("remark")) for line in lines] == [
        ("good", None), ("good", "later: changed"),
    ]  # fmt: skip


def test_drift_is_told_when_it_begins_and_when_it_begins_again() -> None:
    told: list[str] = []
    results = SimpleNamespace(changes=0, warnings={}, finish=lambda *_, **__: None)
    refresh = _Refresh(results, None, told.append)  # type: ignore[arg-type]
    for warnings in ({}, {"drift": "drift 1"}, {"drift": "drift 2"}, {}, {"drift": "drift 3"}):
        results.changes, results.warnings = results.changes + 1, warnings
        refresh.at_end()
    assert told == ["drift 1", "drift 3"]


def test_a_move_that_a_kill_interrupted_is_ended(
    run: Run, part: Part, model: str, records: Records
) -> None:
    part("in/hole.png", hole=True)
    run("anomaly", "in", "--model", model, "-o", "r", "--move-defective", "bad")
    assert not Path("in/hole.png").exists()
    os.link("bad/hole.png", "in/hole.png")  # as between its two steps
    arguments = ("anomaly", "in", "--model", model, "-o", "r", "--skip-existing")
    run(*arguments, "--move-defective", "bad")
    assert not Path("in/hole.png").exists()
    assert [path.name for path in Path("bad").iterdir()] == ["hole.png"]
    assert records("r")[0]["moved_to"] == "bad/hole.png"


def test_a_name_that_is_taken_gets_a_number(run: Run, part: Part, model: str) -> None:
    part("in/sub/hole.png", hole=True)
    part("bad/sub/hole.png").write_bytes(b"mine")
    run("anomaly", "in", "-r", "--model", model, "-o", "r", "--move-defective", "bad", "--json")
    assert Path("bad/sub/hole.png").read_bytes() == b"mine"
    assert Path("bad/sub/hole-2.png").is_file()
    assert not Path("in/sub/hole.png").exists()


def test_a_dry_run_lists_moves_and_makes_none(run: Run, part: Part, model: str) -> None:
    part("in/hole.png", hole=True)
    dry = run(
        "anomaly", "--watch", "in", "--model", model, "-o", "r", "--move-defective", "bad",
        "--dry-run",
    )  # fmt: skip
    assert dry.code == 0, dry.err
    assert "moved to if defective bad/hole.png" in dry.out
    assert Path("in/hole.png").exists()
    assert not Path("bad").exists()
    assert not Path("r").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--watch", "nowhere"], "nowhere: not a folder to watch"),
        (["--watch", "in", "in/a.png"], "and --watch contradict each other"),
        (["--watch", "in", "--overwrite"], "--overwrite does nothing here"),
        (["--watch", "in", "--shard", "1/2"], "--shard does nothing here"),
        (["--watch", "in", "--sample", "2"], "--watch does nothing here: --sample inspects"),
        (["in", "--settle", "3"], "--settle does nothing here"),
        (["in", "--on-defect", "no-such-program x"], "there is no program 'no-such-program'"),
        (["in", "--on-defect", "echo 'x"], "No closing quotation"),
        (["in", "--webhook", "file:///etc/passwd"], "give an address with http:// or https://"),
        (["in", "--webhook", "http://[::1"], "give an address with http:// or https://"),
        (["in", "--move-defective", "in/a.png"], "is a file; give a folder"),
        (["in", "--move-defective", "in"], "which is inspected; choose another"),
        (["in", "-r", "--move-defective", "in/bad"], "which is inspected; choose another"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    run: Run, part: Part, model: str, arguments: list[str], message: str
) -> None:
    part("in/a.png")
    refused = run("anomaly", *arguments, "--model", model, "-o", "r")
    assert refused.code == 2
    (line,) = refused.err.splitlines()
    assert message in line
    assert not Path("r").exists()
