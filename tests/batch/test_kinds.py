"""RAW files from standard input."""

import tempfile
from pathlib import Path

import pytest

from restore.batch.kinds import RAW_FILES
from restore.errors import InputError


def test_without_room_on_the_disk_standard_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(InputError, match="standard input: cannot be kept on disk: No such file"):
        RAW_FILES.read(b"RAW")
