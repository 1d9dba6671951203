"""Lists of arrays in ``.npz`` files as TensorLayer writes them, read without running any code.

NumPy stores a list of arrays as a pickle, whose loading could run anything. Here every name in
the pickle stands for a plain record of what would have been called, and the arrays are put
together from these records.
"""

import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restore.errors import WeightsError

__all__ = ["is_npz", "read_npz_list"]

_MOST_BYTES = 1 << 30
_DTYPES = {"f2": np.float16, "f4": np.float32, "f8": np.float64}


def is_npz(path: Path) -> bool:
    """Whether the file is a zip of ``.npy`` files, and no checkpoint of PyTorch."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def read_npz_list(path: Path) -> list[NDArray[np.float32]]:
    """Return the arrays of the one list in an ``.npz`` file.

    Raises:
        WeightsError: damaged, another kind of content, or one that needs code to be run.
        OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) != 1 or members[0].file_size > _MOST_BYTES:
                raise WeightsError(f"an .npz of {len(members)} arrays; one list of arrays is read")
            stored = archive.read(members[0])
        return _arrays(stored)
    except WeightsError:
        raise
    except OSError:
        raise
    except Exception as error:  # a damaged file can make the reader stumble in any way
        raise WeightsError("not an .npz with a list of arrays, or a damaged one") from error


def _arrays(stored: bytes) -> list[NDArray[np.float32]]:
    stream = io.BytesIO(stored)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise WeightsError("an .npy of an unknown version")
    _, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if not dtype.hasobject:
        raise WeightsError("an .npz with one plain array; a list of arrays is read")
    outer = _Records(stream, encoding="latin1").load()
    if not isinstance(outer, _Array) or not isinstance(outer.content, list):
        raise WeightsError("an .npz whose content is no list of arrays")
    return [_array(each) for each in outer.content]


class _Dtype:
    """A data type: its name, and whether the most significant byte comes first."""

    def __init__(self, name: Any, *_flags: Any) -> None:
        self.name, self.is_big_endian = name, False

    def __setstate__(self, state: Any) -> None:
        self.is_big_endian = state[1] == ">"


class _Array:
    """An array: shape, data type, order and content."""

    def __init__(self) -> None:
        self.shape: Any = ()
        self.dtype: Any = None
        self.is_column_major = False
        self.content: Any = b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.is_column_major, self.content = state


class _NdArray:
    """Stands for the type that NumPy names when it pickles an array."""


def _reconstruct(*_arguments: Any) -> _Array:
    return _Array()


def _encode(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")


class _Records(pickle.Unpickler):
    """Knows the four names of a pickled array, each as one of the records above."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _reconstruct
        known = {
            ("numpy", "ndarray"): _NdArray,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): _encode,
        }
        if (module, name) not in known:
            raise WeightsError(
                f"holds Python objects ({module}.{name}), and code in a checkpoint is never run"
            )
        return known[module, name]


def _array(record: Any) -> NDArray[np.float32]:
    if not isinstance(record, _Array) or not isinstance(record.dtype, _Dtype):
        raise WeightsError("a list that holds something else than arrays")
    content = record.content
    if isinstance(content, str):  # written by Python 2
        content = content.encode("latin1")
    kind = _DTYPES.get(record.dtype.name)
    if kind is None or record.dtype.is_big_endian or not isinstance(content, bytes):
        raise WeightsError(f"an array of the type {str(record.dtype.name)[:20]}; floats are read")
    shape = tuple(int(side) for side in record.shape)
    if min(shape, default=1) < 0 or len(content) != math.prod(shape) * np.dtype(kind).itemsize:
        raise WeightsError(f"an array {list(shape)} with {len(content)} bytes")
    flat = np.frombuffer(content, dtype=kind).astype(np.float32)
    values = flat.reshape(shape[::-1]).T if record.is_column_major else flat.reshape(shape)
    if not np.isfinite(values).all():
        raise WeightsError("an array with values that are not finite")
    return values
