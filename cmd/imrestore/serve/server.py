"""The server under the service: its connections, their time-outs, and how it ends."""

import asyncio
import socket
import time
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from imrestore.output import say
from imrestore.serve.guard import State
from imrestore.serve.refused import Refused, refusal
from imrestore.serve.upload import LEAST_RATE
from restore.errors import UsageError

__all__ = ["Server", "listening"]

_KEEP_ALIVE_S = 5
_MOST_CONNECTIONS = 1000


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UsageError: there is no such address, or it is taken.
    """
    try:
        family, *_, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address[:2], family=family, backlog=256)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"--host {host} --port {port}: cannot be listened on: {reason}") from error


class Server(uvicorn.Server):
    """Serves until a signal comes; then it refuses what is new, and finishes what was begun.

    A second signal ends it at once.

    Args:
        app: The application.
        state: Told that the end has come; says what still goes on.
        timeout_s: How long a client may take for the head of a request, or for an answer beside
            ``LEAST_RATE``.
        drain_s: How long what was begun may take after a signal.
    """

    def __init__(self, app: ASGIApp, state: State, *, timeout_s: float, drain_s: float) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=_impatient(timeout_s),
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_KEEP_ALIVE_S,
            )
        )
        self._state, self._drain_s, self._ends_at = state, drain_s, 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; at a second signal, end."""
        if self._state.is_draining:
            self.force_exit = True
            super().handle_exit(sig, frame)
            return
        self._captured_signals.append(sig)
        self._state.is_draining, self._ends_at = True, time.monotonic() + self._drain_s

    async def on_tick(self, counter: int) -> bool:
        """End when nothing goes on any more; called ten times a second."""
        is_late = time.monotonic() >= self._ends_at
        if self._state.is_draining and (is_late or not self._state.begun):
            if self._state.begun:
                say(f"--drain {self._drain_s:g} is over; requests given up: {self._state.begun}")
                self.config.timeout_graceful_shutdown = 0
            self.should_exit = True
        return await super().on_tick(counter)


def _impatient(timeout_s: float) -> type[H11Protocol]:
    """Return a protocol that drops clients which send no head, or do not take their answers."""

    class Impatient(H11Protocol):
        _late: asyncio.TimerHandle | None = None
        _stuck: asyncio.TimerHandle | None = None
        _first_paused_at: float | None = None
        _paused_with = _taken = 0  # bytes of the answer

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > _MOST_CONNECTIONS:
                self.app = _too_many
            self._wait_for_head()

        def on_response_complete(self) -> None:
            self._first_paused_at, self._taken = None, 0
            self._wait_for_head()  # the next one may come bit by bit, or the rest of a body
            super().on_response_complete()

        def _wait_for_head(self) -> None:
            _cancel(self._late)
            self._late = self.loop.call_later(timeout_s, self._give_up)

        def _give_up(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.abort()

        def pause_writing(self) -> None:
            super().pause_writing()
            now = self.loop.time()
            self._first_paused_at = self._first_paused_at or now
            self._paused_with = self.transport.get_write_buffer_size()
            late = self._first_paused_at + timeout_s + self._taken / LEAST_RATE
            _cancel(self._stuck)
            self._stuck = self.loop.call_at(min(late, now + timeout_s), self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._taken += self._paused_with - self.transport.get_write_buffer_size()
            _cancel(self._stuck)

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002
            # uvicorn's own answers are plain text.
            if self.conn.our_state is not h11.SEND_RESPONSE and self.conn.our_state is not h11.IDLE:
                self.transport.abort()  # in the middle of an answer
                return
            answer = refusal(
                Refused(400, "the request is not valid HTTP/1.1", {"Connection": "close"})
            )
            head = h11.Response(status_code=400, headers=answer.raw_headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._late)
            _cancel(self._stuck)
            super().connection_lost(exc)

    return Impatient


_too_many = refusal(
    Refused(
        503,
        f"more than {_MOST_CONNECTIONS} connections are open; try again later",
        {"Retry-After": "5", "Connection": "close"},
    )
)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
