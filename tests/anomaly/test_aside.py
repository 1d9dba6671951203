"""Defective parts put aside: nothing is lost, nothing overwritten."""

import errno
import os
from pathlib import Path

import pytest

from restore.anomaly.aside import Aside
from restore.anomaly.records import Record
from restore.anomaly.verdict import Verdict
from restore.errors import InputError, OutputError


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(b"part")
    return Aside(tmp_path / "bad", [tmp_path / "in"], recursive=False, report=tmp_path / "r")


def no_links(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_a_picture_is_moved_across_file_systems(
    aside: Aside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in/a.png"
    os.utime(source, (1e9, 1e9))
    monkeypatch.setattr("restore.anomaly.aside.os.link", no_links)
    monkeypatch.setattr("restore.files.os.link", no_links)
    assert aside.move(source, tmp_path / "bad/a.png") == tmp_path / "bad/a.png"
    assert not source.exists()
    assert (tmp_path / "bad/a.png").read_bytes() == b"part"
    assert (tmp_path / "bad/a.png").stat().st_mtime == 1e9


@pytest.mark.parametrize("is_far", [False, True])
def test_a_name_that_was_taken_meanwhile_is_not_overwritten(
    aside: Aside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_far: bool
) -> None:
    if is_far:
        monkeypatch.setattr("restore.anomaly.aside.os.link", no_links)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.png").write_bytes(b"other")
    moved = aside.move(tmp_path / "in/a.png", tmp_path / "bad/a.png")
    assert moved == tmp_path / "bad/a-2.png"
    assert (tmp_path / "bad/a.png").read_bytes() == b"other"
    assert moved.read_bytes() == b"part"


def test_a_full_disk_leaves_the_picture_where_it_is(
    aside: Aside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("restore.anomaly.aside.os.link", no_links)
    monkeypatch.setattr("restore.anomaly.aside.shutil.copyfileobj", full)
    with pytest.raises(OutputError, match="No space left"):
        aside.move(tmp_path / "in/a.png", tmp_path / "bad/a.png")
    assert (tmp_path / "in/a.png").read_bytes() == b"part"
    assert list((tmp_path / "bad").iterdir()) == []


def test_a_link_is_not_moved(aside: Aside, tmp_path: Path) -> None:
    (tmp_path / "in/link.png").symlink_to("a.png")
    with pytest.raises(InputError, match="is a link"):
        aside.move(tmp_path / "in/link.png", tmp_path / "bad/link.png")
    assert (tmp_path / "in/link.png").is_symlink()


@pytest.mark.parametrize(
    ("there", "is_left", "told"),
    [(None, False, 0), (b"part", False, 0), (b"another part", True, 1)],
)
def test_moves_that_were_recorded_are_ended(
    aside: Aside, tmp_path: Path, there: bytes | None, is_left: bool, told: int
) -> None:
    to = tmp_path / "bad/a.png"
    if there is not None:
        to.parent.mkdir()
        to.write_bytes(there)
    source = tmp_path / "in/a.png"
    record = Record(source=str(source), verdict=Verdict.DEFECTIVE, moved_to=str(to))
    assert len(list(aside.resume([record]))) == told
    assert source.exists() == is_left
    assert to.read_bytes() == (b"part" if there is None else there)
