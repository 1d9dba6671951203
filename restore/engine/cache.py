"""Networks as OpenVINO reads them, kept in the user's cache folder.

An entry is one file: a checksum, the network's traits as JSON, and the model. It is named by the
content of the weights, so that it never needs to be invalidated; one that is damaged counts as
absent and is written anew.
"""

import hashlib
import json
import os
import struct
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from restore.engine.lane import Traits
from restore.errors import OutputError
from restore.files import remove_stale_parts, write_atomically

__all__ = ["ExportedNetwork", "cache_folder", "load_network", "store_network"]

_SUFFIX = ".network"
_MOST_ENTRIES = 32
_LENGTHS = struct.Struct("<QQ")


@dataclass(frozen=True)
class ExportedNetwork:
    """A network in OpenVINO's own format.

    Attributes:
        traits: what must be known to feed it.
        graph: its layers, as XML.
        tensors: its parameters.
    """

    traits: Traits
    graph: bytes
    tensors: bytes


def cache_folder() -> Path:
    """Return the folder in which this user's programs keep what they can make again.

    Raises:
        RuntimeError: this user has no home, and no variable names a folder.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "imrestore"


def load_network(name: str) -> ExportedNetwork | None:
    """Return the entry ``name``, or None if there is none that is whole."""
    try:
        path = cache_folder() / f"{name}{_SUFFIX}"
        data = path.read_bytes()
        os.utime(path)  # so that what is in use is not taken for old
    except (OSError, RuntimeError):
        return None
    checksum, body = data[:32], memoryview(data)[32:]
    if hashlib.sha256(body).digest() != checksum:
        return None
    traits_size, graph_size = _LENGTHS.unpack_from(body)
    body = body[_LENGTHS.size :]
    graph_end = traits_size + graph_size
    return ExportedNetwork(
        traits=Traits(**json.loads(bytes(body[:traits_size]))),
        graph=bytes(body[traits_size:graph_end]),
        tensors=bytes(body[graph_end:]),
    )


def store_network(name: str, network: ExportedNetwork) -> None:
    """Keep an entry, and no more than 32 in all; where the folder cannot be written, do nothing."""
    traits = json.dumps(asdict(network.traits)).encode()
    lengths = _LENGTHS.pack(len(traits), len(network.graph))
    body = b"".join((lengths, traits, network.graph, network.tensors))
    with suppress(OSError, RuntimeError, OutputError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(folder)
        parts = (hashlib.sha256(body).digest(), body)
        write_atomically(folder / f"{name}{_SUFFIX}", parts, overwrite=True)
        entries = sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for path in entries[:-_MOST_ENTRIES]:
            path.unlink(missing_ok=True)
