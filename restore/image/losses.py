"""What a container cannot hold, noted while a file is encoded."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["in_words", "losses", "note_loss"]

log = logging.getLogger(__name__)

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)


def note_loss(what: str) -> None:
    """Note that something of a picture is not in the file: a phrase such as "its maker's notes".

    Where nobody collects losses, the phrase becomes a warning.
    """
    noted = _noted.get()
    if noted is None:
        log.warning("lost: %s", what)
    else:
        noted.append(what)


@contextmanager
def losses() -> Iterator[list[str]]:
    """Collect what is noted meanwhile, in this thread."""
    noted: list[str] = []
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def in_words(things: Sequence[str]) -> str:
    """Return a list as a phrase: "a, b and c"."""
    *others, last = things
    return f"{', '.join(others)} and {last}" if others else last
