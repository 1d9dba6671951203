"""Listings of very many keys."""

from typing import Any

import pytest

from restore.remote.url_paths import url_paths
from restore.remote.urls import as_url


@pytest.mark.parametrize("count", [2_500, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_listing_takes_one_request_a_thousand_keys(bucket: Any, count: int) -> None:
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for index in range(count):
        backend.put_object(bucket.name, f"in/{index // 100}/{index:06}.png", b"")
    bucket.server.requests.clear()
    url = as_url(f"{bucket.url}/in/")
    assert url is not None
    with url_paths() as paths:
        folder = paths.input_path(url, recursive=True)
        mount = paths.mount_of(folder)
        assert mount is not None
        found = list(mount.files(folder, recursive=True))
    assert len(found) == count
    assert found[7].relative_to(folder).as_posix() == "0/000007.png"
    assert len(bucket.server.requests) <= count / 1000 + 2


def test_results_are_listed_by_name_and_looked_at_when_they_become_inputs(bucket: Any) -> None:
    bucket.put("out/a.png", b"123")
    url = as_url(f"{bucket.url}/out/a.png")
    folder = as_url(f"{bucket.url}/out/")
    assert url is not None
    assert folder is not None
    with url_paths() as paths:
        path = paths.output_path(folder, recursive=True, is_tried=True) / "a.png"
        mount = paths.mount_of(path)
        assert mount is not None
        assert (there := mount.entry(path)) is not None
        assert there.size is None
        paths.input_path(url, recursive=False)
        assert (known := mount.entry(path)) is not None
        assert (known.size, len(known.version)) == (3, 32)


def test_keys_that_differ_by_case_are_told_apart_or_said(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("in/A/x.png", "in/a/X.png", "in/a/y.png"):
        bucket.put(key, key.encode())
    url = as_url(f"{bucket.url}/in/")
    assert url is not None
    for ignores_case, expected in (
        (False, ["A/x.png", "a/X.png", "a/y.png"]),
        (True, ["A/x.png", "a/y.png"]),
    ):
        monkeypatch.setattr(
            "restore.remote.mount.ignores_case", lambda _, is_so=ignores_case: is_so
        )
        with url_paths() as paths:
            folder = paths.input_path(url, recursive=True)
            mount = paths.mount_of(folder)
            assert mount is not None
            assert list(mount.names(folder, recursive=True)) == expected
            said = mount.strange_keys()
        assert bool(said) is ignores_case
        assert not said or said[0].startswith(f"{bucket.url}/in/a/X.png: left out")
