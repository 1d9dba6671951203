"""The page of an inspection: its size, its memory, and what happens where the disk is full."""

import errno
import json
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from restore.anomaly.page import Page, page_of
from restore.anomaly.records import Record
from restore.anomaly.runner import Detector
from restore.anomaly.verdict import Verdict

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]


def record(name: str, relative: float, verdict: Verdict | None = None) -> Record:
    return Record(
        source=f"in/{name}.png",
        verdict=verdict or (Verdict.DEFECTIVE if relative > 1 else Verdict.GOOD),
        score=0.38 * relative,
        relative_score=relative,
        threshold=0.38,
        width=64,
        height=48,
        peak_at=(1, 2),
        files={"map": f"maps/{name}.tif"},
    )


@pytest.fixture
def detector(darkness_weights: Callable[..., str]) -> Detector:
    return Detector(darkness_weights("dark"))


def write_sheets(report: Path, records: list[Record], size: int) -> None:
    (report / "thumbnails").mkdir(parents=True)
    for each in records:
        path = report / f"thumbnails/{Path(each.source).stem}.webp"
        path.write_bytes(b"RIFF1234WEBP".ljust(size, b"x"))


def rows_of(page: bytes) -> list[dict[str, Any]]:
    match = re.search(rb'id="parts">(.*?)</script>', page, re.DOTALL)
    assert match
    rows: list[dict[str, Any]] = json.loads(match[1])
    return rows


def test_pictures_are_embedded_up_to_a_bound_those_that_matter_first(
    tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.anomaly.page._MOST_EMBEDDED", 5 * 4 * 3000 // 3)
    records = [
        record("far", 0.1), record("a", 0.95), record("dark", 0.01, Verdict.UNFAMILIAR),
        record("b", 0.85), record("hole", 3.0), record("c", 0.5),
        record("look", 0.9, Verdict.REVIEW),
    ]  # fmt: skip
    write_sheets(tmp_path, records, 3000)
    rows = rows_of(b"".join(page_of(Page(records=records, report=tmp_path, detector=detector))))
    assert [row["name"] for row in rows] == [each.source for each in records], "all are listed"
    embedded = {Path(row["name"]).stem for row in rows if "sheet" in row}
    assert embedded == {"dark", "hole", "look", "a", "b"}


def test_the_memory_for_a_page_does_not_grow_with_its_pictures(
    tmp_path: Path, detector: Detector
) -> None:
    records = [record(f"{index:04}", 2.0) for index in range(600)]
    write_sheets(tmp_path, records, 14_000)
    page = Page(records=records, report=tmp_path, detector=detector)
    b"".join(page_of(replace(page, records=records[:2])))  # imports
    tracemalloc.start()
    size = sum(map(len, page_of(page)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000 < 10_000_000 < size


def test_what_the_detector_cannot_do_is_said(
    tmp_path: Path, darkness_weights: Callable[..., str]
) -> None:
    detector = Detector(darkness_weights("dark"), fpr=0.001)
    page = b"".join(page_of(Page(records=[], report=tmp_path, detector=detector))).decode()
    assert "39 held-out good parts cannot guarantee a false-alarm rate of 0.001" in page
    assert "Parts that are unlike all good ones, as a black picture is, are not noticed." in page


def test_nothing_of_a_name_or_reason_ends_the_script_that_holds_it(
    tmp_path: Path, detector: Detector
) -> None:
    evil = '</script><script>alert("&")</script>'
    strange = replace(record(evil, 0.1, Verdict.UNFAMILIAR), reason=evil)
    failed = Record(source=evil, verdict=Verdict.FAILED, error=evil)
    page = b"".join(page_of(Page(records=[strange, failed], report=tmp_path, detector=detector)))
    assert page.count(b"</script>") == 3
    assert b"<script>alert" not in page
    assert [row["note"] for row in rows_of(page)] == [evil, evil]


def test_a_disk_that_is_full_in_the_middle_of_the_page_leaves_no_half_page(
    run: Run, part: Part, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    part("in/a.png", hole=True)
    run("anomaly", "in", "--model", model, "-o", "r")
    before = Path("r/report.html").read_bytes()
    part("in/b.png")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("restore.anomaly.page._row", full)
        ended = run("anomaly", "in", "--model", model, "-o", "r", "--skip-existing")
    assert ended.code == 1
    assert "r/report.html: cannot be written: No space left on device" in ended.err
    assert Path("r/report.html").read_bytes() == before
    lines = Path("r/results.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["in/a.png", "in/b.png"]
    assert not list(Path("r").rglob("*.part"))
    assert run("anomaly", "in", "--model", model, "-o", "r", "--skip-existing").code == 0
    assert "in/b.png" in Path("r/report.html").read_text()
