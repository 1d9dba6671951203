"""`imrestore anomaly join`, and runs that go on where shards stopped."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]
Records = Callable[..., list[dict[str, object]]]


@pytest.fixture
def parts(part: Part) -> None:
    for index in range(4):
        part(f"in/{index}.png", hole=index == 2)


def inspect(run: Run, model: str, report: str, *more: str) -> SimpleNamespace:
    return run("anomaly", "in", "--model", model, "-o", report, *more)


@pytest.mark.usefixtures("parts")
def test_shards_in_one_folder_are_joined_in_place(run: Run, model: str, records: Records) -> None:
    inspect(run, model, "whole")
    for share in ("1/2", "2/2"):
        assert inspect(run, model, "report", "--shard", share).code == 0
    ended = run("anomaly", "join", "report", "--model", model)
    assert ended.code == 0, ended.err
    assert "4 parts joined; report/report.html" in ended.err

    def by_name(of: str) -> list[dict[str, object]]:
        return sorted(records(of), key=lambda record: str(record["source"]))

    assert by_name("report") == by_name("whole")
    with Path("report/results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    assert Path("report/regions.csv").is_file()
    assert Path("report/report.html").is_file()
    assert run("anomaly", "join", "report", "--model", model).code == 0, "again, too"


@pytest.mark.usefixtures("parts")
def test_reports_of_several_machines_become_one(run: Run, model: str, records: Records) -> None:
    for share in ("1/2", "2/2"):
        inspect(run, model, f"node{share[0]}", "--shard", share)
    ended = run("anomaly", "join", "node1", "node2", "--model", model)
    assert ended.code == 2
    assert "give -o REPORT" in ended.err
    ended = run("anomaly", "join", "node1", "node2", "--model", model, "-o", "all")
    assert ended.code == 0, ended.err
    for record in records("all"):
        for kind in ("map", "mask", "overlay", "reconstruction"):
            assert Path("all", str(record[kind])).is_file()
    assert len(list(Path("all/thumbnails").iterdir())) == 4
    ended = run("anomaly", "join", "node1", "node2", "--model", model, "-o", "all")
    assert ended.code == 2
    assert "exists already" in ended.err


@pytest.mark.usefixtures("parts")
def test_what_is_missing_is_said(run: Run, model: str) -> None:
    inspect(run, model, "report", "--shard", "2/3")
    next(Path("report/masks").iterdir()).unlink()
    ended = run("anomaly", "join", "report", "--model", model)
    assert ended.code == 1
    assert "shard 1 of 3: has no results here" in ended.err
    assert "shard 3 of 3: has no results here" in ended.err
    assert "1 files of the reports are missing" in ended.err
    Path("empty").mkdir()
    ended = run("anomaly", "join", "empty", "--model", model)
    assert ended.code == 2
    assert "empty: holds no results of an inspection" in ended.err


@pytest.mark.usefixtures("parts")
def test_reports_that_do_not_go_together_are_refused(run: Run, model: str) -> None:
    inspect(run, model, "one", "--shard", "1/2")
    ended = run("anomaly", "join", "one", "--model", model, "--threshold", "9")
    assert ended.code == 2
    assert "was inspected with other weights or another threshold" in ended.err
    shutil.copytree("one", "two")
    lines = Path("two/results-1-of-2.jsonl").read_text().splitlines()
    changed = json.loads(lines[0]) | {"width": 5}
    Path("two/results-1-of-2.jsonl").write_text(json.dumps(changed) + "\n")
    ended = run("anomaly", "join", "one", "two", "--model", model, "-o", "all")
    assert ended.code == 2
    assert "two pictures of one name cannot be in one report" in ended.err


@pytest.mark.usefixtures("parts")
def test_a_run_that_is_not_split_goes_on_where_shards_stopped(run: Run, model: str) -> None:
    inspect(run, model, "report", "--shard", "1/2")
    ended = inspect(run, model, "report", "--skip-existing")
    assert ended.code == 0
    assert "2 done, 2 skipped" in ended.err
    assert "1 defective of 4" in ended.err


@pytest.mark.usefixtures("parts")
def test_the_exit_code_speaks_of_the_parts_that_this_run_was_asked_for(
    run: Run, part: Part, model: str
) -> None:
    assert inspect(run, model, "report", "--fail-on-anomaly").code == 3
    part("new/5.png")
    more = ("--model", model, "-o", "report", "--skip-existing", "--fail-on-anomaly")
    ended = run("anomaly", "new", *more)
    assert ended.code == 0, ended.err
    assert "0 defective of 1; 4 more of earlier runs" in ended.err
    assert run("anomaly", "in", *more).code == 3, "as if it had not been interrupted"


@pytest.mark.usefixtures("parts")
def test_a_whole_report_needs_no_other_shards(run: Run, model: str) -> None:
    inspect(run, model, "shard", "--shard", "1/2")
    shutil.copytree("shard", "whole")
    inspect(run, model, "whole", "--skip-existing")
    for reports in (["whole"], ["whole", "shard"]):
        ended = run("anomaly", "join", *reports, "--model", model, "-o", f"all-{len(reports)}")
        assert ended.code == 0, ended.err
        assert "4 parts joined" in ended.err
