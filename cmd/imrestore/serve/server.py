"""The server under the service: its connections, their time-outs, and how it ends."""

import asyncio
import socket
import time
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from imrestore.serve.guard import State
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
        timeout_s: How long a client may take for the head of a request, or for a piece of an
            answer.
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
                limit_concurrency=_MOST_CONNECTIONS,
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
            self.should_exit = True
        return await super().on_tick(counter)


def _impatient(timeout_s: float) -> type[H11Protocol]:
    """Return a protocol that drops clients which send no head, or do not take their answers."""

    class Impatient(H11Protocol):
        _late: asyncio.TimerHandle | None = None
        _stuck: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def on_response_complete(self) -> None:
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
            self._stuck = self.loop.call_later(timeout_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            _cancel(self._stuck)

        def connection_lost(self, exc: Exception | None) -> None:
            _cancel(self._late)
            _cancel(self._stuck)
            super().connection_lost(exc)

    return Impatient


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
