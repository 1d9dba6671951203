"""A request that is not done, and how its answer says so."""

import errno
from collections.abc import Mapping
from types import MappingProxyType

from starlette.responses import JSONResponse

from imrestore.output import log
from restore.engine.lane import TileTooLarge, is_out_of_memory
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
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAMES = ("-: ", "standard input: ")
"""What messages call a picture that has no name."""
_FILE = "the file: "
_OF_THE_SERVICE = ("--keep-damaged", "--max-pixels")
"""Options that messages speak of, and that requests do not have."""
_COMMAND = "`imrestore denoise`"
_REQUEST = "POST /denoise"


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


def as_refused(error: Exception) -> Refused:
    """Return the answer to a picture or options that cannot be used, and to a bug."""
    common = _of_the_machine(error)
    if common:
        return common
    if not isinstance(error, RestoreError):
        log.debug("", exc_info=error)
        return Refused(500, f"a bug, please report it: {type(error).__name__}: {error}")
    message = named = str(error)
    for name in _NAMES * 2:
        message = message.removeprefix(name)
    if message != named:
        message = _FILE + message
    for option in _OF_THE_SERVICE:
        message = message.replace(option, f"imrestore serve {option}")
    message = message.replace(_COMMAND, _REQUEST)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return Refused(status, message)


def _of_the_machine(error: BaseException | None) -> Refused | None:
    """Return the answer where the machine lacks something, whatever came of it."""
    while isinstance(error, Exception):
        if isinstance(error, OSError) and error.errno in _FULL:
            return Refused(
                507, f"{_FILE}there is no room for it on the disk; make some, or set TMPDIR"
            )
        if isinstance(error, TileTooLarge) or is_out_of_memory(error):
            return Refused(413, f"{_FILE}needs more memory than there is; send a smaller one")
        error = error.__cause__
    return None


def refusal(refused: Refused) -> JSONResponse:
    """Return the answer: ``{"error": one line}``."""
    return JSONResponse(
        {"error": one_line(refused.message, most=None)}, refused.status, dict(refused.headers)
    )
