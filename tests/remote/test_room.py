"""Room on disk is bounded, and nobody waits for ever."""

import threading
from collections import namedtuple
from pathlib import Path

import pytest

from restore.errors import InputError
from restore.remote import room as module
from restore.remote.mount import Mount
from restore.remote.room import Full, Room
from restore.remote.store import Entry, Grow


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


def test_a_file_of_unknown_size_counts_as_it_comes(tmp_path: Path) -> None:
    room = Room(tmp_path, limit=100)
    room.take(tmp_path / "a", 40, "a")
    room.take(tmp_path / "b", 0, "b")
    room.grow(tmp_path / "b", 50, "b", is_all=False)
    with pytest.raises(Full) as full:
        room.grow(tmp_path / "b", 70, "b", is_all=True)
    assert full.value.size == 70
    with pytest.raises(Full) as full:
        room.grow(tmp_path / "b", 70, "b", is_all=False)
    assert full.value.size == 100, "nobody knows how much more will come: it comes alone"
    room.give_back(tmp_path / "a")
    room.grow(tmp_path / "b", 70, "b", is_all=False)
    with pytest.raises(InputError, match=r"b: takes more than 101 bytes, and .* has room for 100;"):
        room.grow(tmp_path / "b", 101, "b", is_all=False)


class Web:
    """A server that states no sizes in its listing, and in its answers as it is told."""

    def __init__(self, *, states: bool) -> None:
        self.states, self.asked = states, 0

    def look(self, _key: str) -> Entry:
        return Entry(None)

    def fetch(self, _key: str, _entry: Entry, path: Path, grow: Grow) -> None:
        self.asked += 1
        for size in (70,) if self.states else (30, 60, 70):
            grow(size, self.states)
        path.write_bytes(bytes(70))


@pytest.mark.parametrize("states", [True, False])
@pytest.mark.parametrize("waits", [True, False])
def test_what_finds_no_room_on_its_way_comes_again(
    tmp_path: Path, states: bool, waits: bool
) -> None:
    room, web = Room(tmp_path, limit=100), Web(states=states)
    mount = Mount(tmp_path / "web", "http://", web, room)  # type: ignore[arg-type]
    room.take(tmp_path / "other", 60, "other")
    timer = threading.Timer(0.05, room.give_back, [tmp_path / "other"])
    timer.start()
    mount.fetch(tmp_path / "web" / "a.png", waits=waits)
    timer.join()
    assert web.asked == (2 if waits else 1)
    assert (tmp_path / "web" / "a.png").stat().st_size == 70
    mount.release(tmp_path / "web" / "a.png")
    room.take(tmp_path / "c", 100, "c")
