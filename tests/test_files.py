"""What killed runs leave behind."""

import os
import time
from pathlib import Path

import pytest

from restore.files import remove_stale_parts, write_atomically


def _part_of_a_killed_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a file and die before it has its name."""
    before = set(folder.iterdir())
    with monkeypatch.context() as dying:
        dying.setattr("restore.files._publish", lambda *_args, **_options: None)
        dying.setattr(Path, "unlink", lambda *_args, **_options: None)
        write_atomically(folder / "a.png", b"pixels")
    (part,) = set(folder.iterdir()) - before
    return part


def test_parts_that_may_be_in_use_stay_and_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, young = (_part_of_a_killed_run(tmp_path, monkeypatch) for _ in range(2))
    users = tmp_path / "old.png"
    users.write_bytes(b"a picture")
    two_hours_ago = time.time() - 7200
    for path in (old, users):
        os.utime(path, (two_hours_ago, two_hours_ago))
    remove_stale_parts(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {young.name, "old.png"}
    remove_stale_parts(tmp_path / "nowhere")


@pytest.mark.skipif(os.name == "nt", reason="no modes")
def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    path.chmod(0o640)
    write_atomically(path, b"after", overwrite=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"after", 0o640)
