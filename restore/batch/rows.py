"""The rows of a manifest: what became of each input, as JSON lines or Parquet."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from restore.errors import InputError, UsageError
from restore.files import open_atomically

__all__ = [
    "JSON_LINES",
    "PARQUET",
    "Row",
    "RowStatus",
    "format_of",
    "line_of",
    "read",
    "row_of",
    "write",
]

JSON_LINES, PARQUET = "jsonl", "parquet"
_SUFFIXES = {".jsonl": JSON_LINES, ".ndjson": JSON_LINES, ".parquet": PARQUET}
_ROWS_AT_ONCE = 10_000


class RowStatus(StrEnum):
    """What became of an input."""

    PLANNED = "planned"
    """It is to be done, or was under way when a run ended."""
    DONE = "done"
    SKIPPED = "skipped"
    """A result was there already, which no run of this manifest wrote."""
    FAILED = "failed"


class Row(NamedTuple):
    """What is known of an input; a tuple, which of a million is made in half the time.

    Attributes:
        source: Path or URL of the input.
        size: Its bytes; None if they are not known.
        version: Its ETag, or else its time of modification.
        settings: Hash of the options and weights that results depend on.
        weights: SHA-256 of the weight file that was used; "" before that.
        output: Path or URL of the result.
        status: What became of it.
        seconds: Time that it took; None if it was not done.
        error: Why it failed, in a sentence; else "".
        warnings: What was guessed, lost or damaged.
        attempts: How often it was tried.
    """

    source: str
    size: int | None = None
    version: str = ""
    settings: str = ""
    weights: str = ""
    output: str = ""
    status: RowStatus = RowStatus.PLANNED
    seconds: float | None = None
    error: str = ""
    warnings: tuple[str, ...] = ()
    attempts: int = 0


_encoded = json.JSONEncoder(separators=(",", ":")).encode


def format_of(path: Path) -> str:
    """Return the format of a manifest by its name.

    Raises:
        UsageError: the name ends with no known suffix.
    """
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"{path}: a manifest's name ends with .jsonl or .parquet, as in run.jsonl"
        ) from None


def line_of(row: Row) -> str:
    """Return a row as one line of JSON, with its end."""
    return _encoded(row._asdict()) + "\n"


def row_of(values: Mapping[str, Any]) -> Row:
    """Return the row that a line or a row of a table is.

    Raises:
        ValueError: it is none.
    """
    try:
        return Row(
            source=_text(values["source"]),
            size=None if values.get("size") is None else int(values["size"]),
            version=_text(values.get("version") or ""),
            settings=sys.intern(_text(values.get("settings") or "")),
            weights=sys.intern(_text(values.get("weights") or "")),
            output=_text(values.get("output") or ""),
            status=RowStatus(values["status"]),
            seconds=None if values.get("seconds") is None else float(values["seconds"]),
            error=_text(values.get("error") or ""),
            warnings=tuple(map(_text, values.get("warnings") or ())),
            attempts=int(values.get("attempts") or 0),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no row of a manifest: {error}") from error


def read(path: Path) -> Iterator[Row | None]:
    """Yield the rows of a file as they were written; None for a line that is no row.

    Of several rows with one source the last one counts.

    Raises:
        InputError: the file cannot be read.
        UsageError: it is Parquet, and pyarrow is not installed.
    """
    try:
        yield from _read_parquet(path) if format_of(path) == PARQUET else _read_lines(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_lines(path: Path) -> Iterator[Row | None]:
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                values = json.loads(line)
                yield row_of(values) if isinstance(values, dict) else None
            except (ValueError, RecursionError):
                yield None


def _read_parquet(path: Path) -> Iterator[Row | None]:
    parquet = _pyarrow()[1]
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                yield from map(row_of, batch.to_pylist())
    except ValueError as error:  # pyarrow's own errors among them
        raise InputError(f"{path}: is no manifest: {error}") from error


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace a file by one with these rows, at once.

    Raises:
        OutputError: it cannot be written.
        UsageError: it is Parquet, and pyarrow is not installed.
    """
    if format_of(path) == JSON_LINES:
        with open_atomically(path, overwrite=True) as file:
            file.writelines(line_of(row).encode() for row in rows)
        return
    arrow, parquet = _pyarrow()
    schema = _schema(arrow)
    with (
        open_atomically(path, overwrite=True) as file,
        parquet.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for group in _groups(rows):
            columns = dict(zip(Row._fields, map(list, zip(*group, strict=True)), strict=True))
            writer.write_table(arrow.table(columns, schema=schema))


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROWS_AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _schema(arrow: Any) -> Any:
    kinds = {
        "size": arrow.int64(),
        "seconds": arrow.float64(),
        "warnings": arrow.list_(arrow.string()),
        "attempts": arrow.int32(),
    }
    return arrow.schema([(name, kinds.get(name, arrow.string())) for name in Row._fields])


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "manifests in Parquet need pyarrow: pip install 'imrestore[parquet]'; or use .jsonl"
        ) from error
    return pyarrow, parquet


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
