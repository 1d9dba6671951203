"""What killed runs leave behind, and names that are too long."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from restore.errors import UsageError
from restore.files import check_name, remove_stale_parts, sole_use, write_atomically

WRITER = """
import sys, time
from pathlib import Path
from restore.files import open_atomically
with open_atomically(Path(sys.argv[1])):
    print("writing", flush=True)
    time.sleep(60)
"""


@contextmanager
def writer(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is in the middle of writing ``path``."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def parts_in(folder: Path) -> list[Path]:
    return list(folder.glob(".imrestore-*.part"))


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_parts_of_killed_runs_go_at_once_and_parts_in_use_stay(tmp_path: Path) -> None:
    with writer(tmp_path / "a.png") as process:
        (part,) = parts_in(tmp_path)
        long_ago = time.time() - 7200
        os.utime(part, (long_ago, long_ago))  # a slow writer
        remove_stale_parts(tmp_path)
        assert parts_in(tmp_path) == [part]
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert parts_in(tmp_path) == [part]
        remove_stale_parts(tmp_path)
    assert parts_in(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_writing_removes_what_killed_runs_left_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.files._swept", set())
    with writer(tmp_path / "a.png"):
        pass
    assert parts_in(tmp_path)
    write_atomically(tmp_path / "b.png", b"pixels")
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_parts_of_other_machines_may_be_in_use_for_an_hour(tmp_path: Path) -> None:
    """Locks of other machines are not seen on every shared drive."""
    young, old = (tmp_path / f".imrestore-0badcafe-{name}.part" for name in ("young", "old"))
    users = tmp_path / "old.png"
    for path in (young, old, users):
        path.write_bytes(b"half of a picture")
    two_hours_ago = time.time() - 7200
    for path in (old, users):
        os.utime(path, (two_hours_ago, two_hours_ago))
    remove_stale_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {young.name, "old.png"}
    remove_stale_parts(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_what_only_has_the_name_of_a_part_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".imrestore-pipe.part")
    (tmp_path / ".imrestore-link.part").symlink_to("/dev/zero")
    remove_stale_parts(tmp_path)
    assert len(parts_in(tmp_path)) == 2


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    path.chmod(0o640)
    write_atomically(path, b"after", overwrite=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o640)


@pytest.mark.skipif(os.name == "nt", reason="counts characters")
def test_names_are_measured_in_bytes_against_the_limit_of_their_folder(tmp_path: Path) -> None:
    limit = os.pathconf(tmp_path, "PC_NAME_MAX")
    check_name(tmp_path / "to be made" / ("a" * limit))
    with pytest.raises(UsageError, match="too long by 1: a name has at most"):
        check_name(tmp_path / ("ü" * (limit // 2) + "aa"))


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_what_one_run_uses_no_other_may_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    with sole_use(tmp_path, "results"):
        with (
            pytest.raises(UsageError, match="is written by another run"),
            sole_use(tmp_path, "results"),
        ):
            pass
        with sole_use(tmp_path, "results-1-of-2"):
            pass
        remove_stale_parts(tmp_path)
        assert len(parts_in(tmp_path)) == 1
    with sole_use(tmp_path, "results"):
        pass
    assert not parts_in(tmp_path)


USER = """
import sys, time
from pathlib import Path
from restore.files import sole_use
with sole_use(Path(sys.argv[1]), "mine"):
    print("in use", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_what_a_killed_run_used_alone_is_removed_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", USER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        remove_stale_parts(tmp_path)
        assert len(parts_in(tmp_path)) == 1
        process.kill()
        process.wait(10)
    assert len(parts_in(tmp_path)) == 1
    remove_stale_parts(tmp_path)
    assert parts_in(tmp_path) == []
