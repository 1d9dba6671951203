"""A service with small networks."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imrestore.option_names import as_option
from restore.arguments import naming_with
from restore.mosaic.task import TASK as MOSAIC

pytest.importorskip("starlette")
pytest.importorskip("httpx2")


@pytest.fixture(autouse=True)
def option_names() -> Iterator[None]:
    """Have messages name options, as in a service that the command started."""
    with naming_with(as_option):
        yield


@pytest.fixture(scope="session")
def small_default(mosaic_model: Path) -> Iterator[None]:
    """Let auto mean a small network for RAW files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MOSAIC.default_weights, "raw", str(mosaic_model))
        yield


@pytest.fixture(scope="session")
def tasks(
    small_default: None, tiny_weights: str, isp_weights: dict[str, Path], detector_model: Path
) -> list[Any]:
    """The tasks, with small networks."""
    del small_default
    from imrestore.serve.command import _tasks

    models = [tiny_weights, str(isp_weights["bayer"]), str(detector_model)]
    return _tasks(models, "cpu", "fp32", "auto")


@pytest.fixture
def served(tasks: list[Any]) -> Iterator[Callable[..., Any]]:
    """Start a service in this process: ``served(waiting=2)`` is what asks it."""
    from starlette.testclient import TestClient

    from imrestore.serve.app import Service
    from imrestore.serve.guard import State
    from imrestore.serve.upload import Limits

    started: list[Any] = []

    def start(**changes: Any) -> Any:
        limits = {
            "most_bytes": changes.pop("most_bytes", 10**7),
            "most_held": changes.pop("most_held", 10**8),
            "grace_s": 30.0,
        }
        settings = {"tasks": tasks, "waiting": 8, "token": "", "state": State()} | changes
        service = Service(limits=Limits(**limits), **settings)
        client = TestClient(service.application(), "http://127.0.0.1", raise_server_exceptions=True)
        client.state = settings["state"]
        started.append(client.__enter__())
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)


class Held:
    """A network that waits for leave."""

    def __init__(self, network: Any, leave: threading.Event) -> None:
        self._network, self._leave, self.lanes = network, leave, 1

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        assert self._leave.wait(300)
        return self._network(*arguments, **options)


@pytest.fixture
def leave(tasks: list[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Nothing is denoised before this is set."""
    event, networks = threading.Event(), tasks[0].networks
    monkeypatch.setitem(networks.__dict__, "of_pictures", Held(networks.of_pictures, event))
    yield event
    event.set()


@dataclass
class Running:
    """A service that listens, in a thread of this process."""

    server: Any
    port: int
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, **options: Any) -> Any:
        import httpx2

        with httpx2.Client(timeout=300, trust_env=False) as client:
            return client.request(method, self.url + path, **options)

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=300)


@pytest.fixture(scope="module")
def running(tasks: list[Any]) -> Iterator[Callable[..., Running]]:
    """Start services that listen: ``running(waiting=2, timeout_s=1)``."""
    from imrestore.serve.app import Service
    from imrestore.serve.guard import State
    from imrestore.serve.server import Server, listening
    from imrestore.serve.upload import Limits

    started: list[Running] = []
    with ExitStack() as sockets:

        def start(
            *, waiting: int = 8, timeout_s: float = 60.0, token: str = "", drain_s: float = 300.0
        ) -> Running:
            state = State()
            service = Service(
                tasks=tasks,
                limits=Limits(most_bytes=10**7, most_held=10**8, grace_s=timeout_s),
                waiting=waiting,
                token=token,
                state=state,
            )
            listener = sockets.enter_context(listening("127.0.0.1", 0))
            server = Server(service.application(), state, timeout_s=timeout_s, drain_s=drain_s)
            # Not serve(), as signals are the main thread's.
            thread = threading.Thread(target=lambda: asyncio.run(server._serve([listener])))
            thread.start()
            started.append(Running(server, listener.getsockname()[1], thread))
            return started[-1]

        yield start
        for each in started:
            each.server.should_exit = True
            each.thread.join()
