"""How the program ends: exit codes, signals, and one line for every error."""

import logging
import os
import signal
import sys
import traceback
from enum import IntEnum
from typing import Any, NoReturn

__all__ = [
    "ExitCode",
    "Stopped",
    "heeded_signals",
    "leave_at_once",
    "log",
    "print_tracebacks",
    "raise_on_signals",
    "say",
    "say_bug",
    "say_warnings",
    "visible",
]

log = logging.getLogger("imrestore")
"""Takes tracebacks at the level DEBUG; silent without --debug."""


class ExitCode(IntEnum):
    """What the exit code tells a script."""

    DONE = 0
    SOME_FAILED = 1
    USAGE = 2
    ANOMALIES_FOUND = 3
    BUG = 70
    CLOSED_PIPE = 128 + 13


class Stopped(BaseException):
    """SIGINT or SIGTERM came; like KeyboardInterrupt no Exception, so that nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def heeded_signals() -> list[signal.Signals]:
    """Return which of SIGINT and SIGTERM end this process."""
    return [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN  # as `nohup` and `&` in scripts set it
    ]


def raise_on_signals() -> None:
    """Turn the first SIGINT or SIGTERM into ``Stopped``; a second one ends the program at once."""
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


def print_tracebacks() -> None:
    """Let ``log`` print to standard error."""
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.DEBUG)


class _Sayer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def say_warnings() -> None:
    """Print what the library warns of, one line each."""
    logging.getLogger("restore").addHandler(_Sayer(logging.WARNING))


def say(message: str) -> None:
    """Print one line about the run to standard error."""
    print(f"imrestore: {visible(message)}", file=sys.stderr)


def say_bug(error: Exception) -> None:
    """Print one line about an error of this program."""
    reason = "".join(traceback.format_exception_only(error)).strip()
    say(f"a bug: {reason}; please report it; run with --debug for the traceback")


def visible(text: str) -> str:
    """Return ``text`` on one line, with characters that would steer a terminal escaped."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
