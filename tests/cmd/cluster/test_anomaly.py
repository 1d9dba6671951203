"""`imrestore anomaly --cluster`, with what stands for Ray, and with Ray."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Run = Callable[..., SimpleNamespace]
Part = Callable[..., Path]


def _files(folder: str) -> dict[str, bytes]:
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture
def parts(part: Part) -> str:
    for index in range(5):
        part(f"in/{index}.png", hole=index == 3)
    Path("in/4.png").write_bytes(b"no picture")
    return "in"


def test_the_report_is_that_of_a_local_run(run: Run, parts: str, model: str, ray: Any) -> None:
    options = ("anomaly", parts, "--model", model, "--precision", "fp32", "--move-defective")
    alone = run(*options, "aside", "-o", "alone")
    Path("aside/3.png").rename("in/3.png")
    Path("alone").rename("report")
    expected = _files("report")
    Path("report").rename("alone")
    there = run(*options, "aside", "-o", "report", "--cluster", "auto")
    assert (alone.code, there.code) == (1, 1)
    assert ray.workers
    assert "1 defective of 4" in there.err
    assert Path("aside/3.png").exists()
    found = _files("report")
    assert sorted(found) == sorted(expected)
    for name, data in expected.items():
        assert found[name] == data.replace(b"alone", b"report"), name


def test_what_a_worker_had_that_died_is_inspected_by_another(
    run: Run, parts: str, model: str, ray: Any
) -> None:
    options = ("anomaly", parts, "--model", model, "--precision", "fp32", "--json")
    run(*options, "-o", "alone")
    ray.deaths = lambda done: done == 2
    there = run(*options, "-o", "report", "--cluster", "auto")
    assert "a worker died; others do its" in there.err
    assert there.code == 1  # for what is no picture, as in a local run
    assert there.out.count('"status": "done"') == 4
    assert Path("report/results.jsonl").read_bytes() == Path("alone/results.jsonl").read_bytes()


def test_what_is_there_is_kept(run: Run, parts: str, model: str, ray: Any) -> None:
    options = ("anomaly", parts, "--model", model, "-o", "report", "--cluster", "auto")
    run(*options)
    first, workers = _files("report"), ray.workers
    refused = run(*options)
    assert (refused.code, ray.workers) == (2, workers)
    assert "--skip-existing" in refused.err
    again = run(*options, "--skip-existing")
    assert "4 skipped" in again.err
    assert _files("report") == first


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-",), "workers read and write files"),
        (("in", "--on-defect", "true"), "--on-defect does nothing here"),
        (("in", "--webhook", "http://127.0.0.1:1/"), "--webhook does nothing here"),
        (("--watch", "in"), "--watch does nothing here"),
        (("s3://bucket/in/",), "s3://bucket/in: workers of a cluster do not see"),
    ],
)
def test_what_a_cluster_does_not_do_is_refused(
    run: Run, parts: str, model: str, ray: Any, arguments: tuple[str, ...], reason: str
) -> None:
    del parts
    ended = run("anomaly", *arguments, "--model", model, "-o", "report", "--cluster", "auto")
    assert (ended.code, ray.workers) == (2, 0)
    assert reason in ended.err
    assert not Path("report").exists()


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_makes_the_report_of_a_local_run(
    network: Any, part: Part, model: str
) -> None:
    for index in range(120):
        part(f"in/{index:03}.png", hole=index % 7 == 3, width=64 + index % 3)
    options = ("in", "-o", "report", "--model", model, "--precision", "fp32", "--json")
    command = (sys.executable, "-m", "imrestore", "anomaly", *options)
    records = Path("records.jsonl")
    run = network.start_until(records, 20, *command, "--cluster", network.address)
    os.kill(network.worker(), signal.SIGKILL)
    assert run.wait(300) == 0
    told = [json.loads(line) for line in records.read_text().splitlines()]
    assert Counter(each["status"] for each in told) == {"done": 120}
    assert len({each["source"] for each in told}) == 120
    Path("report").rename("there")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert _files("there") == _files("report")
