"""What is printed: tables, and records that every reader of JSON takes."""

import json
import math

import pytest

from imrestore.output import json_of, print_table, table_line, visible
from restore.errors import WeightsError


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["name", "size", "noise"], ["a", "10,000", ""], ["longer", "1", "-"]], "<><")
    lines = ["name      size  noise", "a       10,000", "longer       1  -"]
    assert capsys.readouterr().out.splitlines() == lines


def test_cells_wider_than_their_column_are_whole() -> None:
    assert table_line(["wide name", "1.0"], [4, 6], "<>") == "wide name     1.0"


def test_json_has_no_numbers_that_json_lacks() -> None:
    record = {"psnr": math.inf, "mean": [{"a": math.nan, "b": -math.inf}], "pair": (1.0, math.nan)}
    expected = {"psnr": None, "mean": [{"a": None, "b": None}], "pair": [1.0, None]}
    assert json.loads(json_of(record)) == expected


def test_json_is_rounded_only_where_it_is_asked_for() -> None:
    assert (
        json_of({"a": [1 / 3], "b": True, "c": 7})
        == '{"a": [0.3333333333333333], "b": true, "c": 7}'
    )
    assert (
        json_of({"a": [1 / 3], "b": True, "c": 7}, digits=4) == '{"a": [0.3333], "b": true, "c": 7}'
    )


def test_names_keep_their_blanks_and_messages_stay_on_one_line() -> None:
    for name in ("a  b.jpg", " a.jpg", "\u5199\u3000\u3000\u771f.jpg", "a\u00a0\u00a0b.jpg"):
        assert visible(name) == name
        assert str(WeightsError(name)) == name
    for text in ("first\n  second\tthird", "first\x85second\u2028 third\r\n"):
        assert visible(text) == str(WeightsError(text)) == "first second third"
    assert visible("\x1b[31mred") == "\\x1b[31mred"


def test_tables_print_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["name", "n"], ["\x1b[2Jgone", "1"]], "<>")
    assert capsys.readouterr().out.splitlines() == ["name         n", "\\x1b[2Jgone  1"]
