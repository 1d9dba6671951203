"""Room on disk is bounded, and nobody waits for ever."""

import threading
from collections import namedtuple
from pathlib import Path

import pytest

from restore.errors import InputError
from restore.remote import room as module
from restore.remote.room import Room


def test_a_file_waits_until_there_is_room(tmp_path: Path) -> None:
    room, order = Room(tmp_path, limit=100), []
    room.take(tmp_path / "a", 60, "a")

    def second() -> None:
        room.take(tmp_path / "b", 60, "b")
        order.append("b taken")

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.1)
    order.append("a given back")
    room.give_back(tmp_path / "a")
    thread.join()
    assert order == ["a given back", "b taken"]


def test_a_file_larger_than_the_bound_comes_alone(tmp_path: Path) -> None:
    room = Room(tmp_path, limit=100)
    room.take(tmp_path / "a", 1000, "a")
    room.give_back(tmp_path / "a")
    room.take(tmp_path / "b", 50, "b")
    room.take(tmp_path / "c", 1000, "c", waits=False)  # stays
    room.take(tmp_path / "d", 50, "d")


def test_what_the_disk_cannot_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(1000, 900, 100))
    with pytest.raises(InputError, match=r"s3://b/a: 500 bytes, and .* has room for 100; .*TMPDIR"):
        Room(tmp_path).take(tmp_path / "a", 500, "s3://b/a")
