"""A folder that fills while it is watched."""

import inspect
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from restore.batch.watch import FolderWatch, _is_remote
from restore.errors import UsageError

SETTLE_S = 0.3
Watch = Callable[..., FolderWatch]


@pytest.fixture(params=["polling", "events"])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watch]:
    """Watch the folder ``in`` in both ways."""
    if request.param == "events":
        pytest.importorskip("watchfiles")
    entered: list[FolderWatch] = []

    def watch(**options: object) -> FolderWatch:
        settings = {"suffixes": (".png",), "settle_s": SETTLE_S} | options
        made = FolderWatch(
            tmp_path / "in",
            is_polled=request.param == "polling",
            **settings,  # type: ignore[arg-type]
        )
        entered.append(made.__enter__())
        return made

    (tmp_path / "in").mkdir()
    yield watch
    for each in entered:
        each.__exit__(None, None, None)


def taken(watch: FolderWatch, seconds: float, *, enough: int = 1000) -> list[str]:
    names: list[str] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and len(names) < enough:
        names += [found.name for found in watch.ready(100)]
        watch.wait(0.05)
    return names


def test_a_file_is_taken_once_when_it_has_stopped_growing(watched: Watch, tmp_path: Path) -> None:
    watch = watched()
    grown = threading.Event()

    def grow() -> None:
        with (tmp_path / "in/a.png").open("wb") as file:
            for _ in range(8):
                file.write(b"x" * 100)
                file.flush()
                time.sleep(SETTLE_S / 3)
            grown.set()

    writer = threading.Thread(target=grow)
    writer.start()
    first = taken(watch, 20, enough=1)
    was_grown = grown.is_set()
    writer.join()
    assert first == ["a.png"]
    assert was_grown, "it was taken while it was being written"
    assert taken(watch, 3 * SETTLE_S) == []


def test_a_file_that_was_moved_in_is_taken_at_once(watched: Watch, tmp_path: Path) -> None:
    watch = watched(settle_s=30.0)
    whole = tmp_path / "whole.png"
    whole.write_bytes(b"x")
    os.utime(whole, (time.time() - 3600,) * 2)
    assert taken(watch, 0.2) == []
    whole.rename(tmp_path / "in/whole.png")
    assert taken(watch, 10, enough=1) == ["whole.png"]


def test_what_changes_after_it_was_taken_is_told_and_not_taken_again(
    watched: Watch, tmp_path: Path
) -> None:
    watch = watched()
    (tmp_path / "in/a.png").write_bytes(b"x")
    assert taken(watch, 10, enough=1) == ["a.png"]
    assert watch.changed() == []
    for content in (b"other", b"another"):
        (tmp_path / "in/a.png").write_bytes(content)
        assert taken(watch, 1.5) == []
    assert watch.changed() == [tmp_path / "in/a.png"]
    assert watch.changed() == []


def test_a_name_that_was_emptied_may_come_again(watched: Watch, tmp_path: Path) -> None:
    watch = watched()
    path = tmp_path / "in/a.png"
    for content in (b"x", b"other"):
        path.write_bytes(content)
        assert taken(watch, 10, enough=1) == ["a.png"]
        path.unlink()
        watch._read()


def test_hidden_files_and_those_of_other_kinds_are_left_out(watched: Watch, tmp_path: Path) -> None:
    (tmp_path / "in/old.mov").write_bytes(b"x")
    told: list[str] = []
    watch = watched(warn=told.append)
    assert taken(watch, 0.2) == []
    for name in (".hidden.png", "a.mov", "b.gif", "c.gif", "x_compare.png"):
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "in/sub").mkdir()
    (tmp_path / "in/sub/below.png").write_bytes(b"x")
    assert taken(watch, 2.0) == []
    assert told[0] == "1 file of another kind left out: .mov 1"
    assert len(told) == 2
    assert "gif: is of another kind; left out" in told[1]


def test_a_tree_is_watched_but_for_the_results(watched: Watch, tmp_path: Path) -> None:
    (tmp_path / "in/out/deep").mkdir(parents=True)
    watch = watched(recursive=True, left_out=[tmp_path / "in/out"])
    assert taken(watch, 0.2) == []
    (tmp_path / "in/new/deep").mkdir(parents=True)
    for name in ("new/deep/a.png", "out/b.png", "out/deep/d.png", "c.png"):
        (tmp_path / "in" / name).write_bytes(b"x")
    (tmp_path / "in/new/loop").symlink_to(tmp_path / "in")
    assert sorted(taken(watch, 20, enough=2)) == ["c.png", "new/deep/a.png"]
    assert taken(watch, 1.0) == []


