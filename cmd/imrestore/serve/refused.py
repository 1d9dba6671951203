"""A request that is not done, and how its answer says so."""

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

__all__ = ["Refused", "as_refused", "refusal"]

_STATUS: tuple[tuple[type[RestoreError], int], ...] = (
    (ImageTooLarge, 413),
    (UnsupportedImage, 415),
    (CorruptImage, 422),
    (InputError, 422),
    (UsageError, 422),
    (OutputError, 422),
)
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


def refusal(refused: Refused) -> JSONResponse:
    """Return the answer: ``{"error": one line}``."""
    return JSONResponse(
        {"error": one_line(refused.message, most=None)}, refused.status, dict(refused.headers)
    )
