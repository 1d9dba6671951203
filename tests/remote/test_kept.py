"""What a command makes at a URL is sent when it ends, and never lost."""

import re
from pathlib import Path
from typing import Any

import pytest

from restore.errors import OutputError
from restore.remote.url_paths import url_paths
from restore.remote.urls import as_url


def test_what_cannot_be_sent_stays_on_disk(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    urls = [as_url(f"{bucket.url}/{name}") for name in ("a/mine.safetensors", "b/run.jsonl")]
    with url_paths() as paths:
        for url in urls:
            assert url is not None
            paths.kept_path(url).write_text("hours of work")
        bucket.server.refused += [("/a/mine", "403")]
        with pytest.raises(OutputError, match="it is kept as") as caught:
            paths.send_changes()
    assert str(caught.value).startswith(f"{bucket.url}/a/mine.safetensors: may not be written")
    assert bucket.get("b/run.jsonl") == b"hours of work"
    (where,) = re.findall(r"kept as (\S+)", str(caught.value))
    assert Path(where).read_text() == "hours of work"
    assert [each.name for each in tmp_path.iterdir()] == [Path(where).parent.name]
