"""How the program ends: its exit codes, and what signals do."""

import os
import signal
import sys
from enum import IntEnum
from typing import Any, NoReturn

__all__ = [
    "ExitCode",
    "Stopped",
    "heeded_signals",
    "leave_at_once",
    "raise_on_signals",
]


_ENDING = (signal.SIGINT, signal.SIGTERM, *filter(None, [getattr(signal, "SIGHUP", None)]))
"""What ends a run in good order; SIGHUP comes when the terminal is closed."""


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


def heeded_signals() -> list[signal.Signals]:
    """Return which of SIGINT, SIGTERM and SIGHUP end this process."""
    return [
        number
        for number in _ENDING
        if signal.getsignal(number) is not signal.SIG_IGN  # as `nohup` and `&` in scripts set it
    ]


def raise_on_signals() -> None:
    """Turn the first SIGINT, SIGTERM or SIGHUP into ``Stopped``; a second one ends it at once."""
    numbers = heeded_signals()

    def end(number: int, _frame: Any) -> NoReturn:
        os._exit(128 + number)

    def stop(number: int, _frame: Any) -> NoReturn:
        for each in numbers:
            signal.signal(each, end)
        raise Stopped(number)

    for number in numbers:
        signal.signal(number, stop)


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
