"""The records of an inspection as tables: CSV for spreadsheets, Parquet for data frames."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from restore.anomaly.records import Record

__all__ = ["as_parquet", "can_write_parquet", "parts_csv", "regions_csv"]

_NUMBERS = (
    "score", "relative_score", "threshold", "review_threshold", "familiarity", "familiarity_limit",
    "shift_x", "shift_y", "angle", "correlation", "unseen",
)  # fmt: skip
_COUNTS = ("width", "height", "regions", "largest_area", "min_area", "small_regions")
_COLUMNS = (
    "source", "verdict", "reason", *_NUMBERS[:6], "model", *_COUNTS, "registered", *_NUMBERS[6:],
    "map", "mask", "overlay", "reconstruction", "moved_to", "remark", "error",
)  # fmt: skip
_REGION_COLUMNS = ("source", "region", "left", "top", "width", "height", "area", "peak")
_FORMULA_STARTS = tuple("=+-@\t\r\n")
_LONGEST_CELL = 32_767
"""Characters that a cell of a spreadsheet holds."""


def parts_csv(records: Iterable[Record]) -> str:
    """Return a table with a line per picture; its regions are counted, see ``regions_csv``.

    What is not known is left empty. A text that a spreadsheet would take for a formula begins with
    an apostrophe, and one longer than a cell is cut.
    """
    return _csv(_COLUMNS, (_values(record) for record in records))


def regions_csv(records: Iterable[Record]) -> str:
    """Return a table with a line per region, of each picture the highest first."""
    return _csv(_REGION_COLUMNS, _region_rows(records))


def can_write_parquet() -> bool:
    """Whether the package pyarrow is installed."""
    return find_spec("pyarrow") is not None


def as_parquet(records: Sequence[Record]) -> bytes:
    """Return the table of ``parts_csv`` as Parquet, with the regions as a list ``boxes``.

    Texts are as they are: nothing takes them for formulas.
    """
    import pyarrow
    from pyarrow import parquet

    box = pyarrow.struct(
        [(key, pyarrow.int64()) for key in _REGION_COLUMNS[2:-1]] + [("peak", pyarrow.float64())]
    )
    kinds = dict.fromkeys(_NUMBERS, pyarrow.float64()) | dict.fromkeys(_COUNTS, pyarrow.int64())
    kinds |= {"registered": pyarrow.bool_()}
    columns = [(key, kinds.get(key, pyarrow.string())) for key in _COLUMNS]
    schema = pyarrow.schema([*columns, ("boxes", pyarrow.list_(box))])
    rows = [
        {key: _text(value) for key, value in _values(record).items()}
        | {"boxes": record.as_mapping().get("regions")}
        for record in records
    ]
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), file)
    return file.getvalue()


def _values(record: Record) -> dict[str, Any]:
    values = record.as_mapping()
    if not record.error:
        values["regions"] = values["region_count"]
    return {key: values.get(key) for key in _COLUMNS}


def _region_rows(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for record in records:
        regions: Any = record.as_mapping().get("regions") or ()
        for number, region in enumerate(regions, 1):
            yield {"source": record.source, "region": number, **region}


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = f"'{value}" if value.startswith(_FORMULA_STARTS) else value
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 4]} ..."


def _text(value: object) -> object:
    """Return a text without the surrogates of file names that are no UTF-8."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return value
