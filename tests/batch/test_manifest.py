"""Manifests: rows, locks, shards side by side, and what is left after a crash."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from restore.batch import rows
from restore.batch.manifest import Manifest, current
from restore.batch.rows import Row, RowStatus
from restore.errors import InputError, UsageError

DONE = Row(
    source="in/a.png",
    size=3,
    version="1",
    settings="s",
    weights="w" * 64,
    output="out/a.png",
    status=RowStatus.DONE,
    seconds=0.25,
    warnings=("a guess", "lost: much"),
    attempts=2,
)


def planned(*names: str, settings: str = "s") -> list[Row]:
    return [Row(source=name, settings=settings) for name in names]


@pytest.mark.parametrize("name", ["m.jsonl", "m.parquet"])
def test_rows_come_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with Manifest(path, "s") as manifest:
        manifest.append([*planned("in/\u00e9.png"), DONE])
    assert list(current([path])) == [*planned("in/\u00e9.png"), DONE]
    assert [each.name for each in tmp_path.iterdir()] == [name]
    with Manifest(path, "s") as manifest:
        first, second = manifest.known("in/a.png"), manifest.known("in/\u00e9.png")
        assert first is not None
        assert second is not None
        assert (first.attempts, second.status) == (2, RowStatus.PLANNED)


@pytest.mark.parametrize("name", ["m.jsonl", "m.parquet"])
def test_the_last_row_of_a_source_counts_and_is_the_only_one_at_the_end(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    with Manifest(path, "s") as manifest:
        manifest.append(planned("in/a.png", "in/b.png"))
        manifest.append([DONE])
    assert list(rows.read(path)) == [*planned("in/b.png"), DONE]


def test_a_manifest_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    rows.write(path, planned("a", settings="other"))
    before = path.read_bytes()
    with pytest.raises(UsageError, match="other settings"):
        Manifest(path, "s")
    assert path.read_bytes() == before
    with pytest.raises(UsageError, match=r"ends with \.jsonl or \.parquet"):
        Manifest(tmp_path / "m.csv", "s")
    (tmp_path / "no.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no manifest"):
        Manifest(tmp_path / "no.parquet", "s")


def test_a_file_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"source": "a.png", "verdict": "good"}\n')
    with pytest.raises(UsageError, match="is no manifest"):
        Manifest(path, "s")
    assert path.read_text() == '{"source": "a.png", "verdict": "good"}\n'


@pytest.mark.parametrize("name", ["m.jsonl", "m.parquet"])
def test_a_run_that_was_refused_leaves_no_manifest(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError), Manifest(tmp_path / name, "s"):
        raise UsageError("nothing to do")
    assert not list(tmp_path.iterdir())
    rows.write(tmp_path / name, planned("a", settings="other"))
    with pytest.raises(UsageError, match="other settings"):
        Manifest(tmp_path / name, "s")
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(os.name != "posix", reason="there are no locks")
def test_a_shard_that_was_refused_leaves_the_manifest_of_another(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with Manifest(path, "s", is_shared=True) as one:
        with pytest.raises(UsageError), Manifest(path, "s", is_shared=True):
            raise UsageError("nothing to do")
        one.append(planned("a"))
    assert list(rows.read(path)) == planned("a")


@pytest.mark.skipif(os.name != "posix", reason="there are no locks")
def test_shards_write_side_by_side_and_others_wait_their_turn(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with Manifest(path, "s", is_shared=True) as first:
        with Manifest(path, "s", is_shared=True) as second:
            first.append(planned("a"))
            second.append(planned("b"))
            with pytest.raises(UsageError, match="another run is writing it"):
                Manifest(path, "s")
        first.append([Row(source="a", settings="s", status=RowStatus.DONE)])
    assert [(row.source, row.status) for row in rows.read(path) if row] == [
        ("b", "planned"),
        ("a", "done"),
    ]


def test_a_line_that_a_killed_process_left_is_ended_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    rows.write(path, planned("a"))
    with path.open("ab") as file:
        file.write(b'{"source": "b", "sta')
    with Manifest(path, "s") as manifest:
        assert (manifest.damaged, len(manifest)) == (1, 1)
        assert manifest.known("a") is not None
        manifest.append(planned("c"))
    assert list(rows.read(path)) == planned("a", "c")


@pytest.mark.parametrize(
    "line", ["[]", "null", '{"source": 3, "status": "done"}', '{"status": "done"}', "[" * 10**5]
)
def test_lines_that_are_no_rows_are_counted(tmp_path: Path, line: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(line + "\n")
    assert list(rows.read(path)) == [None]
    damaged: Counter[Path] = Counter()
    assert list(current([path], damaged)) == []
    assert damaged == {path: 1}


WRITER = """
import sys
from pathlib import Path
from restore.batch.manifest import Manifest
from restore.batch.rows import Row, RowStatus
name = sys.argv[2]
with Manifest(Path(sys.argv[1]), "s", is_shared=True) as manifest:
    for index in range(300):
        manifest.append([Row(source=f"{name}{index}", settings="s")])
        manifest.append([Row(source=f"{name}{index}", settings="s", status=RowStatus.DONE)])
"""


@pytest.mark.skipif(os.name != "posix", reason="there are no locks")
def test_no_row_of_several_processes_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(found) == 900
    assert {row["status"] for row in found} == {"done"}
