"""`imrestore train ... --cluster`: the team around its processes, and a whole training."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imrestore.train.cluster import _cores_of_each
from restore.tasks import load
from restore.training import LOST_ANOTHER
from restore.training.state import load_checkpoint

Run = Callable[..., SimpleNamespace]

TRAIN = ("train", "denoise", "photos", "-o", "x.safetensors", "--steps", "9", "--sigma", "15")
ON_CLUSTER = ("--cluster", "auto", "--workers", "2")
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "TORCHELASTIC_RESTART_COUNT")


@pytest.fixture
def process(ray: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Take a script in place of the command that each member runs; in it, these are known."""
    del ray
    known = (
        "import os, signal, sys, time; rank = int(os.environ['RANK']); "
        "starts = int(os.environ['TORCHELASTIC_RESTART_COUNT'])\n"
    )
    return lambda script: monkeypatch.setattr("imrestore.train.member._TETHERED", known + script)


def test_each_process_is_told_its_place_and_the_whole_command(
    run: Run, process: Callable[[str], None]
) -> None:
    process(
        "import json; from pathlib import Path\n"
        "told = [sys.argv[1:3], dict(os.environ), Path(sys.argv[-1]).read_text()]\n"
        "Path(f'told-{rank}.json').write_text(json.dumps(told))\n"
        "print(f'imrestore: done by {rank}')"
    )
    ended = run(*TRAIN, *ON_CLUSTER, "--keep-damaged", "--resume", "auto")
    assert (ended.code, ended.err) == (0, "imrestore: done by 0\n")
    for rank in range(2):
        words, variables, recipe = json.loads(Path(f"told-{rank}.json").read_text())
        assert words == ["train", "denoise"]
        assert [variables[each] for each in VARIABLES] == [str(rank), "2", "0", "127.0.0.1", "0"]
        assert int(variables["MASTER_PORT"])
        given = tomllib.loads(recipe)
        assert (given["folders"], given["steps"], given["sigma"]) == (["photos"], 9, "15")
        assert given["keep-damaged"]
        assert given["resume-auto"]
        assert not {"cluster", "workers"} & set(given)


def test_all_start_again_when_one_is_lost(run: Run, process: Callable[[str], None]) -> None:
    process(
        "if starts == 0 and rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "print(f'imrestore: {rank} after {starts}'); sys.exit(2 if starts == 0 else 0)"
    )
    ended = run(*TRAIN, *ON_CLUSTER)
    assert ended.code == 0
    assert [line.removeprefix("imrestore: ") for line in ended.err.splitlines()] == [
        "0 after 0",
        "a worker died; all continue from the last checkpoint",
        "0 after 1",
    ]


def test_a_member_whose_actor_dies_is_lost(
    run: Run, process: Callable[[str], None], ray: Any
) -> None:
    process("print('imrestore: a line')")
    ray.deaths = lambda done: done == 1
    ended = run(*TRAIN, *ON_CLUSTER)
    assert ended.code == 0
    assert "a worker died" in ended.err


@pytest.mark.parametrize("options", [(), ("--checkpoint-every", "0s")])
def test_it_is_given_up_when_workers_die_again_and_again(
    run: Run, process: Callable[[str], None], options: tuple[str, ...]
) -> None:
    process("os.kill(os.getpid(), signal.SIGKILL)")
    ended = run(*TRAIN, *ON_CLUSTER, *options)
    assert ended.code == 1
    assert ended.err.count("all continue from the last checkpoint") == 3
    assert "workers died 4 times in a row" in ended.err


