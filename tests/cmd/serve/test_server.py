"""The service as a process: clients at once, clients that are slow, and its end."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]
Process = subprocess.Popen[bytes]


@dataclass
class Started:
    """A service in a process of its own."""

    process: Process
    port: int

    def ask(self, method: str, path: str, **options: Any) -> Any:
        import httpx2

        return httpx2.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=60, **options)

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ended(self) -> str:
        _, messages = self.process.communicate(timeout=60)
        return messages.decode()


@pytest.fixture
def start(
    spawn: Callable[..., Process], isp_weights: dict[str, Path], tiny_weights: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Started]:  # fmt: skip
    """Start a service on a port of its own."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def started(*more: str, model: str = tiny_weights) -> Started:
        process = spawn(
            "serve", "--port", "0", "--device", "cpu", "--model", model,
            "--model", str(isp_weights["bayer"]), *more,
        )  # fmt: skip
        assert process.stderr
        line = process.stderr.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/: denoise, dark-enhance", line)
        assert found, line + process.stderr.read().decode()
        return Started(process, int(found[1]))

    return started


@pytest.mark.slow
def test_many_clients_get_their_results_and_the_end_drops_none(
    start: Callable[..., Started], photo: Photo, slow_weights: str
) -> None:
    content = photo("a.png", width=64, height=64).read_bytes()
    service = start("--queue", "4", "--precision", "fp32", model=slow_weights)
    statuses: Counter[int] = Counter()
    results: set[bytes] = set()
    lock = threading.Lock()

    def client() -> None:
        for _ in range(3):
            answer = service.ask("POST", "/denoise?sigma=20", content=content)
            with lock:
                statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    results.add(answer.content)

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 429}
    assert len(results) == 1
    answers: list[int] = []
    last = threading.Thread(
        target=lambda: answers.append(
            service.ask("POST", "/denoise?sigma=20", content=content).status_code
        )
    )
    last.start()
    while not service.ask("GET", "/health").json()["under_way"]:
        pass
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    late = service.ask("POST", "/denoise", content=content)
    assert (late.status_code, late.json()) == (503, {"error": "the service is about to end"})
    last.join()
    assert answers == [200]
    service.ended()
    assert service.process.returncode == 128 + signal.SIGTERM


@pytest.mark.slow
def test_clients_that_are_slow_are_dropped(start: Callable[..., Started], photo: Photo) -> None:
    content = photo("a.png", width=1200, height=1200).read_bytes()
    service = start("--timeout", "1", "--max-upload", "20")
    with service.connected() as silent, service.connected() as slow, service.connected() as deaf:
        head = b"POST /denoise?format=png HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "
        slow.sendall(head + b"100\r\n\r\n")
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(head + str(len(content)).encode() + b"\r\n\r\n" + content)
        began = time.monotonic()
        assert silent.recv(1) == b""
        answer = b""
        while b"}" not in answer:
            slow.sendall(b"x")  # a byte at a time
            time.sleep(0.2)
            slow.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                answer += slow.recv(4096)
            slow.setblocking(True)
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith("the picture comes")
        assert time.monotonic() - began < 20
        while service.ask("GET", "/health").json()["under_way"]:
            time.sleep(0.1)  # nobody takes the answer
        with service.connected() as huge:
            huge.sendall(head + b"10000000000\r\n\r\n")
            assert huge.recv(64).startswith(b"HTTP/1.1 413")
        assert service.ask("GET", "/health").json()["status"] == "ok"
    service.process.send_signal(signal.SIGINT)
    assert "Traceback" not in service.ended()
    assert service.process.returncode == 128 + signal.SIGINT


@pytest.mark.slow
def test_memory_is_flat(start: Callable[..., Started], photo: Photo) -> None:
    content = photo("a.jpg", width=400, height=300).read_bytes()
    service = start()

    def memory() -> int:
        pages = Path(f"/proc/{service.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    sizes = []
    for _ in range(4):
        for _ in range(40):
            assert service.ask("POST", "/denoise?sigma=20", content=content).status_code == 200
        sizes.append(memory())
    assert sizes[-1] - sizes[0] < 30e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: others can reach it; set IMRESTORE_TOKEN"),
        (["--host", "192.0.2.1", "--token", " "], "others can reach it"),
        (["--host", "192.0.2.1", "--token", "x"], "cannot be listened on"),
        (["--port", "0", "--model", "hdr-single"], "--model hdr-single: is for hdr"),
        (["--port", "0", "--model", "dncnn", "--model", "photo"], "are both for denoise"),
        (["--port", "0", "--model", "nowhere"], "nowhere"),
        (["--timeout", "0"], "timeout"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, arguments: list[str], message: str) -> None:
    refused = run("serve", *arguments)
    assert refused.code == 2
    (line,) = refused.err.splitlines()
    assert message in line


def test_a_port_that_is_taken_is_told(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("serve", "--port", str(port))
    assert refused.code == 2
    assert f"--port {port}: cannot be listened on: Address already in use" in refused.err
