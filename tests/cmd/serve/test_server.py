"""The service as a server: clients at once, clients that are slow, and its end."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]
Running = Callable[..., Any]


def test_many_clients_get_their_results_or_are_told_to_wait(running: Running, photo: Photo) -> None:
    content = photo("a.png").read_bytes()
    service = running(waiting=3)
    statuses: Counter[int] = Counter()
    results: set[bytes] = set()
    lock = threading.Lock()

    def client() -> None:
        for _ in range(4):
            answer = service.ask("POST", "/denoise?sigma=20", content=content)
            with lock:
                statuses[answer.status_code] += 1
                results.update([answer.content] if answer.status_code == 200 else [])

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses[200] >= 6
    assert set(statuses) <= {200, 429}
    assert statuses.total() == 64
    assert len(results) == 1


def test_what_was_begun_is_finished_and_what_is_new_refused(
    running: Running, photo: Photo, leave: threading.Event
) -> None:
    content = photo("a.png").read_bytes()
    service = running()
    answers: list[int] = []
    first = threading.Thread(
        target=lambda: answers.append(
            service.ask("POST", "/denoise?sigma=20", content=content).status_code
        )
    )
    first.start()
    while not service.ask("GET", "/health").json()["under_way"]:
        time.sleep(0.01)
    service.server.handle_exit(signal.SIGTERM, None)
    late = service.ask("POST", "/denoise", content=content)
    assert (late.status_code, late.json()) == (
        503,
        {"error": "the service is about to end; try again later"},
    )
    assert service.ask("GET", "/health").status_code == 503
    leave.set()
    first.join()
    assert answers == [200]
    service.thread.join()
    with pytest.raises(OSError, match="refused"):
        service.connected()


@pytest.mark.usefixtures("leave")
def test_what_takes_too_long_to_finish_is_told(
    running: Running, photo: Photo, capsys: pytest.CaptureFixture[str]
) -> None:
    content = photo("a.png").read_bytes()
    service = running(drain_s=0.1)
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(service.ask("POST", "/denoise?sigma=20", content=content))
    )
    asking.start()
    while not service.ask("GET", "/health").json()["under_way"]:
        time.sleep(0.01)
    service.server.handle_exit(signal.SIGTERM, None)
    asking.join()
    assert answers[0].status_code == 503
    assert answers[0].json()["error"].startswith("the service ended before this was done")
    service.thread.join()
    assert "--drain 0.1 is over; requests given up: 1" in capsys.readouterr().err


HEAD = b"POST /denoise?format=png HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "


def test_clients_that_send_too_slowly_or_too_much_are_told(running: Running) -> None:
    service = running(timeout_s=0.5)
    with service.connected() as silent:
        assert silent.recv(1) == b""
    with service.connected() as slow:
        slow.sendall(HEAD + b"100\r\n\r\n")
        slow.settimeout(0.1)
        answer = b""
        while b"}" not in answer:
            with contextlib.suppress(OSError):
                slow.sendall(b"x")  # a byte at a time
            with contextlib.suppress(TimeoutError):
                answer += slow.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith("the body comes")
    for asks in (b"", b"\r\nExpect: 100-continue"):
        with service.connected() as huge:
            huge.sendall(HEAD + b"10000000000" + asks + b"\r\n\r\n")
            assert huge.recv(64).startswith(b"HTTP/1.1 413")


@pytest.mark.slow
def test_a_client_that_does_not_take_its_answer_is_dropped(running: Running, photo: Photo) -> None:
    content = photo("a.png", width=1500, height=1500).read_bytes()
    service = running(timeout_s=2.0)
    with service.connected() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(HEAD.replace(b"?", b"?strength=0&") + b"%d\r\n\r\n" % len(content) + content)
        connections = service.server.server_state.connections
        deadline = time.monotonic() + 60
        while connections and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not connections
        taken = b""
        with contextlib.suppress(OSError):
            while piece := deaf.recv(1 << 20):
                taken += piece
    assert len(taken) < len(content)


@pytest.mark.slow
def test_the_command_ends_in_good_order(
    spawn: Callable[..., "subprocess.Popen[bytes]"], photo: Photo, tiny_weights: str
) -> None:
    import httpx2

    process = spawn("serve", "--port", "0", "--device", "cpu", "--model", tiny_weights)
    assert process.stderr
    line = process.stderr.readline().decode()
    found = re.search(r"(http://127\.0\.0\.1:\d+/): denoise, dark-enhance", line)
    assert found, line
    with httpx2.Client(timeout=300, trust_env=False) as client:
        answer = client.post(f"{found[1]}denoise", content=photo("a.png").read_bytes())
    assert answer.status_code == 200
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    assert messages == b""
    assert process.returncode == 128 + signal.SIGTERM


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


def test_a_token_of_the_environment_is_not_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMRESTORE_TOKEN", "sesame")
    refused = run("serve", "--host", "192.0.2.1", "-v")
    assert "--token *** comes from IMRESTORE_TOKEN" in refused.err
    assert "sesame" not in refused.err


def test_a_port_that_is_taken_is_told(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("serve", "--port", str(port))
    assert refused.code == 2
    assert f"--port {port}: cannot be listened on: Address already in use" in refused.err
