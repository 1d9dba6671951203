"""Sparse members of tar archives come with their holes, and are bounded."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from restore.errors import UsageError
from restore.remote.archives import open_archive


def sparse_tar(path: Path, form: str, content: bytes, size: int) -> Path:
    """Pack a file of ``size`` bytes that has ``content`` at 1 MiB, as GNU tar does."""
    source = path.with_name("a.png")
    with source.open("wb") as file:
        file.seek(1 << 20)
        file.write(content)
        file.truncate(size)
    command = ["tar", "--sparse", *form.split(), "-C", str(path.parent), "-cf", str(path), "a.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no GNU tar: {done.stderr}")
    return path


@pytest.mark.parametrize("form", ["--format=gnu", "--format=posix --sparse-version=1.0"])
def test_a_sparse_member_comes_whole(tmp_path: Path, form: str) -> None:
    content = bytes(range(256)) * 40
    archive = sparse_tar(tmp_path / "a.tar", form, content, 3 << 20)
    with tarfile.open(archive) as file:
        if file.next().sparse is None:  # type: ignore[union-attr]
            pytest.skip("this file system has no holes")
    opened = open_archive("tar", archive, "a.tar")
    opened.fetch("a.png", opened.members["a.png"], tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_a_member_of_holes_alone_is_refused(tmp_path: Path) -> None:
    archive = sparse_tar(tmp_path / "a.tar", "--format=gnu", b"few", 1 << 40)
    with pytest.raises(UsageError, match="states 1,099,511,627,776 bytes from"):
        open_archive("tar", archive, "a.tar")
