"""Connections that stay open after an answer."""

import socket
import threading
from typing import Any

import pytest

HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize("first", [HEAD + b"\r\n", HEAD + b"Content-Length: 99\r\n\r\n"])
def test_a_client_that_trickles_after_an_answer_is_dropped(first: bytes) -> None:
    """Neither the head of a second request nor the rest of a body may come byte by byte."""
    from imrestore.serve.guard import State
    from imrestore.serve.server import Server, listening

    async def empty(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    with listening("127.0.0.1", 0) as listener:
        server = Server(empty, State(), timeout_s=0.5, drain_s=0.0)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with socket.create_connection(listener.getsockname(), timeout=0.1) as client:
                client.sendall(first)
                assert _trickle(client) < 40
        finally:
            server.should_exit = True
            thread.join()


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
