"""What is a URL among the arguments, and what it names."""

from pathlib import Path

import pytest

from restore.remote.urls import Url, as_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://bucket", Url("s3", "bucket", is_folder=True)),
        ("s3://bucket/in/", Url("s3", "bucket/in", is_folder=True)),
        ("s3://bucket/a b.png", Url("s3", "bucket/a b.png")),
        ("s3:/bucket/in/a.png", Url("s3", "bucket/in/a.png")),  # as a Path has it
        ("gs://b/x?y.png", Url("gs", "b/x?y.png")),
        ("https://h.org/a.png?key=1", Url("https", "h.org/a.png", "?key=1")),
        ("zip://a/b.zip", Url("zip", "", is_folder=True, archive="a/b.zip")),
        ("zip://day/a.png::b.zip", Url("zip", "day/a.png", archive="b.zip")),
        ("s3://b/s-1.tar", Url("tar", "", is_folder=True, archive="s3://b/s-1.tar")),
    ],
)
def test_a_url_is_known_by_its_scheme(text: str, url: Url) -> None:
    assert as_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["photos", "-", "C:/photos", "s3", "s3:", "ftp://h/a.png", "a.zip", "./s3:/x", "/s3://x"],
)
def test_anything_else_is_a_path(text: str) -> None:
    assert as_url(text) is None


def test_what_lies_on_disk_is_a_path_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s3:/bucket").mkdir(parents=True)
    assert as_url("s3:/bucket") is None
    Path("a.zip").write_bytes(b"")
    assert as_url("a.zip") == Url("zip", "", is_folder=True, archive="a.zip")


def test_secrets_of_a_query_are_not_shown() -> None:
    assert str(as_url("https://h.org/a.png?signature=x")) == "https://h.org/a.png"
    assert str(as_url("https://h.org/a.zip?signature=x")) == "https://h.org/a.zip"
