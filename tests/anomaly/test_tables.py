"""Tables of an inspection: what a spreadsheet and a data frame make of them."""

import csv
import io
from typing import Any

import pytest

from restore.anomaly.records import Record
from restore.anomaly.tables import as_parquet, parts_csv, regions_csv

REGION = {"left": 20, "top": 12, "width": 10, "height": 8, "area": 80, "peak": 2.0}
PART: dict[str, Any] = {
    "source": "in/a.png", "verdict": "defective", "score": 2.0, "relative_score": 4.0,
    "threshold": 0.5, "model": "dark", "weights": "0123456789abcdef", "width": 64, "height": 48,
    "region_count": 1, "largest_area": 80, "peak_at": [24, 15], "regions": [REGION],
    "map": "maps/a.tif", "mask": "masks/a.png", "overlay": "overlays/a.png",
    "reconstruction": "reconstructions/a.png",
}  # fmt: skip
PLACED = {
    "registered": True, "shift_x": 3.0, "shift_y": -4.5, "angle": 0.5, "correlation": 0.9,
    "unseen": 0.05, "min_area": 9, "small_regions": 2,
}  # fmt: skip
FAILED = {"source": "b.png", "verdict": "failed", "error": "b.png: is not a picture"}


def record(**changes: Any) -> Record:
    return Record.from_mapping(PART | changes)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_texts_are_no_formulas_in_a_spreadsheet_and_numbers_stay_numbers() -> None:
    names = ["=1+1.png", "+a.png", "-a.png", "@a.png", "\ta.png", "a=b.png"]
    records = [record(source=name) for name in names]
    expected = [f"'{name}" for name in names[:-1]] + ["a=b.png"]
    for table in (parts_csv(records), regions_csv(records)):
        assert [row["source"] for row in rows(table)] == expected
    assert {row["score"] for row in rows(parts_csv(records))} == {"2.0"}


def test_a_region_has_a_row_and_no_cell_is_too_long() -> None:
    many = [REGION | {"left": index, "peak": 2.0 - index / 1000} for index in range(1000)]
    odd = record(regions=many, region_count=1200, source="=" + 40_000 * "a")
    parts, regions = parts_csv([odd]), regions_csv([odd, Record.from_mapping(FAILED)])
    assert [row["regions"] for row in rows(parts)] == ["1200"]
    found = rows(regions)
    assert [(row["region"], row["left"]) for row in found[:2]] == [("1", "0"), ("2", "1")]
    assert len(found) == 1000
    for row in rows(parts) + found:
        assert max(map(len, row.values())) <= 32_767
        assert row["source"].startswith("'=aaa")


def test_where_a_part_lies_stands_in_its_row() -> None:
    row, still, failed = rows(parts_csv([record(**PLACED), record(), Record.from_mapping(FAILED)]))
    assert {key: row[key] for key in PLACED} == {key: str(value) for key, value in PLACED.items()}
    assert (still["registered"], still["small_regions"]) == ("", "")
    assert (failed["error"], failed["regions"]) == ("b.png: is not a picture", "")


def test_a_data_frame_gets_types_and_boxes() -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = as_parquet([record(**PLACED), Record.from_mapping(FAILED), record(source="\udcff.png")])
    table = parquet.read_table(io.BytesIO(data)).to_pylist()
    assert table[0]["boxes"] == [REGION]
    assert (table[0]["score"], table[0]["registered"], table[0]["regions"]) == (2.0, True, 1)
    assert (table[1]["verdict"], table[1]["score"], table[1]["boxes"]) == ("failed", None, None)
    assert table[2]["source"] == "\\udcff.png"
