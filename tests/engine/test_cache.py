"""The cache of converted networks trusts nothing that this user did not write."""

import json
import os
import shutil
import stat
import struct
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from restore.engine.cache import (
    ExportedNetwork,
    cache_folder,
    load_network,
    store_network,
)
from restore.engine.lane import Traits

NETWORK = ExportedNetwork(Traits(channels=3, halo=4, multiple=8), b"<net/>", bytes(100))
posix = pytest.mark.skipif(os.name != "posix", reason="rights and pipes of POSIX")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def entry(name: str = "net") -> Path:
    return cache_folder() / f"{name}.network"


def test_an_entry_comes_back_as_it_was_stored() -> None:
    store_network("net", NETWORK)
    assert load_network("net") == NETWORK
    assert load_network("other") is None


@posix
def test_nobody_else_may_enter_the_folder() -> None:
    store_network("net", NETWORK)
    assert stat.S_IMODE(cache_folder().stat().st_mode) == 0o700
    cache_folder().chmod(0o777)
    assert load_network("net") == NETWORK
    assert stat.S_IMODE(cache_folder().stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="XDG is Linux's")
@pytest.mark.parametrize("named", ["relative/cache", ".", ""])
def test_relative_folders_are_ignored(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache_folder() == Path.home() / ".cache" / "imrestore"


@posix
def test_links_pipes_and_folders_are_not_opened(tmp_path: Path) -> None:
    store_network("net", NETWORK)
    entry().rename(tmp_path / "elsewhere")
    entry().symlink_to(tmp_path / "elsewhere")
    os.mkfifo(entry("pipe"))
    entry("folder").mkdir()
    assert [load_network(name) for name in ("net", "pipe", "folder")] == [None] * 3


@posix
def test_files_of_other_users_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    store_network("net", NETWORK)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert load_network("net") is None


def test_an_entry_of_another_network_is_not_used() -> None:
    store_network("net", NETWORK)
    shutil.copy(entry(), entry("other"))
    assert load_network("other") is None


def packed(traits: object, graph: bytes = b"<net/>") -> bytes:
    text = json.dumps(traits).encode()
    return struct.pack("<QQ", len(text), len(graph)) + text + graph


SOUND = {"channels": 3, "halo": 4, "multiple": 8, "scale": 1, "window": None}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"short",
        struct.pack("<QQ", 1 << 62, 1 << 62),
        packed([]),
        packed({"channels": 3}),
        packed(SOUND | {"colour": 1}),
        packed(SOUND | {"halo": -1}),
        packed(SOUND | {"halo": None}),
        packed(SOUND | {"multiple": 0}),
        packed(SOUND | {"multiple": 1.5}),
        packed(SOUND | {"channels": "3"}),
    ],
)
def test_content_without_sense_is_not_used_though_its_checksum_is_right(body: bytes) -> None:
    store_network("net", NETWORK)
    entry().write_bytes(sha256(b"net" + body).digest() + body)
    assert load_network("net") is None
