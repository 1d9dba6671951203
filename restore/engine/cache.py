"""Networks in OpenVINO's format, kept in the user's cache folder.

An entry is code that will run: only files that this user wrote are opened, in a folder that only
this user may enter.
"""

import hashlib
import json
import os
import stat
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from restore.engine.lane import Traits
from restore.errors import OutputError
from restore.files import remove_stale_parts, write_atomically
from restore.scratch import is_own

__all__ = ["ExportedNetwork", "cache_folder", "load_network", "store_network"]

_SUFFIX = ".network"
_MOST_ENTRIES = 32
_LARGEST_ENTRY = 1 << 30
_CHECKSUM_BYTES = 32
_LENGTHS = struct.Struct("<QQ")
_PRIVATE = 0o700


@dataclass(frozen=True)
class ExportedNetwork:
    """A network in OpenVINO's own format.

    Attributes:
        traits: properties of the network.
        graph: layers, as XML.
        tensors: parameters, as the bytes of OpenVINO's ``.bin`` file.
    """

    traits: Traits
    graph: bytes
    tensors: bytes


def cache_folder() -> Path:
    """Return this program's folder in the user's cache directory.

    Raises:
        RuntimeError: the user has no home directory, and no variable names a cache directory.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        # The specification has relative paths ignored: they would be folders of other people.
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = named if os.path.isabs(named) else Path.home() / ".cache"
    return Path(base) / "imrestore"


def load_network(name: str) -> ExportedNetwork | None:
    """Return the cache entry ``name``, or None if it is missing, damaged or not this user's."""
    try:
        folder = cache_folder()
        _make_private(folder)
        return _unpacked(name, _own_bytes(folder / f"{name}{_SUFFIX}"))
    except (OSError, RuntimeError, TypeError, ValueError, struct.error):
        return None


def store_network(name: str, network: ExportedNetwork) -> None:
    """Store a cache entry, keeping the 32 used last; do nothing if the folder is not writable."""
    traits = json.dumps(asdict(network.traits)).encode()
    lengths = _LENGTHS.pack(len(traits), len(network.graph))
    body = b"".join((lengths, traits, network.graph, network.tensors))
    with suppress(OSError, RuntimeError, ValueError, OutputError):
        folder = cache_folder()
        folder.mkdir(_PRIVATE, parents=True, exist_ok=True)
        _make_private(folder)
        remove_stale_parts(folder)
        write_atomically(folder / f"{name}{_SUFFIX}", (_checksum(name, body), body), overwrite=True)
        entries = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.lstat().st_mtime)
        for path in entries[:-_MOST_ENTRIES]:
            path.unlink(missing_ok=True)


def _checksum(name: str, body: bytes | memoryview) -> bytes:
    """Return the checksum of an entry, which is no other network's under this name."""
    whole = hashlib.sha256(name.encode())
    whole.update(body)
    return whole.digest()


def _unpacked(name: str, data: bytes) -> ExportedNetwork:
    checksum, body = data[:_CHECKSUM_BYTES], memoryview(data)[_CHECKSUM_BYTES:]
    if _checksum(name, body) != checksum:
        raise ValueError("damaged")
    traits_size, graph_size = _LENGTHS.unpack_from(body)
    body = body[_LENGTHS.size :]
    graph_end = traits_size + graph_size
    traits = Traits(**json.loads(bytes(body[:traits_size])))
    if not all(_is_count(value, field) for field, value in asdict(traits).items()):
        raise ValueError("impossible traits")
    return ExportedNetwork(traits, bytes(body[traits_size:graph_end]), bytes(body[graph_end:]))


def _is_count(value: Any, field: str) -> bool:
    if value is None:
        return field == "window"
    return type(value) is int and value >= (0 if field == "halo" else 1)


def _make_private(folder: Path) -> None:
    """Let nobody else into the cache folder.

    Raises:
        ValueError: it belongs to another user.
        OSError: there is none.
    """
    status = folder.stat()
    if not is_own(status):
        raise ValueError("belongs to another user")
    if os.name == "posix" and stat.S_IMODE(status.st_mode) != _PRIVATE:
        folder.chmod(_PRIVATE)


def _own_bytes(path: Path) -> bytes:
    """Return the content of a regular file of this user, and mark it as used."""
    # Neither a link is followed, nor does opening a pipe wait for its other end.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or not is_own(status):
            raise ValueError("not a file of this user")
        if status.st_size > _LARGEST_ENTRY:
            raise ValueError("too large")
        with suppress(OSError):
            os.utime(path)  # so that entries in use are not evicted
        return file.read()
