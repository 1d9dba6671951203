"""A service with small networks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from restore.mosaic.task import TASK as MOSAIC

pytest.importorskip("starlette")
pytest.importorskip("httpx2")


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
        limits = {"most_bytes": changes.pop("most_bytes", 10**7), "grace_s": 30.0}
        settings = {"tasks": tasks, "waiting": 8, "token": "", "state": State()} | changes
        service = Service(limits=Limits(**limits), **settings)
        client = TestClient(service.application(), "http://127.0.0.1", raise_server_exceptions=True)
        client.state = settings["state"]
        started.append(client.__enter__())
        return client

    yield start
    for client in started:
        client.__exit__(None, None, None)
