"""The service as an ASGI application: routes, and how they answer."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
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
from starlette.types import Receive, Scope, Send

from imrestore.output import json_of
from imrestore.serve.budget import Budget, Share
from imrestore.serve.guard import LATE, Guard, State
from imrestore.serve.metrics import Metrics
from imrestore.serve.openapi import document
from imrestore.serve.page import page_of
from imrestore.serve.refused import Refused, as_refused, refusal
from imrestore.serve.tasks import InspectionTask, ServedTask
from imrestore.serve.upload import Limits, received
from imrestore.serve.work import Answer, Workplace

__all__ = ["Service"]

_PIECE = 1 << 18
_MOST_RECORD = 8000
"""Characters of a header; values of a record that exceed it are left out."""
_MOST_UPLOADS = 64
_INSPECTION = f"/{InspectionTask.name}"


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
        budget = Budget(self.limits.most_held, workplace.retry_after, metrics.held.set)
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
            endpoint = _Endpoint(task, workplace, budget, self, metrics)
            return Route(f"/{task.name}", endpoint, methods=["POST"])

        application = Starlette(
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
        application.router.redirect_slashes = False
        return application


class _Endpoint:
    """Answers the requests of a task.

    Args:
        task: The task.
        workplace: Where its work is done.
        budget: The bytes that may be held, from the first of an upload to the last of its answer.
        service: The service that it is a part of.
        metrics: Told about each answer.
    """

    def __init__(
        self,
        task: ServedTask,
        workplace: Workplace,
        budget: Budget,
        service: Service,
        metrics: Metrics,
    ) -> None:
        self._task, self._workplace, self._budget = task, workplace, budget
        self._service, self._metrics = service, metrics
        self._uploads = asyncio.Semaphore(_MOST_UPLOADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        with self._budget.share() as share:
            response = await self._response(Request(scope, receive, send), share)
            await response(scope, receive, send)

    async def _response(self, request: Request, share: Share) -> Response:
        started, megapixels = time.perf_counter(), 0.0
        try:
            done = await self._done(request, share)
            response, megapixels = _response(self._task, done), done.megapixels
        except Refused as refused:
            response = refusal(refused)
        except asyncio.CancelledError:
            if not self._service.state.is_draining:
                raise
            response = refusal(
                Refused(503, "the service ended before this was done; try again later", LATE)
            )
        except Exception as error:
            response = refusal(as_refused(error))
        name, status, seconds = self._task.name, response.status_code, time.perf_counter() - started
        self._metrics.answered(name, status, seconds, megapixels)
        self._service.told(f"{name}: {status}, {megapixels:.3g} megapixels, {seconds:.2f} s")
        return response

    async def _done(self, request: Request, share: Share) -> Answer:
        values = self._task.parameters.values(request.query_params.multi_items())
        if self._uploads.locked():
            raise Refused(
                429,
                f"{_MOST_UPLOADS} uploads are in progress already; try again later",
                {"Retry-After": "1"},
            )
        async with self._uploads:
            body = await received(request, self._service.limits, share)
        try:
            job = self._task.job(body, values)
        except BaseException:
            body.close()
            raise

        async def is_wanted() -> bool:
            return not await request.is_disconnected()

        done = await self._workplace.run(job, is_wanted)
        size, most = len(done.content), self._budget.most
        if size > most:
            raise Refused(
                413,
                f"the result has {size:,} bytes, and the service holds at most {most:,} (imrestore "
                "serve --max-held); ask for a smaller format",
            )
        share.hold(size)  # instead of the upload
        return done


def _response(task: ServedTask, done: Answer) -> Response:
    record = _short_record(done.record)
    name = f"{task.name}{done.suffix}"
    headers = {
        "Content-Length": str(len(done.content)),
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        **({"Imrestore-Record": record} if done.record else {}),
    }

    async def pieces() -> Any:
        # They must be taken in time; see ``_impatient`` in server.py.
        view = memoryview(done.content)
        for start in range(0, len(view), _PIECE):
            yield bytes(view[start : start + _PIECE])

    return StreamingResponse(pieces(), media_type=done.media_type, headers=headers)


def _short_record(record: Mapping[str, object]) -> str:
    """Return a record as a header holds it, which names what is too long for one."""
    kept, left_out = dict(record), list[str]()
    while len(text := json_of(kept | ({"left_out": left_out} if left_out else {}))) > _MOST_RECORD:
        longest = max(kept, key=lambda key: len(json_of({key: kept[key]})))
        del kept[longest]
        left_out.append(longest)
    return text


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    no_path = "no such path; /openapi.json names those that there are"
    if request.url.path == _INSPECTION:  # there is such a path where there are weights for it
        no_path = "no detector; start the service with its weights: imrestore serve --model FILE"
    reason = {
        404: no_path,
        405: f"no such method; use {headers.get('Allow', 'another')}",
    }.get(error.status_code, error.detail)
    message = f"{request.method} {request.url.path[:200]}: {reason}"
    return refusal(Refused(error.status_code, message, headers))
