"""Tables of an operator's verdicts, as the report's page exports them."""

from pathlib import Path

import pytest

from restore.anomaly.recalibrate import read_verdicts
from restore.errors import UsageError


def test_confirmed_parts_and_false_alarms_are_told_apart(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    table = tmp_path / "verdicts.csv"
    table.write_text("file,verdict\na.png,confirmed\nb.png,false alarm\n")
    assert read_verdicts(table) == ([tmp_path / "a.png"], [tmp_path / "b.png"])


@pytest.mark.parametrize("text", ["", "hello", "file\na.png\n", "a.png,confirmed\n"])
def test_what_is_no_table_of_verdicts_is_refused(tmp_path: Path, text: str) -> None:
    table = tmp_path / "verdicts.csv"
    table.write_text(text)
    with pytest.raises(UsageError, match="is no table of verdicts"):
        read_verdicts(table)