def test_whoever_writes_checkpoints_may_lose_workers_more_often(
    run: Run, process: Callable[[str], None]
) -> None:
    process(
        "open('x.checkpoint', 'w').write(str(starts))\n"
        "if starts < 5: os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = run(*TRAIN, *ON_CLUSTER)
    assert ended.code == 0
    assert ended.err.count("all continue from the last checkpoint") == 5


def test_what_fails_by_itself_is_not_started_again(
    run: Run, process: Callable[[str], None]
) -> None:
    process(
        f"lost = {LOST_ANOTHER!r}\n"
        "print('imrestore: ' + (lost if rank == 0 else 'photos: no such folder'))\n"
        "sys.exit(2)"
    )
    ended = run(*TRAIN, *ON_CLUSTER)
    assert (ended.code, ended.err) == (2, "imrestore: photos: no such folder\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_signal_has_all_write_their_checkpoint(
    run: Run, process: Callable[[str], None], number: signal.Signals
) -> None:
    process(
        "def stop(*_): print('imrestore: stopped after 3 steps', flush=True); os._exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"os.kill(os.getppid(), {int(number)})\n"
        "while True: print('imrestore: a step', flush=True); time.sleep(0.05)"
    )
    ended = run(*TRAIN, *ON_CLUSTER)
    assert ended.code == 128 + number
    assert ended.err.endswith("imrestore: stopped after 3 steps\n")
    assert "a worker died" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--cluster", "auto"), "give --workers N"),
        (("--workers", "2"), "--workers does nothing here"),
        ((*ON_CLUSTER, "-o", "https://127.0.0.1/x.safetensors"), "web servers are read"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: Run, ray: Any, arguments: tuple[str, ...], reason: str
) -> None:
    ended = run(*TRAIN, *arguments)
    assert (ended.code, ray.workers) == (2, 0)
    assert reason in ended.err


def test_it_is_not_started_by_each_process_of_torchrun(
    run: Run, ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    ended = run(*TRAIN, *ON_CLUSTER)
    assert (ended.code, ray.workers) == (2, 0)
    assert "without torchrun" in ended.err


def test_its_recipe_is_printed_and_nothing_is_trained(run: Run, ray: Any) -> None:
    ended = run(*TRAIN, *ON_CLUSTER, "--print-config")
    assert (ended.code, ray.workers) == (0, 0)
    recipe = tomllib.loads(ended.out)
    assert (recipe["cluster"], recipe["workers"], recipe["model"]) == ("auto", 2, "resunet")


def test_defaults_count_once_and_not_for_each_process(workplace: Path) -> None:
    del workplace
    Path("imrestore.toml").write_text("[train.denoise]\ncluster = 'auto'\nwarmup = 7\n")
    Path("recipe.toml").write_text("folders = ['photos']\noutput = 'x.safetensors'\nsteps = 9\n")
    script = (
        "import sys; from imrestore.train.member import run_tethered; "
        "sys.argv.append('--print-config'); run_tethered()"
    )
    command = (sys.executable, "-c", script, "train", "denoise", "--config", "recipe.toml")
    variables = os.environ | {"IMRESTORE_WORKERS": "2"}
    tether, held = os.pipe()  # at its end the process would end
    with open(tether, "rb") as stdin, open(held, "wb"):
        ended = subprocess.run(
            command, env=variables, stdin=stdin, capture_output=True, text=True, timeout=60
        )
    assert ended.returncode == 0, ended.stderr
    recipe = tomllib.loads(ended.stdout)
    assert recipe["warmup"] == 100
    assert not {"cluster", "workers"} & set(recipe)


def test_an_output_that_is_there_is_not_replaced(run: Run, ray: Any) -> None:
    Path("x.safetensors").write_bytes(b"mine")
    ended = run(*TRAIN, *ON_CLUSTER)
    assert (ended.code, ray.workers) == (2, 0)
    assert "x.safetensors: exists already; --overwrite replaces it" in ended.err


def test_weights_and_checkpoint_may_be_in_a_bucket(
    run: Run, process: Callable[[str], None], ray: Any, bucket: Any
) -> None:
    output = f"{bucket.url}/w/x.safetensors"
    process(
        "from urllib.request import Request, urlopen\n"
        "told = {'Authorization': 'AWS4-HMAC-SHA256 Credential=a/20260101/b/s3/aws4_request'}\n"
        "told['Content-Type'] = 'application/octet-stream'\n"
        "def put(name, data): urlopen(Request(where + name, data, told, method='PUT')).close()\n"
        f"where = '{bucket.server.url}/{bucket.name}/w/'\n"
        "put('x.checkpoint', bytes(starts))\n"
        "if starts < 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        "put('x.safetensors', b'weights')"
    )
    train = ("train", "denoise", f"{bucket.url}/photos/", "-o", output, "--steps", "9")
    ended = run(*train, "--cluster", "auto", "--workers", "1")
    assert ended.code == 0, ended.err
    assert ended.err.count("all continue from the last checkpoint") == 5
    workers = ray.workers
    refused = run(*train, *ON_CLUSTER)
    assert (refused.code, ray.workers) == (2, workers)
    assert f"{output}: exists already; --overwrite replaces it" in refused.err


@pytest.mark.parametrize(
    ("cores", "workers", "expected"),
    [((8, 8, 8), 3, 8), ((8, 8, 8), 4, 4), ((8, 2), 2, 4), ((2,), 5, 1), ((8, 0), 1, 8)],
)
def test_cores_are_shared_evenly(cores: tuple[int, ...], workers: int, expected: int) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": float(count)}} for count in cores]
    assert (
        _cores_of_each([*nodes, {"Alive": False, "Resources": {"CPU": 64.0}}], workers) == expected
    )


def test_a_process_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    script = (
        "import sys, types, time; entry = types.ModuleType('imrestore.__main__')\n"
        "entry.main = lambda: time.sleep(60); sys.modules['imrestore.__main__'] = entry\n"
        "from imrestore.train.member import run_tethered; run_tethered()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, cwd=tmp_path)
    assert process.stdin
    process.stdin.close()
    assert process.wait(30) == 128 + signal.SIGTERM


TINY = ("--gray", "--model=dncnn", "--depth=3", "--width=8", "--patch=16", "--batch=4")
LONG = ("--steps", "2000", "--checkpoint-every", "1s", *TINY)


def _make_photos(folder: Path) -> None:
    random = np.random.default_rng(0)
    folder.mkdir()
    for name in "abc":
        pixels = random.integers(0, 256, (40, 50), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")


def _train_and_kill_one(
    network: Any, saved_step: Callable[[], int | None], *arguments: str
) -> None:
    """Train on two workers and kill one when a checkpoint is there.

    The training must go on from that checkpoint or a later one.
    """
    told, command = Path("told.txt"), (sys.executable, "-m", "imrestore", "train", "denoise")
    network.until_it_answers()
    with told.open("wb") as file:
        on_cluster = ("--cluster", network.address, "--workers", "2")
        run = network.start(*command, *arguments, *LONG, *on_cluster, stderr=file.fileno())
    saved = None
    while run.poll() is None and saved is None:
        time.sleep(0.05)
        saved = saved_step()
    assert run.poll() is None, told.read_text()
    assert saved
    os.kill(_actor_of(rank=1), signal.SIGKILL)
    assert run.wait(300) == 0, told.read_text()
    before, _, after = told.read_text().partition("a worker died; all continue")
    assert "validation" in before
    assert int(re.findall(r"step (\d+),", after)[0]) > saved
    assert re.search(r"x.safetensors: [\d,]+ parameters", after)


@pytest.mark.slow
def test_a_training_that_loses_a_worker_continues_from_its_checkpoint(
    network: Any, workplace: Path
) -> None:
    del workplace
    checkpoint = Path("x.checkpoint")
    _make_photos(Path("photos"))

    def saved_step() -> int | None:
        return int(load_checkpoint(checkpoint)["step"]) if checkpoint.exists() else None

    _train_and_kill_one(network, saved_step, "photos", "-o", "x.safetensors")
    _check_weights(Path("x.safetensors"))
    assert not checkpoint.exists()


@pytest.mark.slow
def test_a_training_in_a_bucket_that_loses_a_worker_continues_from_its_checkpoint(
    store: Any, network: Any, workplace: Path
) -> None:
    photos, fetched = workplace / "photos", workplace / "fetched.checkpoint"
    _make_photos(photos)
    store("files.mkdir('bucket')", f"files.put({str(photos)!r}, 'bucket/photos', recursive=True)")
    shutil.rmtree(photos)

    def saved_step() -> int | None:
        store(
            "key = 'bucket/w/x.checkpoint'",
            f"files.exists(key) and files.get(key, {str(fetched)!r})",
        )
        return int(load_checkpoint(fetched)["step"]) if fetched.exists() else None

    arguments = ("s3://bucket/photos/", "-o", "s3://bucket/w/x.safetensors")
    _train_and_kill_one(network, saved_step, *arguments)
    assert not list(workplace.glob("x.*"))
    weights = workplace / "fetched.safetensors"
    store(f"files.get('bucket/w/x.safetensors', {str(weights)!r})")
    _check_weights(weights)
    names = store("print(*files.ls('bucket/w'))").split()
    assert "bucket/w/x.history.csv" in names
    assert "bucket/w/x.checkpoint" not in names


def _check_weights(path: Path) -> None:
    provenance = load(path).provenance
    assert (provenance["steps"], provenance["processes"]) == (2000, 2)


def _actor_of(*, rank: int) -> int:
    """Return the number of the process that runs that of a rank."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            is_member = b"run_tethered" in path.with_name("cmdline").read_bytes()
            if is_member and f"\0RANK={rank}\0".encode() in path.read_bytes():
                status = path.with_name("status").read_text()
                return int(re.findall(r"PPid:\s*(\d+)", status)[0])
        except OSError:
            continue
    raise AssertionError("no such process")
