"""The standard streams: always there, and free of what native libraries print.

OpenEXR prints to standard output, where records or a picture are expected; libpng and OpenEXR print
to standard error, which ``--quiet`` keeps for errors. So the command prints to duplicates of the
descriptors 1 and 2, and what libraries write to these is dropped, or goes to standard error on
request (``-v``, ``--debug``). Nothing is switched while threads decode.
"""

import contextlib
import io
import os
import sys
from typing import TextIO

__all__ = ["keep_libraries_off", "open_streams", "show_libraries"]

_OTHERS = ("restore.", "ray.")


def open_streams() -> None:
    """Give the process the standard streams that it was started without, as daemons are.

    Nothing comes in and messages are dropped, but what is written to standard output is missed.
    A name that the terminal cannot show does not end a run.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def keep_libraries_off() -> None:
    """Print to duplicates of standard output and error, and drop what comes to 1 and 2."""
    sys.stderr = _Own(sys.stderr, os.dup(sys.stderr.fileno()))
    sys.stdout = _Own(sys.stdout, os.dup(sys.stdout.fileno()))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    if nowhere not in (1, 2):  # as it is where one of them was closed
        os.close(nowhere)


def show_libraries() -> None:
    """After ``keep_libraries_off``, send what libraries print to standard error."""
    if isinstance(sys.stderr, _Own):
        for descriptor in (1, 2):
            os.dup2(sys.stderr.fileno(), descriptor)


class _Own(io.TextIOWrapper):
    """A stream that only the command line writes to, like ``stream``.

    OpenEXR's binding prints with Python's own ``print``, on behalf of the function of ``restore``
    that called it. As ``restore`` prints nothing, what comes from there goes to descriptor 1, and
    so does what Ray prints of workers that died.
    """

    def __init__(self, stream: TextIO, descriptor: int) -> None:
        file, is_buffered = io.FileIO(descriptor, "w"), not isinstance(stream.buffer, io.RawIOBase)
        super().__init__(
            io.BufferedWriter(file) if is_buffered else file,
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=bool(stream.line_buffering),
            write_through=not is_buffered,
        )

    def write(self, text: str, /) -> int:
        """Write, or pass on what the library writes."""
        caller = sys._getframe().f_back  # None where the interpreter itself writes
        if caller is None or not caller.f_globals.get("__name__", "").startswith(_OTHERS):
            return super().write(text)
        with contextlib.suppress(OSError):
            os.write(1, text.encode(errors="replace"))
        return len(text)
