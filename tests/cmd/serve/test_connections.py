"""Connections of clients that are slow, that stay, that speak no HTTP, or that are too many."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@contextmanager
def listener(size: int = 0, timeout_s: float = 0.5) -> Iterator[Any]:
    """Start a server whose answers have so many bytes; yield its address."""
    from imrestore.serve.guard import State
    from imrestore.serve.server import Server, listening

    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for left in range(size, 0, -(1 << 18)):
            piece = b"x" * min(left, 1 << 18)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    with listening("127.0.0.1", 0) as listened:
        listened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        server = Server(answer, State(), timeout_s=timeout_s, drain_s=0.0)
        thread = threading.Thread(target=server.run, args=([listened],))
        thread.start()
        try:
            yield listened.getsockname()
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("first", [HEAD + b"\r\n", HEAD + b"Content-Length: 99\r\n\r\n"])
def test_a_client_that_trickles_after_an_answer_is_dropped(first: bytes) -> None:
    """Neither the head of a second request nor the rest of a body may come byte by byte."""
    with listener() as address, socket.create_connection(address, timeout=0.1) as client:
        client.sendall(first)
        assert _trickle(client) < 40


@pytest.mark.parametrize(("least_rate", "is_dropped"), [(1 << 30, True), (1, False)])
def test_an_answer_must_be_taken_at_the_least_rate(
    monkeypatch: pytest.MonkeyPatch, least_rate: int, is_dropped: bool
) -> None:
    """A client that never stops for long is dropped where it is too slow in all."""
    monkeypatch.setattr("imrestore.serve.server.LEAST_RATE", least_rate)
    size = 6 << 20
    with listener(size) as address, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        client.settimeout(30)
        client.connect(address)
        client.sendall(HEAD + b"\r\n")
        taken = 0
        try:
            while taken < size and (piece := client.recv(1 << 16)):
                taken += len(piece)
                time.sleep(0.01)
        except OSError:
            pass
    assert (taken < size) is is_dropped


def test_what_is_no_http_is_answered_in_json() -> None:
    with listener() as address:
        for request in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
            with socket.create_connection(address, timeout=30) as client:
                client.sendall(request)
                head, body = _answer(client)
            assert head.startswith(b"HTTP/1.1 400 ")
            assert json.loads(body) == {"error": "the request is not valid HTTP/1.1"}


def test_too_many_connections_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imrestore.serve.server._MOST_CONNECTIONS", 1)
    with listener(timeout_s=30) as address, socket.create_connection(address, timeout=30) as one:
        one.sendall(HEAD + b"\r\n")
        assert one.recv(4096).startswith(b"HTTP/1.1 200 ")
        with socket.create_connection(address, timeout=30) as another:
            another.sendall(HEAD + b"\r\n")
            head, body = _answer(another)
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in head.lower()
    assert "connections are open" in json.loads(body)["error"]


def _answer(client: socket.socket) -> tuple[bytes, bytes]:
    """Return head and body of an answer after which the connection ends."""
    parts = b""
    while part := client.recv(4096):
        parts += part
    head, _, body = parts.partition(b"\r\n\r\n")
    return head, body


def _trickle(client: socket.socket) -> int:
    """Send a byte ten times a second until the connection ends; return how many."""
    for count in range(50):
        try:
            client.sendall(b"x")
            while client.recv(4096):
                pass
        except TimeoutError:
            continue
        except OSError:
            pass
        return count
    return 50
