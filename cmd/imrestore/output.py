"""What is printed: messages of one line, tables, JSON records, and a progress bar."""

import json
import logging
import math
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from restore.errors import one_line
from restore.remote.paths import shown

__all__ = [
    "ProgressBar",
    "json_of",
    "log",
    "print_line",
    "print_table",
    "print_tracebacks",
    "say",
    "say_bug",
    "say_warnings",
    "table_line",
    "visible",
]

log = logging.getLogger("imrestore")
"""Takes tracebacks at the level DEBUG; silent without --debug."""


def print_tracebacks() -> None:
    """Let ``log`` print to standard error."""
    log.addHandler(logging.StreamHandler())
    log.setLevel(logging.DEBUG)


class _Sayer(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def say_warnings() -> None:
    """Print the warnings of the library, one line each, and none of those of others.

    PyTorch warns of odd checkpoints and Matplotlib of its fonts: what matters of it is said in the
    words of this program. With ``-W`` or PYTHONWARNINGS, Python's warnings are still printed.
    """
    logging.getLogger("restore").addHandler(_Sayer(logging.WARNING))
    logging.lastResort = logging.NullHandler()  # with None, logging prints that there is none
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def say(message: str) -> None:
    """Print one line about the run to standard error."""
    with _dropped_if_unwritable():
        print(f"imrestore: {visible(message)}", file=sys.stderr)


@contextmanager
def _dropped_if_unwritable() -> Iterator[None]:
    """Let the run go on where a message cannot be written: to a closed terminal or a full disk."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def say_bug(error: Exception) -> None:
    """Print one line about an error of this program."""
    reason = "".join(traceback.format_exception_only(error)).strip()
    say(f"a bug: {reason}; please report it; run with --debug for the traceback")


def visible(text: str) -> str:
    """Return ``text`` on one line, with the characters that control a terminal escaped."""
    return one_line(shown(text), most=None)


def print_line(line: str) -> None:
    """Print one line to standard output, as ``visible`` makes it."""
    print(visible(line))


def table_line(cells: Sequence[str], widths: Sequence[int], align: str) -> str:
    """Return one line of a table, its columns two spaces apart.

    Args:
        cells: The text of each column.
        widths: The width of each column in characters.
        align: "<" or ">" for each column: aligned to the left or to the right.
    """
    columns = zip(cells, widths, align, strict=True)
    return "  ".join(f"{cell:{side}{width}}" for cell, width, side in columns).rstrip()


def print_table(rows: Sequence[Sequence[str]], align: str) -> None:
    """Print rows, headings among them, with columns as wide as their widest cell.

    Args:
        rows: The cells of each row.
        align: As for ``table_line``.
    """
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(table_line(row, widths, align))


def json_of(value: object, *, digits: int | None = None) -> str:
    """Return ``value`` as one line of JSON, with null for infinities and NaN, which JSON lacks.

    Args:
        value: Mappings, lists, and values that are written as JSON's own or as text.
        digits: Decimal places that numbers are rounded to; None for all.
    """
    return json.dumps(_finite(value, digits), default=str)


def _finite(value: object, digits: int | None) -> object:
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else round(value, digits)
    if isinstance(value, Mapping):
        return {key: _finite(each, digits) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each, digits) for each in value]
    return shown(value) if isinstance(value, str) else value


class ProgressBar:
    """A progress bar while it is entered, where standard error is a terminal.

    Args:
        total: Number of pictures to come; None if it is not known.
        quiet: Show no bar.
    """

    def __init__(self, total: int | None, *, quiet: bool) -> None:
        from tqdm import tqdm

        self.bar = tqdm(
            total=total,
            unit=" images",
            file=sys.stderr,
            disable=quiet or not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
        )

    def say(self, message: str) -> None:
        """Print one line about the run to standard error, without tearing the bar."""
        self.write(f"imrestore: {message}")

    def write(self, line: str) -> None:
        """Print one line to standard error, without tearing the bar."""
        with _dropped_if_unwritable():
            self.bar.write(visible(line), file=sys.stderr)

    def __enter__(self) -> Self:
        """Return the bar, which is shown already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bar."""
        self.bar.close()
