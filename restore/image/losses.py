"""What a container cannot hold, and what is guessed, noted while a file is encoded."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["in_words", "losses", "note_loss", "note_remark", "remarks"]

log = logging.getLogger(__name__)

_noted: ContextVar[list[str] | None] = ContextVar("noted", default=None)
_remarked: ContextVar[list[str] | None] = ContextVar("remarked", default=None)


def note_loss(what: str) -> None:
    """Note that something of a picture is not in the file: a phrase such as "its maker's notes".

    Where nobody collects losses, the phrase becomes a warning.
    """
    noted = _noted.get()
    if noted is None:
        log.warning("lost: %s", what)
    else:
        noted.append(what)


def note_remark(sentence: str) -> None:
    """Note what a person should know of how a file was made, as that something was guessed.

    Where nobody collects remarks, it becomes a warning.
    """
    remarked = _remarked.get()
    if remarked is None:
        log.warning("%s", sentence)
    else:
        remarked.append(sentence)


@contextmanager
def losses() -> Iterator[list[str]]:
    """Collect the losses that are noted meanwhile, in this thread."""
    with _collected(_noted) as noted:
        yield noted


@contextmanager
def remarks() -> Iterator[list[str]]:
    """Collect the remarks that are noted meanwhile, in this thread."""
    with _collected(_remarked) as remarked:
        yield remarked


@contextmanager
def _collected(place: ContextVar[list[str] | None]) -> Iterator[list[str]]:
    found: list[str] = []
    token = place.set(found)
    try:
        yield found
    finally:
        place.reset(token)


def in_words(things: Sequence[str]) -> str:
    """Return a list as a phrase: "a, b and c"."""
    *others, last = things
    return f"{', '.join(others)} and {last}" if others else last
