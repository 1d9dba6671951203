"""Pictures of which the pixels are not all there: refused, or kept where that is asked for.

Readers decode what is there and say in ``Picture.damaged`` what is not.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from restore.arguments import argument
from restore.errors import CorruptImage

__all__ = ["checked_damage", "keeping_damaged", "keeps_damaged", "noting_damage"]

log = logging.getLogger(__name__)


class _Process:
    """What holds for all pictures of this process."""

    def __init__(self) -> None:
        self.keeps_damaged = False


_process = _Process()
_noted: ContextVar[dict[str, str]] = ContextVar("_noted")


@contextmanager
def keeping_damaged(keeps: bool) -> Iterator[None]:
    """Set for all pictures that this process decodes, in any thread, whether damaged ones pass."""
    before = _process.keeps_damaged
    _process.keeps_damaged = keeps
    try:
        yield
    finally:
        _process.keeps_damaged = before


def keeps_damaged() -> bool:
    """Return whether damaged pictures pass in this process."""
    return _process.keeps_damaged


@contextmanager
def noting_damage() -> Iterator[dict[str, str]]:
    """Collect, by the names of their files, what is damaged in pictures that this thread keeps."""
    noted: dict[str, str] = {}
    token = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(token)


def checked_damage(name: str, damaged: str, *, keep: bool | None = None) -> None:
    """Refuse a damaged picture, or log a warning that it is one.

    Args:
        name: Name of its file.
        damaged: What is damaged, as ``Picture.damaged`` says it; "" for nothing.
        keep: Whether to let it pass; None for what holds for the process.

    Raises:
        CorruptImage: it does not pass. The message lacks the name.
    """
    if not damaged:
        return
    if not (_process.keeps_damaged if keep is None else keep):
        raise CorruptImage(f"{damaged}; {argument('keep_damaged', True)} takes what is there")
    noted = _noted.get({})
    if name not in noted:  # else it is read for the second time
        noted[name] = damaged
        log.warning("%s: %s; what is there is taken", name, damaged)
