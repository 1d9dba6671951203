"""The picture that a client sends, within limits of size and time."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn, cast

from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from imrestore.serve.budget import Share
from imrestore.serve.refused import Refused

__all__ = ["LEAST_RATE", "Limits", "received"]

LEAST_RATE = 16_384
"""Bytes a second that clients must send and take, beside the grace at the beginning."""

_IN_MEMORY = 1 << 20
_LINGER_S, _LINGER_BYTES = 2.0, 64 << 20
_CLOSING = {"Connection": "close"}
_ONE_FILE = "the form must hold one file and nothing else; send the picture as that or as the body"

_Message = MutableMapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """What clients may send.

    Attributes:
        most_bytes: Size of a request's body.
        most_held: Size of all bodies and answers that are held at once.
        grace_s: How long a client may send nothing, or little.
    """

    most_bytes: int
    most_held: int
    grace_s: float


async def received(request: Request, limits: Limits, share: Share) -> BinaryIO:
    """Return the picture of a request: its body, or the file of a form.

    Small ones are in memory, others in a nameless temporary file; what the client calls it does
    not matter.

    Args:
        request: The request.
        limits: What it may send.
        share: Told how much of it is held.

    Raises:
        Refused: There is none, it is too large, or it comes too slowly.
    """
    counted = _Counted(request.receive, request.headers, limits, share)
    await counted.check_stated()
    request = Request(request.scope, counted)
    try:
        if request.headers.get("content-type", "").startswith("multipart/"):
            return await _of_form(request)
        return await _of_body(request)
    except ClientDisconnect as error:
        raise Refused(400, "the body is cut short; send the whole file") from error


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
    try:
        form = await request.form(max_files=1, max_fields=0)
    except HTTPException as error:
        raise Refused(400, f"{_ONE_FILE} ({error.detail.rstrip('.')})") from error
    files = [value for value in form.values() if isinstance(value, UploadFile)]
    if len(files) != 1 or not files[0].size:
        await form.close()
        raise Refused(400, f"{_ONE_FILE} ({'the file is empty' if files else 'there is none'})")
    return files[0].file


class _Counted:
    """Receives the messages of a body, and gives up on one that is too large or too slow."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[_Message]],
        headers: Headers,
        limits: Limits,
        share: Share,
    ) -> None:
        self._receive, self._headers, self._limits, self._share = receive, headers, limits, share
        self._count = self._stated = 0
        self._started = asyncio.get_running_loop().time()

    async def check_stated(self) -> None:
        """Reserve the bytes that a body says it has, or refuse it before any of it is stored."""
        text = self._headers.get("content-length", "0")
        self._stated = int(text) if text.isdigit() else 0
        if self._stated > self._limits.most_bytes:
            await self._refuse(self._too_large())
        await self._hold()

    async def __call__(self) -> _Message:
        grace = self._limits.grace_s + self._count / LEAST_RATE
        try:
            async with asyncio.timeout_at(self._started + grace):
                message = await self._receive()
        except TimeoutError as error:
            raise Refused(
                408,
                f"the body comes too slowly: {self._count:,} bytes in {grace:.0f} s "
                "(imrestore serve --timeout); send it again over a faster connection",
                _CLOSING,
            ) from error
        self._count += len(message.get("body", b""))
        if self._count > self._limits.most_bytes:
            await self._refuse(self._too_large())
        await self._hold()
        return message

    async def _hold(self) -> None:
        """Hold what has come and what was stated, so that no other upload takes its place."""
        try:
            self._share.hold(max(self._count, self._stated))
        except Refused as refused:
            await self._refuse(refused)

    async def _refuse(self, refused: Refused) -> NoReturn:
        # Who waits for leave to send (curl does, with large files) has not begun.
        if self._count or self._headers.get("expect", "").lower() != "100-continue":
            await self._drain()
        raise Refused(refused.status, refused.message, {**refused.headers, **_CLOSING})

    async def _drain(self) -> None:
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

    def _too_large(self) -> Refused:
        most = self._limits.most_bytes
        return Refused(
            413,
            f"the body has more than {most:,} bytes (imrestore serve --max-upload); send a smaller "
            "file",
        )
