"""Headers of safetensors files: checked before any tensor is read, without PyTorch.

A file is the header's length (eight bytes, little-endian), the header (JSON: name -> dtype, shape
and place, and text under ``__metadata__``), and the bytes of the tensors without gaps.
"""

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

__all__ = [
    "HASH_KEY",
    "MOST_TENSORS",
    "MOST_VALUES",
    "Header",
    "Incomplete",
    "StoredTensor",
    "hash_of",
    "read_header",
    "sealed",
]

HASH_KEY = "tensors_sha256"
"""Key of the metadata under which ``sealed`` stores what ``hash_of`` returns."""

_LENGTH_BYTES = 8
_LONGEST_HEADER = 1 << 20
MOST_TENSORS = 4096
MOST_VALUES = 1 << 26
"""Twice as many as the largest network of this library has, and 256 MiB in float32."""
_METADATA = "__metadata__"
_BLOCK = 1 << 20
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2,
    "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
"""Bytes per value of each dtype."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
        dtype: name of its dtype in safetensors, such as F16.
        shape: sizes of its dimensions.
        begin: offset of its first byte behind the header.
        end: offset behind its last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Incomplete(ValueError):
    """A safetensors file that has fewer bytes than its header says, or more."""


@dataclass(frozen=True)
class Header:
    """What the header of a file says.

    Attributes:
        tensors: tensors by name, in the order of their bytes.
        metadata: text by key.
        start: offset of the first tensor's bytes in the file.
    """

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    start: int


def read_header(file: BinaryIO) -> Header:
    """Read and check the header of a seekable file.

    Raises:
        Incomplete: its length is not what it says.
        ValueError: not a safetensors file, or one whose header or tensors are too large.
        OSError: the file cannot be read.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    start = _LENGTH_BYTES + length
    if size < start:
        raise ValueError("not a safetensors file, or one that is cut short")
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes; at most {_LONGEST_HEADER:,} are read")
    try:
        fields = json.loads(file.read(length))
    except (RecursionError, ValueError) as error:
        raise ValueError("a header that is not JSON") from error
    if not isinstance(fields, dict):
        raise ValueError("a header that is no JSON object")
    metadata = fields.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("metadata that are not text")
    return Header(_tensors(fields, size - start), metadata, start)


def _tensors(fields: Mapping[str, Any], data_bytes: int) -> dict[str, StoredTensor]:
    if len(fields) > MOST_TENSORS:
        raise ValueError(f"{len(fields):,} tensors; at most {MOST_TENSORS:,} are read")
    stored = {name: _tensor(name, field) for name, field in fields.items()}
    stored = dict(sorted(stored.items(), key=lambda item: (item[1].begin, item[1].end)))
    end = 0
    for name, tensor in stored.items():
        if tensor.begin != end:
            raise ValueError(f"a gap or overlap before the tensor {name}")
        end = tensor.end
    if end != data_bytes:
        raise Incomplete(f"is cut short or damaged: {data_bytes:,} bytes of tensors, not {end:,}")
    values = sum(math.prod(tensor.shape) for tensor in stored.values())
    if values > MOST_VALUES:
        raise ValueError(f"{values:,} values; at most {MOST_VALUES:,} are read")
    return stored


def _tensor(name: str, field: Any) -> StoredTensor:
    try:
        dtype, shape, (begin, end) = field["dtype"], field["shape"], field["data_offsets"]
        numbers = [*shape, begin, end]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("sizes and offsets are whole numbers")
        is_sound = end - begin == math.prod(shape) * _BYTES[dtype]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a header without dtype, shape and place of {name}") from error
    if not is_sound:
        raise ValueError(f"a place of the tensor {name} that does not suit its shape")
    return StoredTensor(dtype, tuple(shape), begin, end)


def hash_of(file: BinaryIO, header: Header) -> str:
    """Return the SHA-256 of the tensors: names, dtypes and shapes, and then all bytes.

    Raises:
        OSError: the file cannot be read.
    """
    places = [[name, each.dtype, each.shape] for name, each in header.tensors.items()]
    whole = hashlib.sha256(json.dumps(places).encode())
    file.seek(header.start)
    while block := file.read(_BLOCK):
        whole.update(block)
    return whole.hexdigest()


def sealed(data: bytes) -> bytes:
    """Return a safetensors file with the hash of its tensors in its metadata.

    The bytes of the tensors stay the same.

    Raises:
        ValueError: as ``read_header``.
    """
    file = io.BytesIO(data)
    header = read_header(file)
    fields: dict[str, Any] = {
        _METADATA: dict(sorted({**header.metadata, HASH_KEY: hash_of(file, header)}.items()))
    }
    for name, each in header.tensors.items():
        fields[name] = {
            "dtype": each.dtype, "shape": each.shape, "data_offsets": [each.begin, each.end]
        }  # fmt: skip
    encoded = json.dumps(fields, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % _LENGTH_BYTES)
    return len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded + data[header.start :]