def test_many_files_come_in_rounds_in_the_order_of_their_time(
    watched: Watch, tmp_path: Path
) -> None:
    for index in range(300):
        path = tmp_path / f"in/{999 - index}.png"
        path.write_bytes(b"x")
        os.utime(path, (1e9 + index, 1e9 + index))
    watch = watched()
    rounds = [len(watch.ready(128)) for _ in range(4)]
    assert rounds == [128, 128, 44, 0]
    assert watch.is_idle


def test_a_folder_that_goes_and_comes_back_is_told(watched: Watch, tmp_path: Path) -> None:
    told: list[str] = []
    watch = watched(warn=told.append)
    assert taken(watch, 0.2) == []
    (tmp_path / "in").rename(tmp_path / "away")
    watch._read()
    watch._read()
    assert len(told) == 1
    assert "waiting for it" in told[0]
    (tmp_path / "away").rename(tmp_path / "in")
    (tmp_path / "in/a.png").write_bytes(b"x")
    assert taken(watch, 20, enough=1) == ["a.png"]
    assert told[1].endswith("is back")


def test_what_was_taken_and_is_gone_takes_no_memory(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    watch = FolderWatch(folder, suffixes=(".png",), settle_s=0.0, is_polled=True)
    # What other threads of the test run allocate does not count.
    own = tracemalloc.Filter(inclusive=True, filename_pattern=inspect.getfile(FolderWatch))
    with watch:
        tracemalloc.start()
        sizes = []
        for round_ in range(6):
            for index in range(200):
                (folder / f"{round_}-{index}.png").write_bytes(b"x")
            watch._read()
            assert len(watch.ready(200)) == 200
            for path in folder.iterdir():
                path.unlink()
            watch._read()
            traces = tracemalloc.take_snapshot().filter_traces([own]).statistics("filename")
            sizes.append(sum(each.size for each in traces))
        tracemalloc.stop()
    assert sizes[-1] - sizes[1] < 20_000


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder to watch"):
        FolderWatch(tmp_path / "nowhere", suffixes=(".png",), settle_s=1.0)


def test_network_drives_are_known_from_the_mounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    share = tmp_path / "my share"
    (share / "in").mkdir(parents=True)
    escaped = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\n")
    monkeypatch.setattr("restore.batch.watch._MOUNTS", mounts)
    assert _is_remote(share / "in")
    assert not _is_remote(tmp_path)


def test_a_file_that_failed_is_taken_again_once_it_has_changed(
    watched: Watch, tmp_path: Path
) -> None:
    watch = watched()
    path = tmp_path / "in/a.png"
    path.write_bytes(b"x")
    assert taken(watch, 10, enough=1) == ["a.png"]
    watch.failed(path)
    assert taken(watch, 4 * SETTLE_S) == []
    path.write_bytes(b"whole")
    watch._note(path)  # as the next reading does
    assert taken(watch, 10, enough=1) == ["a.png"]
    assert taken(watch, 4 * SETTLE_S) == []


def test_a_file_that_failed_since_it_was_gone_is_taken_when_it_is_back(
    watched: Watch, tmp_path: Path
) -> None:
    watch = watched()
    path = tmp_path / "in/a.png"
    path.write_bytes(b"x")
    assert taken(watch, 10, enough=1) == ["a.png"]
    path.rename(tmp_path / "away.png")
    watch.failed(path)
    (tmp_path / "away.png").rename(path)
    watch._note(path)
    assert taken(watch, 10, enough=1) == ["a.png"]


def test_files_for_which_another_may_follow_wait_even_if_moved_in(
    watched: Watch, tmp_path: Path
) -> None:
    watch = watched(suffixes=(".png", ".jpg"), patient=(".jpg",), settle_s=1.0)
    for name in ("a.jpg", "a.png"):
        path = tmp_path / name
        path.write_bytes(b"x")
        os.utime(path, (time.time() - 3600,) * 2)
        path.rename(tmp_path / "in" / name)
    watch._read()
    assert [found.source.name for found in watch.ready(9) if found.source] == ["a.png"]
    assert taken(watch, 10, enough=1) == ["a.jpg"]
