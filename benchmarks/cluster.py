"""What a Ray cluster of processes on one machine does with many small pictures.

    python benchmarks/cluster.py [--count 2000] [--pixels 80] [--nodes 3] [--rounds 2] [--paced 400]
        [--model dncnn-color]

First the proof: a head without cores and nodes of one core, each started by `ray start`, restore a
folder; a fifth of it done, a worker is killed, and at two fifths another node joins. The other
workers are halted until it has done a picture, or small folders would be done before it has begun.
Every picture must be done once, with the bytes of a local run. Each node has a umask of its own, so
that the modes of the results tell how many it did.

Then the pace of `--paced` pictures, in turns of a local run and a cluster with one worker, each of
one core: between the record after a tenth of them and the last one, by the clock and in processor
time of everything that runs: command, worker, head and node.

All of it runs in a network and among processes of its own (`unshare`), which end with it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tables import spread, table

ADDRESS = "127.0.0.1:6379"
ONE_CORE = ("--address", ADDRESS, "--num-cpus", "1")
RAY = str(Path(sys.executable).with_name("ray"))
ALONE = ("unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    # On a machine that is busy with other things Ray takes what is slow for dead.
    "RAY_raylet_start_wait_time_s": "1800",
    "RAY_agent_register_timeout_ms": "1800000",
    "RAY_worker_register_timeout_seconds": "1800",
    "RAY_health_check_initial_delay_ms": "600000",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_gcs_server_request_timeout_seconds": "600",
}
PATIENCE_S = 1800
PORTS = count(20000)
KINDS_OF_PORT = (
    *("runtime-env-agent", "dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export"),
    *("node-manager", "object-manager"),
)
TICKS = os.sysconf("SC_CLK_TCK")
UMASKS = (0o022, 0o026, 0o062, 0o024, 0o042, 0o064, 0o046, 0o044)
LATE_UMASK = 0o066


def make_pictures(folder: Path, number: int, pixels: int) -> None:
    """Write pictures of noise."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for index in range(number):
        values = random.integers(60, 200, (pixels, pixels, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / f"{index:06}.png")


@contextmanager
def node(folder: Path, *options: str, umask: int = UMASKS[0]) -> Iterator[None]:
    """Have a node run, whose processes write files with this umask."""
    memory = ("--object-store-memory", "80000000", "--block")
    # A node that is to find free ports is given 15 seconds for it.
    ports = (f"--{kind}-port={next(PORTS)}" for kind in KINDS_OF_PORT)
    with (folder / "nodes.log").open("ab") as log:
        command = [RAY, "start", *options, *memory, *ports]
        process = subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, umask=umask
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:  # it waits for processes that it does not end
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for_nodes(number: int) -> None:
    """Wait until a cluster has so many nodes.

    Raises:
        SystemExit: it has not in half an hour.
    """
    import ray

    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with suppress(ConnectionError, RuntimeError, ValueError):
            if not ray.is_initialized():
                ray.init(ADDRESS, log_to_driver=False, logging_level="ERROR")
            if sum(each["Alive"] for each in ray.nodes()) >= number:
                return
        time.sleep(1)
    sys.exit("the nodes do not join")


@contextmanager
def cluster(folder: Path, nodes: int) -> Iterator[None]:
    """Start a head without cores, and nodes of one core."""
    import ray

    head = ("--head", "--port", "6379", "--num-cpus", "0", "--include-dashboard=false")
    with ExitStack() as started, tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as logs:
        started.enter_context(node(folder, *head, "--temp-dir", logs))
        wait_for_nodes(1)
        for index in range(nodes):  # of some that start at once, all may fail
            started.enter_context(node(folder, *ONE_CORE, umask=UMASKS[index]))
            wait_for_nodes(index + 2)
        ray.shutdown()
        yield


def start(source: Path, out: Path, model: str, *options: str) -> "subprocess.Popen[str]":
    """Start the command."""
    told = ("--model", model, "--sigma", "15", "--precision", "fp32", "--device", "cpu")
    command = (sys.executable, "-m", "imrestore", "denoise", str(source), "-o", str(out), *told)
    return subprocess.Popen(
        [*command, *options, "--json"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(process: "subprocess.Popen[str]") -> None:
    """Wait for a command.

    Raises:
        SystemExit: it failed.
    """
    if process.wait():
        sys.exit("the command failed")


def prove(folder: Path, source: Path, options: Any) -> str:
    """Lose a worker and gain a node; return what came of it.

    Raises:
        SystemExit: a picture is missing, done twice or another than in a local run, or the late
            node did none.
    """
    with cluster(folder, options.nodes), ExitStack() as late:
        process = start(source, folder / "out", options.model, "--cluster", ADDRESS)
        assert process.stdout
        sources: Counter[str] = Counter()
        doers: Counter[int] = Counter()
        halted: list[int] = []
        for line in process.stdout:
            record = json.loads(line)
            sources[record["source"]] += record["status"] == "done"
            result = folder / "out" / Path(record["source"]).name
            doers[umask_of(result)] += 1
            if len(sources) == options.count // 5:
                os.kill(workers()[0], signal.SIGKILL)
            if len(sources) == 2 * options.count // 5:
                halted = workers()
                send(halted, signal.SIGSTOP)
                late.enter_context(node(folder, *ONE_CORE, umask=LATE_UMASK))
            if halted and doers[LATE_UMASK]:
                send(halted, signal.SIGCONT)
                halted = []
        ended(process)
    local = start(source, folder / "alone", options.model)
    assert local.stdout
    local.stdout.read()
    ended(local)
    names = sorted(os.listdir(source))
    if sorted(os.listdir(folder / "out")) != names or sorted(sources.values()) != [1] * len(names):
        sys.exit("pictures are missing, or were done twice")
    for name in names:
        if (folder / "out" / name).read_bytes() != (folder / "alone" / name).read_bytes():
            sys.exit(f"{name} is another than in a local run")
    if not doers[LATE_UMASK]:
        sys.exit("the late node did nothing")
    others = ", ".join(f"{doers[each]:,}" for each in UMASKS[: options.nodes])
    return (
        f"{len(names):,} pictures done once, as in a local run: {others} by the nodes that were "
        f"there, {doers[LATE_UMASK]:,} by the late one"
    )


@dataclass(frozen=True)
class Pace:
    """Pictures a second of processor time and of the clock."""

    processor: float
    clock: float


def pace(source: Path, out: Path, options: Any, *where: str) -> Pace:
    """Run the command, and measure it once a tenth is done."""
    process = start(source, out, options.model, "--jobs", "1", *where)
    assert process.stdout
    first = max(1, options.paced // 10)
    began = (0.0, 0.0)
    for number, _ in enumerate(process.stdout, 1):
        if number == first:
            began = (processor_seconds(), time.monotonic())
        elif number == options.paced:
            spent, passed = processor_seconds() - began[0], time.monotonic() - began[1]
    ended(process)
    return Pace((options.paced - first) / spent, (options.paced - first) / passed)


def paces(folder: Path, source: Path, options: Any) -> tuple[list[Pace], list[Pace]]:
    """Return the paces of local runs and of a cluster, in turns."""
    local, there = [], []
    for number in range(options.rounds):
        local.append(pace(source, folder / f"local-{number}", options))
        with cluster(folder, 1):
            where = ("--cluster", ADDRESS)
            there.append(pace(source, folder / f"cluster-{number}", options, *where))
        print(f"round {number + 1}: {local[-1]} alone, {there[-1]} with Ray", file=sys.stderr)
    return local, there


def processes() -> list[int]:
    """Return the numbers of all processes here."""
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]


def workers() -> list[int]:
    """Return the numbers of the processes that work for a cluster."""
    found = []
    for number in processes():
        with suppress(OSError):
            if Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"ray::Worker."):
                found.append(number)
    return found


def send(numbers: Sequence[int], what: signal.Signals) -> None:
    """Send a signal to processes that may be gone."""
    for number in numbers:
        with suppress(ProcessLookupError):
            os.kill(number, what)


def umask_of(result: Path) -> int:
    """Return the umask of the process that wrote a file."""
    return 0o666 & ~result.stat().st_mode


def of_process(number: int) -> list[str]:
    """Return what Linux says of a process: its state, its parent, and so on."""
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()


def processor_seconds() -> float:
    """Return what all processes here have used, with those that are gone."""
    ticks = 0
    for number in processes():
        with suppress(OSError):
            ticks += sum(map(int, of_process(number)[11:15]))
    return ticks / TICKS


def rows(local: Sequence[Pace], there: Sequence[Pace]) -> list[tuple[str, ...]]:
    """Return the rows of the table."""
    found = []
    for name in ("processor", "clock"):
        alone = [getattr(each, name) for each in local]
        ray = [getattr(each, name) for each in there]
        shares = [b / a for a, b in zip(alone, ray, strict=True)]
        found.append((name, spread(alone, ".1f"), spread(ray, ".1f"), spread(shares, ".1%")))
    return found


def main() -> None:
    parser: Any = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--pixels", type=int, default=80)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--paced", type=int, default=400)
    parser.add_argument("--model", default="dncnn-color")
    options = parser.parse_args()
    if os.environ.get("IMRESTORE_BENCHMARK") != "alone":
        script = 'ip link set lo up && exec "$@"'
        told = os.environ | ENVIRONMENT | {"IMRESTORE_BENCHMARK": "alone"}
        inside = (*ALONE, "sh", "-c", script, "sh", sys.executable, *sys.argv)
        os.execvpe(inside[0], inside, told)
    del os.environ["IMRESTORE_BENCHMARK"]  # the command would take it for a default
    with tempfile.TemporaryDirectory(prefix="imrestore-bench-") as name:
        folder = Path(name)
        if options.count:
            make_pictures(folder / "in", options.count, options.pixels)
            print(prove(folder, folder / "in", options), flush=True)
        if options.rounds:
            make_pictures(folder / "paced", options.paced, options.pixels)
            heading = ("pictures a second of", "local", "with Ray", "share")
            print(table(heading, rows(*paces(folder, folder / "paced", options))))


if __name__ == "__main__":
    main()
