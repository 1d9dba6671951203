"""How the program ends: its exit codes, and what signals do."""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from types import TracebackType
from typing import Any, NoReturn

__all__ = [
    "ExitCode",
    "Signalled",
    "Stopped",
    "end_on_signals",
    "leave_at_once",
    "noted_signals",
    "raise_if_stopped",
    "raise_on_signals",
]


_ENDING = (signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)]))
"""What ends a run in good order; SIGHUP comes when the terminal is closed."""
_LONGEST_END_S = 1.9


class ExitCode(IntEnum):
    """What the exit code tells a script."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    ANOMALIES_FOUND = 3
    BUG = 70
    CLOSED_PIPE = 128 + 13


class Stopped(BaseException):
    """One of ``_ENDING`` came; not an Exception, so that no handler swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Signalled:
    """Whether a signal came; the first question means that the work has begun."""

    def __init__(self) -> None:
        self.number, self.is_asked_for = 0, False

    def __call__(self) -> bool:
        self.is_asked_for = True
        return self.number != 0


@contextmanager
def noted_signals(*others: signal.Signals, at_once: bool) -> Iterator[Signalled]:
    """Note signals instead of raising ``Stopped``, so that the work can be brought to an end.

    Before the work begins there is nothing to bring to an end: a signal raises ``Stopped``, as a
    second one does at any time.

    Args:
        others: signals to note beside SIGINT, SIGTERM and SIGHUP.
        at_once: whether to raise ``Stopped`` at the end, and to end the process within two seconds
            after the signal in any case.

    Raises:
        Stopped: as said above.
    """
    signalled = Signalled()

    def note(number: int, _frame: Any) -> None:
        signalled.number = number
        for known, handler in before.items():
            signal.signal(known, handler)
        if not signalled.is_asked_for:
            raise Stopped(number)
        if at_once:
            _end_in_time(number)

    before = {number: signal.signal(number, note) for number in _heeded((*_ENDING, *others))}
    try:
        yield signalled
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if at_once and signalled.number:
        raise Stopped(signalled.number)


def _heeded(numbers: Iterable[signal.Signals]) -> list[signal.Signals]:
    """Return which signals this process was not started to ignore."""
    return [
        number
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN  # as `nohup` and `&` in scripts set it
    ]


class _Process:
    """What happened to this process.

    Attributes:
        stopped_by: Number of the signal that raised ``Stopped``, or 0.
        unraisable: What told of exceptions that cannot be raised, before this module did.
    """

    def __init__(self) -> None:
        self.stopped_by = 0
        self.unraisable = sys.unraisablehook


_process = _Process()


def raise_if_stopped(error: Exception) -> None:
    """Raise ``Stopped`` again if a library made ``error`` of it, as those in C++ do."""
    if _process.stopped_by:
        raise Stopped(_process.stopped_by) from error


def end_on_signals() -> None:
    """Let signals end this process at once: only the end of the interpreter is left to be done."""
    for number in _heeded(_ENDING):
        signal.signal(number, _end)


def _end(number: int, _frame: Any) -> NoReturn:
    os._exit(128 + number)


def raise_on_signals() -> None:
    """Turn the first SIGINT, SIGTERM or SIGHUP into ``Stopped``; a second one ends it at once."""
    numbers = _heeded(_ENDING)

    def stop(number: int, _frame: Any) -> NoReturn:
        for each in numbers:
            signal.signal(each, _end)
        _process.stopped_by = number
        _end_in_time(number)
        raise Stopped(number)

    _heed_strays()
    for number in numbers:
        signal.signal(number, stop)


def _heed_strays() -> None:
    """End the process also where ``Stopped`` is raised and nothing can catch it.

    Python drops what is raised while an object is removed from memory, with a traceback, and goes
    on; and before and after the work there is no handler.
    """
    if sys.unraisablehook is not _unraisable:
        _process.unraisable, sys.unraisablehook = sys.unraisablehook, _unraisable
    sys.excepthook = _uncaught


def _unraisable(told: "sys.UnraisableHookArgs") -> None:
    if isinstance(told.exc_value, Stopped):
        leave_at_once(told.exc_value.exit_code)
    _process.unraisable(told)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, Stopped):
        leave_at_once(error.exit_code)
    sys.__excepthook__(kind, error, trace)


def _end_in_time(number: int) -> None:
    """End the process soon, even where it waits for a reader of its output that does not read."""
    if not hasattr(signal, "setitimer"):
        return

    def end(_number: int, _frame: Any) -> NoReturn:
        from restore.files import remove_own_parts

        remove_own_parts()
        os._exit(128 + number)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_END_S)


def leave_at_once(code: int) -> NoReturn:
    """End without waiting for threads that are in the middle of a picture, or leaving its parts."""
    from restore.files import remove_own_parts

    remove_own_parts()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)
