"""A request that is not done, and how its answer says so."""

import errno
from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import JSONResponse

from restore.errors import (
    CorruptImage,
    ImageTooLarge,
    InputError,
    OutputError,
    RestoreError,
    UnsupportedImage,
    UsageError,
    one_line,
)

__all__ = ["Refused", "as_refused", "is_disk_full", "refusal"]

_STATUS: tuple[tuple[type[RestoreError], int], ...] = (
    (ImageTooLarge, 413),
    (UnsupportedImage, 415),
    (CorruptImage, 422),
    (InputError, 422),
    (UsageError, 422),
    (OutputError, 422),
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAMES = ("-: ", "standard input: ")
"""What messages call a picture that has no name."""


class Refused(Exception):
    """A request that is answered with an error.

    Args:
        status: Status of the answer.
        message: The reason in one line.
        headers: Headers of the answer.
    """

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


def as_refused(error: RestoreError) -> Refused:
    """Return the answer to a picture that cannot be used, or options that make no sense."""
    message = str(error)
    for name in _NAMES * 2:
        message = message.removeprefix(name)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return Refused(status, message)


def is_disk_full(error: BaseException | None) -> bool:
    """Return whether an error, or what it comes from, is that of a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__
    return False


def refusal(refused: Refused) -> JSONResponse:
    """Return the answer: ``{"error": one line}``."""
    return JSONResponse(
        {"error": one_line(refused.message, most=None)}, refused.status, dict(refused.headers)
    )
