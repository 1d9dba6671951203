"""Clusters that commands are tried with: what stands for Ray, and one of processes."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.remote.object_store import set_environment

PORT, STORE_PORT = 6399, 6398
FIRST_PORT = 20000
KINDS_OF_PORT = (
    *("runtime-env-agent", "dashboard-agent-grpc", "dashboard-agent-listen", "metrics-export"),
    *("node-manager", "object-manager"),
)
PATIENCE = {
    # On a machine that is busy with other things Ray takes what is slow for dead.
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
    "RAY_health_check_initial_delay_ms": "300000",
    "RAY_health_check_timeout_ms": "60000",
}
RAY = Path(sys.executable).with_name("ray")
IN_OWN_NETWORK = ["unshare", "--map-root-user", "--net"]


class RayError(Exception):
    """A worker died."""


class RayTaskError(RayError):
    """A worker raised."""

    cause: BaseException | None = None


class FakeRay:
    """Actors in this process, done one call after the other.

    What crosses between machines is pickled.

    Args:
        deaths: asked after every item that a worker was done with, by their number in the run;
            whether the worker dies before it can tell.
    """

    def __init__(self, deaths: Callable[[int], bool] = lambda _: False) -> None:
        self.deaths, self.done, self.workers = deaths, 0, 0
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.util = SimpleNamespace(get_node_ip_address=lambda: "127.0.0.1")

    def init(self, **_options: object) -> None:
        """Find the cluster."""

    def shutdown(self) -> None:
        """Let go of it."""

    def get_runtime_context(self) -> Any:
        """Return where the head is."""
        return SimpleNamespace(gcs_address="127.0.0.1:1")

    def cluster_resources(self) -> dict[str, float]:
        """Return what there is."""
        return {"CPU": 1}

    def nodes(self) -> list[dict[str, Any]]:
        """Return its machines."""
        return [{"Alive": True, "Resources": {"CPU": 4.0}}] * 2

    def remote(self, kind: type) -> Any:
        """Return what makes actors of a class."""
        made = SimpleNamespace(remote=lambda *given: self._actor(kind, *given))
        return SimpleNamespace(options=lambda **_: made)

    def put(self, value: Any) -> bytes:
        """Return a value as it travels."""
        return pickle.dumps(value)

    def get(self, told: Any) -> Any:
        """Return what was told."""
        value = told() if callable(told) else told
        return copy.copy(value)

    def wait(self, told: list[Any], **_how: object) -> tuple[list[Any], list[Any]]:
        """Return what is ready: the one that was asked for first."""
        return told[:1], told[1:]

    def kill(self, actor: Any, **_how: object) -> None:
        """End an actor."""

    def _actor(self, kind: type, sent: bytes) -> Any:
        self.workers += 1
        actor = kind(pickle.loads(sent))

        def work(items: Any) -> Iterator[Any]:
            for told in actor.work(pickle.loads(pickle.dumps(items))):
                self.done += 1
                if self.deaths(self.done):
                    yield self._death
                    return
                travelled = pickle.dumps(told)
                yield lambda sent=travelled: pickle.loads(sent)

        streamed = SimpleNamespace(remote=work)
        return SimpleNamespace(
            begin=SimpleNamespace(remote=lambda: actor.begin),
            work=SimpleNamespace(options=lambda **_: streamed),
            stop=SimpleNamespace(remote=actor.stop),
        )

    def _death(self) -> Any:
        raise RayError("the actor died")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    """What is imported in place of Ray."""
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)  # type: ignore[arg-type]
    monkeypatch.setattr("restore.batch.cluster._answers", lambda *_: True)
    return fake


class Network:
    """A network of its own that has nothing but loopback, and the processes in it."""

    address = f"127.0.0.1:{PORT}"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = f"ip link set lo up && exec sleep {3600}"
        self._holder = subprocess.Popen([*IN_OWN_NETWORK, "sh", "-c", script])
        time.sleep(1)
        self._processes = [self._holder]
        self._nodes = 0

    def inside(self, *command: str) -> list[str]:
        """Return a command line that runs in it."""
        place = ["--target", str(self._holder.pid), "--user", "--net", "--preserve-credentials"]
        return ["nsenter", *place, *command]

    def start(self, *command: str, **where: int) -> "subprocess.Popen[bytes]":
        """Start a command in it."""
        environment = os.environ | {
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            **PATIENCE,
        }
        process = subprocess.Popen(self.inside(*command), env=environment, **where)  # type: ignore[call-overload]
        self._processes.append(process)
        return process  # type: ignore[no-any-return]

    def node(self, *options: str) -> "subprocess.Popen[bytes]":
        """Start a node, which lives as long as its process."""
        self._nodes += 1
        memory = ("--object-store-memory", "80000000", "--block")
        # A node that is to find free ports is given 15 seconds for it.
        first = FIRST_PORT + self._nodes * len(KINDS_OF_PORT)
        ports = (f"--{kind}-port={first + index}" for index, kind in enumerate(KINDS_OF_PORT))
        with (self.folder / "nodes.log").open("ab") as log:
            return self.start(str(RAY), "start", *options, *memory, *ports, stdout=log.fileno())

    def until_it_answers(self) -> None:
        """Wait until all nodes that were started have joined."""
        script = (
            f"import ray, sys; ray.init({self.address!r}, log_to_driver=False); "
            f"sys.exit(len(ray.nodes()) < {self._nodes})"
        )
        until = time.monotonic() + 300
        while self.start(sys.executable, "-c", script, stderr=subprocess.DEVNULL).wait():
            assert time.monotonic() < until
            time.sleep(1)

    def start_until(self, records: Path, count: int, *command: str) -> "subprocess.Popen[bytes]":
        """Start a command in it, and return once it has printed so many records to a file."""
        with records.open("wb") as file:
            run = self.start(*command, stdout=file.fileno())
        while run.poll() is None and records.read_bytes().count(b"\n") < count:
            time.sleep(0.1)
        return run

    @staticmethod
    def worker() -> int:
        """Return the number of a process that does work."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if path.read_bytes().startswith(b"ray::Worker.work"):
                    return int(path.parent.name)
            except OSError:
                continue
        raise AssertionError("no worker")

    def close(self) -> None:
        """End all of it."""
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:  # it waits for processes that it does not end
                process.kill()
                process.wait()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    pytest.importorskip("ray")
    if not shutil.which("nsenter") or subprocess.run([*IN_OWN_NETWORK, "true"]).returncode:
        pytest.skip("no network namespaces here")
    # Sockets have short names.
    network = Network(tmp_path)
    temporary = f"/tmp/ray-{os.getpid()}"
    try:
        network.node(
            *("--head", "--port", str(PORT), "--num-cpus", "1", "--include-dashboard=false"),
            *("--temp-dir", temporary),
        )
        network.until_it_answers()
        for _ in range(2):  # of two that start at once, both may end at once
            network.node("--address", network.address, "--num-cpus", "1")
            network.until_it_answers()
        yield network
    finally:
        network.close()
        shutil.rmtree(temporary, ignore_errors=True)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[..., str]:
    """A function that runs lines with ``files``, an S3 server in the cluster's network."""
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    set_environment(monkeypatch, f"http://127.0.0.1:{STORE_PORT}")
    network = request.getfixturevalue("network")  # whose processes take these variables over
    server = (sys.executable, "-m", "moto.server", "-p", str(STORE_PORT))
    network.start(*server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(*lines: str) -> str:
        first = "import fsspec; files = fsspec.filesystem('s3', use_listings_cache=False)"
        script = "\n".join((first, *lines))
        command = network.inside(sys.executable, "-c", script)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run
