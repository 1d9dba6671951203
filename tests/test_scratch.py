"""Temporary folders leave nothing behind."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import pytest

from restore import scratch
from restore.errors import OutputError
from restore.scratch import scratch_folder

KILLED = """
import os, signal
from restore.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert gettempdir() == str(folder)
    return folder


@pytest.mark.skipif(os.name != "posix", reason="there are no locks")
def test_the_next_run_removes_what_a_killed_one_left(temporary: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED], check=False, stdout=subprocess.DEVNULL)
    (temporary / "imrestore-fresh").mkdir()
    (temporary / "imrestore-old").mkdir()
    os.utime(temporary / "imrestore-old", (1000, 1000))
    assert len(list(temporary.iterdir())) == 3
    with scratch_folder() as first, scratch_folder() as second:
        names = {path.name for path in temporary.iterdir()}
        assert names == {"imrestore-fresh", first.name, second.name}
    assert [path.name for path in temporary.iterdir()] == ["imrestore-fresh"]


@pytest.mark.parametrize("fail", [shutil.rmtree, os.listdir])
def test_no_room_is_said_in_one_line(temporary: Path, fail: Callable[[Path], object]) -> None:
    with pytest.raises(OutputError, match=r"cannot be written: .*TMPDIR"), scratch_folder() as made:
        fail(made / "nowhere")
    assert list(temporary.iterdir()) == []


def test_no_temporary_folder_at_all_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(scratch, "gettempdir", none)
    with pytest.raises(OutputError, match="No usable temporary directory"), scratch_folder():
        pass
