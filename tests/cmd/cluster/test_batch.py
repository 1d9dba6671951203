"""`--cluster` against a Ray cluster of processes, in a network that has nothing but loopback."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import restore
from imrestore.batch import Work
from imrestore.option_names import as_option
from restore.batch.cluster import Cluster
from restore.batch.cluster_worker import Begun, Job, Known, Sent, Worker, is_written, sent
from restore.batch.items import ItemTexts
from restore.batch.kinds import PICTURES
from restore.batch.plan import BatchPlan, PlanRequest, make_plan
from restore.batch.stages import PictureStages
from restore.batch.stream import Status
from restore.denoise.runner import Denoiser
from restore.errors import UsageError
from restore.remote.url_paths import url_paths
from restore.remote.urls import as_url


def _pictures(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    folder.mkdir()
    for index in range(count):
        pixels = random.integers(60, 200, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:04}.png")


# Workers, without Ray.


def _job(weights: str, plan: BatchPlan, where: Path, **changes: object) -> Job:
    def begin(_plan: BatchPlan) -> Begun:
        task = Work(Denoiser(weights, sigma=15.0, device="cpu"), notes=("a note",))
        stages = PictureStages(kind=PICTURES, restore=task.restore)
        return Begun(stages, 1, task.notes, is_done=is_written)

    values = {
        "begin": begin,
        "plan": plan,
        "folder": str(where),
        "version": restore.__version__,
        "jobs": 1,
        "max_pixels": None,
        "keeps_damaged": False,
        "naming": as_option,
    }
    return Job(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchPlan:
    monkeypatch.chdir(tmp_path)
    _pictures(tmp_path / "in", 3)
    Path("out").mkdir()
    return make_plan(PlanRequest(inputs=["in"], output="out/"))


def _sent(plan: BatchPlan, *, is_tried: bool = False) -> list[Sent]:
    return [sent(index, each, is_tried) for index, each in enumerate(plan.texts())]


def test_a_worker_yields_what_became_of_each_item(
    planned: BatchPlan, tiny_weights: str, tmp_path: Path
) -> None:
    Path("in/0001.png").write_bytes(b"no picture")
    worker = Worker(_job(tiny_weights, planned, tmp_path))
    assert worker.begin() == ("a note",)
    told = list(worker.work(_sent(planned)))
    assert [(each.number, each.outcome.status) for each in told] == [
        (0, Status.DONE),
        (1, Status.FAILED),
        (2, Status.DONE),
    ]


def test_what_a_dead_worker_had_written_is_neither_done_again_nor_lost(
    planned: BatchPlan, tiny_weights: str, tmp_path: Path
) -> None:
    Path("out/0001.png").write_bytes(b"its result")
    worker = Worker(_job(tiny_weights, planned, tmp_path))
    worker.begin()
    told = {each.number: each.outcome for each in worker.work(_sent(planned, is_tried=True))}
    assert {each.status for each in told.values()} == {Status.DONE}
    assert "worker that died" in str(told[1].record["remarks"])
    assert Path("out/0001.png").read_bytes() == b"its result"


def test_a_worker_that_was_told_to_stop_begins_nothing(
    planned: BatchPlan, tiny_weights: str, tmp_path: Path
) -> None:
    worker = Worker(_job(tiny_weights, planned, tmp_path))
    worker.begin()
    worker.stop()
    assert list(worker.work(_sent(planned))) == []
    assert os.listdir("out") == []


def test_a_signature_reaches_the_worker_and_nobody_else(
    planned: BatchPlan, tiny_weights: str, tmp_path: Path, web: str
) -> None:
    pytest.importorskip("aiohttp")
    Path("signed").mkdir()
    shutil.copy("in/0001.png", "signed/a.png")
    url = as_url(f"{web}/signed/a.png?signature=secret")
    assert url
    with url_paths() as paths:
        source = str(paths.input_path(url, recursive=False))
        plan = make_plan(PlanRequest(inputs=[source], output="out/"))
        signed = sent(0, plan.texts_of(0), is_tried=False)
    unsigned = signed._replace(urls={each: Known(None) for each in signed.urls})
    worker = Worker(_job(tiny_weights, planned, tmp_path))
    try:
        worker.begin()
        (refused,) = worker.work([unsigned])
        (told,) = worker.work(pickle.loads(pickle.dumps([signed])))
    finally:
        worker._context.close()
    assert refused.outcome.status is Status.FAILED
    assert told.outcome.status is Status.DONE, told.outcome.error
    assert Path("out/a.png").exists()
    assert "secret" not in f"{signed}{refused}{told}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"version": "0.0"}, "install the same"), ({"folder": "/no/such"}, "do not see this folder")],
)
def test_a_worker_refuses_a_machine_that_is_another(
    changes: dict[str, str], reason: str, planned: BatchPlan, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=reason):
        Worker(_job("none", planned, tmp_path, **changes)).begin()


def test_one_item_of_each_kind_stands_for_a_plan(tmp_path: Path) -> None:
    for name in ("a.png", "b.PNG", "c.jpg", "d.jpg"):
        (tmp_path / name).touch()
    plan = make_plan(PlanRequest(inputs=[str(tmp_path)], output="out/"))
    kinds = plan.of_each_kind()
    assert [ItemTexts.of(item).source for item in kinds.items] == [
        str(tmp_path / name) for name in ("a.png", "c.jpg")
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-", "-o", "x.png", "--cluster", "auto"), "workers read and write files"),
        (("in.png", "-o", "x.png", "--cluster", "127.0.0.1:1"), "Ray|no cluster answers there"),
        (
            ("in.png", "-o", "x.png", "--cluster", "auto", "--model", "s3://b/m.safetensors"),
            "s3://b/m.safetensors: workers of a cluster do not see",
        ),
    ],
)
def test_what_a_cluster_cannot_do_is_refused(
    run: Callable[..., Any], arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "in.png")
    ended = run("denoise", *arguments)
    assert ended.code == 2
    assert re.search(reason, ended.err)
    assert not (tmp_path / "x.png").exists()


def test_what_ray_refuses_is_said_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_options: object) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.0\n")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    with pytest.raises(UsageError, match=r"auto: Version mismatch.* Ray: 2\.0$"):
        Cluster("auto")


# A cluster.


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_and_gains_a_node_does_all_once(
    network: Any, tiny_weights: str, tmp_path: Path
) -> None:
    _pictures(tmp_path / "in", 200)
    source, out, alone = (str(tmp_path / name) for name in ("in", "out", "alone"))
    options = ("--model", tiny_weights, "--sigma", "15", "--precision", "fp32")
    command = (sys.executable, "-m", "imrestore", "denoise", source, *options, "--json")
    on_cluster = ("-o", out, "--cluster", network.address)
    records = tmp_path / "records.jsonl"
    run = network.start_until(records, 20, *command, *on_cluster)
    late = network.node("--address", network.address, "--num-cpus", "1")
    os.kill(network.worker(), signal.SIGKILL)
    assert run.wait(300) == 0
    told = [json.loads(line) for line in records.read_text().splitlines()]
    assert Counter(each["status"] for each in told) == {"done": 200}
    assert len({each["source"] for each in told}) == 200
    assert late.poll() is None
    subprocess.run([*command, "-o", alone], check=True, stdout=subprocess.DEVNULL)
    assert sorted(os.listdir(out)) == sorted(os.listdir(alone))
    for name in os.listdir(alone):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
