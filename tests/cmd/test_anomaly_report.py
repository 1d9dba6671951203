"""What `imrestore anomaly` leaves: tables, pictures and a page, also after a stop."""

import base64
import csv
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.models.draem import Draem, DraemConfig
from restore.weights.store import Weights, save_weights

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]
Weigh = Callable[..., str]
Pixels = Callable[[str | Path], np.ndarray]
Records = Callable[..., list[dict[str, object]]]
Tree = Callable[[str], dict[str, bytes]]


def test_every_file_of_the_report_agrees_with_the_records(
    run: Run, part: Part, model: str, pixels: Pixels, records: Records
) -> None:
    part("in/bad.png", hole=True)
    part("in/good.png")
    run("anomaly", "in", "--model", model, "-o", "report")
    for record in records():
        scores = tifffile.imread(f"report/{record['map']}")
        assert (scores.dtype, scores.shape) == (np.float32, (48, 64))
        assert scores.max() == pytest.approx(record["score"], rel=1e-5)
        mask = pixels(f"report/{record['mask']}")
        np.testing.assert_array_equal(mask == 255, scores > record["threshold"])
        assert sum(region["area"] for region in record["regions"]) == (mask > 0).sum()
        assert pixels(f"report/{record['overlay']}").shape[:2] == (48, 64)
        assert pixels(f"report/{record['reconstruction']}").shape[:2] == (48, 64)
    with Path("report/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["defective", "good"]
    with Path("report/regions.csv").open(newline="") as file:
        (region,) = csv.DictReader(file)
    assert (region.pop("source"), region.pop("region")) == (records()[0]["source"], "1")
    assert {key: float(value) for key, value in region.items()} == records()[0]["regions"][0]
    assert [int(row["regions"]) for row in rows] == [1, 0]
    assert [(row["width"], row["height"]) for row in rows] == [("64", "48")] * 2


def test_of_what_failed_the_table_says_nothing(run: Run, model: str) -> None:
    Path("in").mkdir()
    Path("in/a.png").write_text("no")
    run("anomaly", "in", "--model", model, "-o", "r")
    with Path("r/results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    told = {key: value for key, value in row.items() if value}
    assert list(told) == ["source", "verdict", "error"]


def test_places_are_counted_beyond_those_that_are_listed(
    run: Run, model: str, records: Records
) -> None:
    """33 times 33 pores, and one large place that is less dark and so is not among the highest."""
    values = np.full((500, 480), 200, np.uint8)
    for row, column in product(range(4, 466, 14), repeat=2):
        values[row : row + 8, column : column + 8] = 0
    values[484:496, 100:200] = 40
    Path("in").mkdir()
    Image.fromarray(values).save("in/a.png")
    run("anomaly", "in", "--model", model, "-o", "r")
    (record,) = records("r")
    assert len(record["regions"]) == 1000
    assert record["region_count"] == 33 * 33 + 1
    assert record["largest_area"] > 700
    assert max(region["area"] for region in record["regions"]) < 100
    with Path("r/results.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["regions"], row["largest_area"]) == ("1090", str(record["largest_area"]))
    (row,) = parts_of(Path("r/report.html").read_text())
    assert (row["places"], len(row["boxes"])) == (1090, 24)
    before = Path("r/results.jsonl").read_bytes()
    run("anomaly", "in", "--model", model, "-o", "r", "--skip-existing")
    assert Path("r/results.jsonl").read_bytes() == before


def parts_of(page: str) -> list[dict[str, object]]:
    """Return what the page's script is given of every part."""
    match = re.search(r'<script type="application/json" id="parts">(.*?)</script>', page, re.DOTALL)
    assert match
    rows: list[dict[str, object]] = json.loads(match[1])
    return rows


def test_the_page_needs_no_other_file_and_no_network(run: Run, part: Part, model: str) -> None:
    part("in/bad & <b>.png", hole=True)
    part("in/good.png")
    run("anomaly", "in", "--model", model, "-o", "report")
    page = Path("report/report.html").read_text()
    assert not re.findall(r"<[^>]+\b(?:src|href)=", page.split("<script")[0]), (
        "it shows what is in it"
    )
    rows = parts_of(page)
    assert [row["name"] for row in rows] == ["in/bad & <b>.png", "in/good.png"]
    for row in rows:
        assert base64.b64decode(row["sheet"]).startswith(b"RIFF")
        addresses = [*row["files"].values(), row["original"]]
        assert not any(":" in each for each in addresses), "links lead into the report"
        assert all(Path("report", unquote(each)).is_file() for each in addresses)
    assert "<b>.png" not in page
    assert "prefers-color-scheme: dark" in page
    for text in ("2001-09-09 01:46 UTC", "imrestore ", "dark, ", "0.38, for 5 % false alarms"):
        assert text in page


def test_names_that_are_no_utf_8_are_reported(
    run: Run, part: Part, model: str, records: Records, tree: Tree
) -> None:
    part("in/a.png", hole=True)
    strange = os.fsdecode(b"in/caf\xe9.png")
    try:
        Path("in/a.png").rename(strange)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    ended = run("anomaly", "in", "--model", model, "-o", "r")
    assert ended.code == 0, ended.err
    assert records("r")[0]["source"] == strange
    (row,) = parts_of(Path("r/report.html").read_text(encoding="utf-8"))
    assert row["name"] == strange
    assert unquote_to_bytes(row["files"]["overlay"]) == b"overlays/caf\xe9.png"
    assert unquote_to_bytes(row["original"]) == b"../in/caf\xe9.png"
    assert Path("r/results.csv").read_text(encoding="utf-8").count(r"caf\udce9.png") > 1
    before = tree("r")
    assert "1 skipped" in run("anomaly", "in", "--model", model, "-o", "r", "--skip-existing").err
    assert tree("r") == before


def test_a_stopped_run_goes_on_to_the_same_report(
    run: Run, part: Part, model: str, tree: Tree
) -> None:
    for index in range(4):
        part(f"in/{index}.png", hole=index % 2 == 1, width=40 + index)
    run("anomaly", "in", "--model", model, "-o", "whole")
    run("anomaly", "in/0.png", "in/1.png", "--model", model, "-o", "parts")
    # What a kill in the middle leaves: a line cut short, a map without a record, no tables.
    lines = Path("parts/results.jsonl")
    lines.write_text(lines.read_text() + '{"source": "in/2.pn')
    Path("parts/maps/2.tif").write_bytes(b"half")
    Path("parts/report.html").unlink()
    resumed = run("anomaly", "in", "--model", model, "-o", "parts", "--skip-existing")
    assert "2 done, 2 skipped" in resumed.err
    assert tree("parts") == tree("whole")


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".TIF"])
def test_what_is_done_is_not_inspected_again(run: Run, part: Part, model: str, suffix: str) -> None:
    part(f"in/a{suffix}")
    run("anomaly", "in", "--model", model, "-o", "r")
    again = run("anomaly", "in", "--model", model, "-o", "r", "--skip-existing")
    assert "0 done, 1 skipped" in again.err
    assert [path.name for path in Path("r/maps").iterdir()] == ["a.tif"]


def test_results_of_earlier_runs_stay_in_the_report(
    run: Run, part: Part, model: str, records: Records
) -> None:
    part("a.png", hole=True)
    part("b.png")
    run("anomaly", "a.png", "--model", model, "-o", "r")
    run("anomaly", "b.png", "--model", model, "-o", "r", "--skip-existing")
    assert {record["source"] for record in records("r")} == {"a.png", "b.png"}
    rows = parts_of(Path("r/report.html").read_text())
    assert [("sheet" in row) for row in rows] == [True, True]


def test_shards_share_a_folder_but_no_table(run: Run, part: Part, model: str) -> None:
    for name in "abc":
        part(f"in/{name}.png")
    for shard in ("1/2", "2/2"):
        assert run("anomaly", "in", "--model", model, "-o", "r", "--shard", shard).code == 0
    names = {path.name for path in Path("r").glob("*.jsonl")}
    assert names == {"results-1-of-2.jsonl", "results-2-of-2.jsonl"}
    assert len(list(Path("r/maps").iterdir())) == 3


def test_ctrl_c_stops_within_two_seconds_and_says_how_to_go_on(
    spawn: Callable[..., "subprocess.Popen[bytes]"], part: Part, tmp_path: Path
) -> None:
    config = DraemConfig(channels=1, reconstructor=(64, 64), discriminator=(64, 64), blocks=4)
    network = Draem(config)
    path = tmp_path / "slow.safetensors"
    save_weights(
        Weights(
            name="slow", network=Draem, config=config, task="anomaly",
            tensors=network.state_dict(),
        ),
        path,
    )  # fmt: skip
    part("in/a.png")
    for name in "bcd":
        part(f"in/{name}.png", width=2000, height=1500)
    arguments = ["anomaly", "in", "--model", str(path), "-o", "r", "--threshold", "1"]
    process = spawn(*arguments, "--device", "cpu")
    deadline = time.monotonic() + 120
    while not (Path("r/results.jsonl").exists() and Path("r/results.jsonl").read_text()):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert time.monotonic() - started < 3
    assert process.returncode == 130
    assert b"--skip-existing does the rest" in messages
    done = [json.loads(line)["source"] for line in Path("r/results.jsonl").read_text().splitlines()]
    assert "in/a.png" in done
    assert not list(Path("r").rglob("*.part"))
