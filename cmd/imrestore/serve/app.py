"""The service as an ASGI application: routes, and how they answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePath
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from imrestore.output import json_of, log
from imrestore.serve.guard import Guard, State
from imrestore.serve.metrics import Metrics
from imrestore.serve.openapi import document
from imrestore.serve.page import page_of
from imrestore.serve.refused import Refused, as_refused, is_disk_full, refusal
from imrestore.serve.tasks import ServedTask
from imrestore.serve.upload import Limits, received
from imrestore.serve.work import Answer, Workplace
from restore.engine.lane import is_out_of_memory
from restore.errors import RestoreError

__all__ = ["Service"]

_PIECE = 1 << 18
_LONGEST_RECORD = 8000
"""Characters of a header; what a record has beyond is left out of it."""
_MOST_UPLOADS = 64


@dataclass(frozen=True)
class Service:
    """What the service offers.

    Attributes:
        tasks: The tasks.
        limits: Limits of what clients send.
        waiting: Number of pictures that may wait.
        token: What requests must bear, or "".
        state: Says when it ends.
        told: Called with a line about each picture.
    """

    tasks: Sequence[ServedTask]
    limits: Limits
    waiting: int
    token: str
    state: State
    told: Callable[[str], None] = lambda _: None

    def application(self) -> Starlette:
        """Return the application; one for each event loop."""
        metrics = Metrics()
        lanes = max(task.lanes for task in self.tasks)
        workplace = Workplace(lanes, self.waiting, metrics.under_way.set)
        description = document(self.tasks, self.limits, needs_token=bool(self.token))
        page = page_of(self.tasks, needs_token=bool(self.token))

        async def health(_request: Request) -> Response:
            body = {
                "status": "draining" if self.state.is_draining else "ok",
                "version": version("imrestore"),
                "models": {task.name: PurePath(task.model).name for task in self.tasks},
                "under_way": workplace.count,
            }
            return JSONResponse(body, 503 if self.state.is_draining else 200)

        async def measured(_request: Request) -> Response:
            return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

        async def openapi(_request: Request) -> Response:
            return JSONResponse(description)

        async def index(_request: Request) -> Response:
            return HTMLResponse(page)

        def route(task: ServedTask) -> Route:
            endpoint = _endpoint(task, workplace, self.limits, metrics, self.told)
            return Route(f"/{task.name}", endpoint, methods=["POST"])

        return Starlette(
            routes=[
                Route("/", index),
                Route("/health", health),
                Route("/metrics", measured),
                Route("/openapi.json", openapi),
                *map(route, self.tasks),
            ],
            middleware=[Middleware(Guard, token=self.token, state=self.state)],
            exception_handlers={HTTPException: _not_here},
        )


def _endpoint(
    task: ServedTask,
    workplace: Workplace,
    limits: Limits,
    metrics: Metrics,
    told: Callable[[str], None],
) -> Callable[[Request], Awaitable[Response]]:
    uploads = asyncio.Semaphore(_MOST_UPLOADS)

    async def answer(request: Request) -> Response:
        started, megapixels = time.perf_counter(), 0.0
        try:
            values = task.parameters.values(request.query_params.multi_items())
            if uploads.locked():
                raise Refused(429, "too many pictures come at once", {"Retry-After": "1"})
            async with uploads:
                body = await received(request, limits)
            try:
                job = task.job(body, values)
            except BaseException:
                body.close()
                raise

            async def is_wanted() -> bool:
                return not await request.is_disconnected()

            done = await workplace.run(job, is_wanted)
            response, megapixels = _response(task, done), done.megapixels
        except Refused as refused:
            response = refusal(refused)
        except HTTPException as error:
            response = refusal(Refused(error.status_code, error.detail))
        except RestoreError as error:
            is_full = is_disk_full(error)
            response = _failure(error) if is_full else refusal(as_refused(error))
        except Exception as error:
            response = _failure(error)
        seconds = time.perf_counter() - started
        metrics.answered(task.name, response.status_code, seconds, megapixels)
        told(f"{task.name}: {response.status_code}, {megapixels:.3g} megapixels, {seconds:.2f} s")
        return response

    return answer


def _response(task: ServedTask, done: Answer) -> Response:
    record = json_of(done.record)
    name = f"{task.name}{done.suffix}"
    headers = {
        "Content-Length": str(len(done.content)),
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        **({"Imrestore-Record": record} if 2 < len(record) <= _LONGEST_RECORD else {}),
    }

    async def pieces() -> Any:
        # Each must be taken in time; see ``_Impatient`` in server.py.
        view = memoryview(done.content)
        for start in range(0, len(view), _PIECE):
            yield bytes(view[start : start + _PIECE])

    return StreamingResponse(pieces(), media_type=done.media_type, headers=headers)


def _failure(error: Exception) -> Response:
    if is_out_of_memory(error):
        return refusal(Refused(413, "there is not enough memory for this picture"))
    if is_disk_full(error):
        return refusal(Refused(507, "there is no room on the disk for this picture"))
    log.debug("", exc_info=error)
    return refusal(Refused(500, f"a bug, please report it: {type(error).__name__}: {error}"))


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return refusal(Refused(error.status_code, message, error.headers or {}))
