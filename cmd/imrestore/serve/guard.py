"""Who may use the service, and until when."""

import hmac
import ipaddress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from imrestore.serve.refused import Refused, refusal

__all__ = ["LATE", "Guard", "State", "is_loopback"]

_OPEN = ("/", "/health", "/openapi.json")
"""Paths that need no token: they tell nothing about pictures and do no work."""
LATE = {"Retry-After": "10", "Connection": "close"}
"""Headers of answers to requests that the end of the service leaves undone."""
_STATELESS = ("/health", "/metrics")
_FOREIGN = ("cross-site", "same-site")


@dataclass
class State:
    """What changes while the service runs.

    Attributes:
        is_draining: Whether new requests are refused, since it ends.
        begun: Number of requests that are being answered.
    """

    is_draining: bool = False
    begun: int = 0


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests without the token, of other web sites, and those that come too late.

    Args:
        app: What answers the others.
        token: The token, or "" where none is needed: then the browser must have been given an
            address of this machine, so that no name of another site leads here.
        state: Told about requests; says when new ones are refused.
    """

    def __init__(self, app: ASGIApp, token: str, state: State) -> None:
        self._app, self._token, self._state = app, token.encode(), state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope["path"], Headers(scope=scope))
        if refused:
            await refusal(refused)(scope, receive, send)
            return
        self._state.begun += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._state.begun -= 1

    def _refused(self, path: str, headers: Headers) -> Refused | None:
        if self._state.is_draining and path not in _STATELESS:
            return Refused(503, "the service is about to end; try again later", LATE)
        host = headers.get("host", "")
        if self._token:
            if path not in _OPEN and not self._has_token(headers):
                what = "is wrong" if "authorization" in headers else "is missing"
                return Refused(
                    401,
                    f"the token {what}; give the token in the header Authorization: Bearer TOKEN",
                    {"WWW-Authenticate": "Bearer"},
                )
        elif not is_loopback(_host(host)):
            return Refused(
                403,
                f"Host: {host[:200]}: is no address of this machine; use one such as 127.0.0.1, or "
                "start the service with a token",
            )
        if self._is_of_another_page(headers) and path != "/":
            names = ("Sec-Fetch-Site", "Origin")
            said = ", ".join(f"{name}: {headers[name][:200]}" for name in names if name in headers)
            return Refused(
                403,
                f"{said}: pages of other sites may not use the service; use its own, at /",
            )
        return None

    def _is_of_another_page(self, headers: Headers) -> bool:
        # With a token, a proxy may give the service another host than browsers know.
        origin = None if self._token else headers.get("origin")
        is_own = origin is None or origin.partition("://")[2] == headers.get("host", "")
        return headers.get("sec-fetch-site") in _FOREIGN or not is_own

    def _has_token(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        is_equal = hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token)
        return is_equal and kind.lower() == "bearer"


def _host(header: str) -> str:
    """Return a host without its port."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0]
