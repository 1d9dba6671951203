"""The picture that a client sends, within limits of size and time."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect, Request

from imrestore.serve.refused import Refused

__all__ = ["Limits", "received"]

_IN_MEMORY = 1 << 20
_LEAST_RATE = 16_384
"""Bytes a second that a picture must come with, beside the grace at its beginning."""
_LINGER_S, _LINGER_BYTES = 2.0, 64 << 20

_Message = MutableMapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """What a client may send.

    Attributes:
        most_bytes: Size of a request's body.
        grace_s: How long a client may send nothing, or little.
    """

    most_bytes: int
    grace_s: float


async def received(request: Request, limits: Limits) -> BinaryIO:
    """Return the picture of a request: its body, or the file of a form.

    Small ones are in memory, others in a nameless temporary file; what the client calls it does
    not matter.

    Raises:
        Refused: There is none, it is too large, or it comes too slowly.
    """
    stated = request.headers.get("content-length", "0")
    counted = _Counted(request.receive, limits)
    if stated.isdigit() and int(stated) > limits.most_bytes:
        await counted.drain()
        raise counted.too_large()
    request = Request(request.scope, counted)
    try:
        if request.headers.get("content-type", "").startswith("multipart/"):
            return await _of_form(request)
        return await _of_body(request)
    except ClientDisconnect as error:
        raise Refused(400, "the body is cut short") from error


async def _of_body(request: Request) -> BinaryIO:
    with ExitStack() as unless_taken:
        file = unless_taken.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))
        async for chunk in request.stream():
            file.write(chunk)
        if not file.tell():
            raise Refused(400, "the body is empty; send a picture")
        file.seek(0)
        unless_taken.pop_all()  # the job closes it
        return cast(BinaryIO, file)


async def _of_form(request: Request) -> BinaryIO:
    form = await request.form(max_files=1, max_fields=0)
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    if len(files) != 1 or not files[0].size:
        await form.close()
        raise Refused(400, "send one file in the form")
    return files[0].file


class _Counted:
    """Receives the messages of a body, and gives up on one that is too large or too slow."""

    def __init__(self, receive: Callable[[], Awaitable[_Message]], limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._count = 0
        self._started = asyncio.get_running_loop().time()

    async def __call__(self) -> _Message:
        grace = self._limits.grace_s + self._count / _LEAST_RATE
        try:
            async with asyncio.timeout_at(self._started + grace):
                message = await self._receive()
        except TimeoutError as error:
            raise Refused(
                408, "the picture comes too slowly; try again", {"Connection": "close"}
            ) from error
        self._count += len(message.get("body", b""))
        if self._count > self._limits.most_bytes:
            await self.drain()
            raise self.too_large()
        return message

    async def drain(self) -> None:
        """Take some more: a client that is cut off while it sends may not read the answer."""
        left = _LINGER_BYTES
        try:
            async with asyncio.timeout(_LINGER_S):
                while left > 0:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return
        except TimeoutError:
            return

    def too_large(self) -> Refused:
        """Return the answer to a body that is too large."""
        most = self._limits.most_bytes
        return Refused(
            413, f"the body has more than {most:,} bytes (--max-upload)", {"Connection": "close"}
        )
