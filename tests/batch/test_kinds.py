"""RAW files from standard input."""

import os
import tempfile
from pathlib import Path

import pytest

from restore.batch import kinds
from restore.batch.kinds import RAW_FILES
from restore.errors import InputError
from restore.scratch import scratch_folder


@pytest.mark.skipif(os.name != "posix", reason="there are no locks")
def test_standard_input_is_kept_where_no_other_run_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, name: str) -> bytes:
        os.utime(path.parent, (1000, 1000))
        with scratch_folder():
            return path.read_bytes() + name.encode()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(kinds, "read_raw", read)
    assert RAW_FILES.read(b"RAW of ") == b"RAW of standard input"
    assert list(tmp_path.iterdir()) == []


def test_without_room_on_the_disk_standard_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(InputError, match=r"standard input: cannot be kept on disk: .*TMPDIR"):
        RAW_FILES.read(b"RAW")
