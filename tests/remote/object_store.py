"""An object store on this machine, and a bucket in it for each test."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class S3Server:
    """An S3 server on loopback that can be told to fail.

    Attributes:
        url: Its address.
        requests: What came, as ``GET /bucket/key``.
        faults: Answers for the next requests whose text contains a word: ``cut`` ends the
            connection, ``slow`` answers after a second, and a number is an HTTP status.
        refused: The same for all such requests.
    """

    url: str = ""
    requests: list[str] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def fault_of(self, request: str) -> str:
        for fault in self.faults:
            if fault[0] in request:
                self.faults.remove(fault)
                return fault[1]
        return next((each for word, each in self.refused if word in request), "")


_S3_CODES = {"403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server; tests that need it are skipped without moto and s3fs."""
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.moto_server.werkzeug_app")
    from werkzeug.serving import WSGIRequestHandler, make_server

    server = S3Server()
    app = moto.DomainDispatcherApplication(moto.create_backend_app)

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{'?' * bool(query)}{query}"
        server.requests.append(request)
        fault = server.fault_of(request)
        if fault == "cut":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if fault == "slow":
            time.sleep(1)
        elif fault:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(f"{fault} Fault", [("Content-Type", "application/xml")])
            code = _S3_CODES[fault]
            return [f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()]
        return app(environ, start)

    running = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{running.server_port}"
    yield server
    running.shutdown()
    thread.join()
    running.server_close()


@dataclass
class Bucket:
    """A bucket of a test's own."""

    server: S3Server
    name: str
    files: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def put(self, key: str, data: bytes) -> None:
        self.files.pipe_file(f"{self.name}/{key}", data)

    def get(self, key: str) -> bytes:
        return bytes(self.files.cat_file(f"{self.name}/{key}"))

    def keys(self, prefix: str = "") -> list[str]:
        found = self.files.find(f"{self.name}/{prefix}")
        return sorted(key.removeprefix(f"{self.name}/") for key in found)


def set_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Have an S3 server at an address used, as it is for a user."""
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bucket(
    s3_server: S3Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    """An empty bucket, in the environment as it is for a user."""
    import fsspec

    set_environment(monkeypatch, s3_server.url)
    monkeypatch.setattr("restore.remote.store._FIRST_WAIT_S", 0.01)
    files = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    name = f"bucket-{abs(hash(request.node.nodeid)):x}"
    files.mkdir(name)
    s3_server.faults.clear()
    s3_server.refused.clear()
    s3_server.requests.clear()
    yield Bucket(s3_server, name, files)
    s3_server.faults.clear()
    s3_server.refused.clear()
