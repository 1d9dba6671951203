"""What a command makes at a URL is sent, in the background or when it ends, and never lost."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restore.errors import OutputError, UsageError
from restore.remote.paths import send_soon
from restore.remote.url_paths import UrlPaths, url_paths
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


@pytest.fixture
def training(bucket: Any) -> Iterator[tuple[UrlPaths, Path]]:
    """The weight file of a training, in a bucket that holds files of a stopped run."""
    for name in ("mine.checkpoint", "mine.history.csv", "other.checkpoint"):
        bucket.put(f"w/{name}", b"before")
    url = as_url(f"{bucket.url}/w/mine.safetensors")
    assert url
    with url_paths() as paths:
        yield paths, paths.kept_path(url)


def _sent(paths: UrlPaths, checkpoint: Path) -> None:
    """Have a checkpoint sent as a training does, and wait for it."""
    send_soon(checkpoint)
    for kept in paths._kept:
        while kept._thread is not None:
            time.sleep(0.01)


def test_a_checkpoint_is_sent_while_the_command_goes_on(
    bucket: Any, training: tuple[UrlPaths, Path]
) -> None:
    paths, output = training
    checkpoint = output.with_name("mine.checkpoint")
    assert checkpoint.read_bytes() == b"before"
    assert not output.with_name("other.checkpoint").exists()
    checkpoint.write_bytes(b"step 100")
    output.with_name("mine.history.csv").write_bytes(b"rows")
    bucket.server.requests.clear()
    _sent(paths, checkpoint)
    _sent(paths, checkpoint)
    sent = [each for each in bucket.server.requests if each.startswith("PUT")]
    assert [each.rpartition("/")[2] for each in sent] == ["mine.history.csv", "mine.checkpoint"]
    assert bucket.get("w/mine.checkpoint") == b"step 100"
    assert sorted(each.name for each in output.parent.iterdir()) == [
        "mine.checkpoint",
        "mine.history.csv",
    ]


def test_what_is_removed_on_disk_is_removed_from_the_store_when_all_is_sent(
    bucket: Any, training: tuple[UrlPaths, Path]
) -> None:
    paths, output = training
    output.write_bytes(b"weights")
    event = output.parent / "mine.tensorboard" / "events"
    event.parent.mkdir()
    event.write_bytes(b"event")
    output.with_name("mine.checkpoint").unlink()
    bucket.server.refused += [("/w/mine.safetensors", "403")]
    with pytest.raises(OutputError, match="it is kept as"):
        paths.send_changes()
    assert bucket.get("w/mine.checkpoint") == b"before"
    bucket.server.refused.clear()
    url = as_url(f"{bucket.url}/w/mine.safetensors")
    assert url
    output = paths.kept_path(url)  # which fetches what is there
    output.write_bytes(b"weights")
    output.with_name("mine.checkpoint").unlink()
    paths.send_changes()
    assert bucket.keys() == [
        "w/mine.history.csv",
        "w/mine.safetensors",
        "w/mine.tensorboard/events",
        "w/other.checkpoint",
    ]


def test_a_checkpoint_that_does_not_go_is_warned_of_and_goes_later(
    bucket: Any, training: tuple[UrlPaths, Path], caplog: pytest.LogCaptureFixture
) -> None:
    paths, output = training
    checkpoint = output.with_name("mine.checkpoint")
    checkpoint.write_bytes(b"step 100")
    bucket.server.refused += [("PUT", "403")]
    _sent(paths, checkpoint)
    assert "mine.checkpoint: may not be written" in caplog.text
    assert "tried again with the next one" in caplog.text
    assert bucket.get("w/mine.checkpoint") == b"before"
    bucket.server.refused.clear()
    paths.send_changes()
    assert bucket.get("w/mine.checkpoint") == b"step 100"


def test_work_is_kept_when_credentials_are_gone_at_its_end(
    training: tuple[UrlPaths, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths, output = training
    output.write_bytes(b"hours of work")

    def push(*_: object, **__: object) -> None:
        raise UsageError("s3://b/w: no credentials")

    monkeypatch.setattr("restore.remote.store.ObjectStore.push", push)
    with pytest.raises(OutputError, match="no credentials; it is kept as"):
        paths.send_changes()
    assert [each.read_bytes() for each in tmp_path.rglob("*.safetensors")] == [b"hours of work"]
