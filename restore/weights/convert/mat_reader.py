"""Child process that writes the layers of a MatConvNet ``.mat`` file to stdout as ``.npz``.

Damaged files can crash the C code that reads MATLAB's formats, so it runs in its own process. It
imports nothing of this library, to start fast.
"""

import contextlib
import io
import math
import struct
import sys
import zlib
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIELDS = ("type", "weights", "pad", "stride", "dilate", "leak", "scale")
_MOST_LAYERS, _MOST_WEIGHTS = 1000, 8
_MOST_BYTES = 1 << 26
"""Of all arrays together."""
_SMALL_BYTES, _MOST_RATIO = 1 << 20, 20
"""Numbers of a trained network hardly compress; what is small may."""
_MEMORY_BYTES, _MOST_MEMORY_BYTES = 1 << 29, 1 << 32
"""Beyond what the reader's libraries take; and at most, where that is not known."""
_MOST_SECONDS = 60

Layer = dict[str, Any]
"""Field -> str, array in MATLAB's order of dimensions, or list of arrays (``weights``)."""


_DAG = (
    "a MatConvNet DagNN, a graph of named layers; only networks of the simple kind are read, whose "
    "`layers` are a cell array"
)


class _Refused(Exception):
    """A file that is understood, and not read; its text is the reason."""


def main(path: str) -> int:
    """Print the archive and return 0, or a reason on stderr and 1."""
    with open(path, "rb") as file:
        is_hdf5 = file.read(10) == b"MATLAB 7.3"
    try:
        layers = _read_hdf5(path) if is_hdf5 else _read_version_5(path)
        sys.stdout.buffer.write(_archive(layers))
    except _Refused as error:
        reason = str(error)
    except ModuleNotFoundError:
        reason = (
            "a MATLAB 7.3 file, which needs h5py: `pip install h5py`, or save it in MATLAB again "
            "with `save -v7`"
        )
    except Exception as error:  # damaged files can raise anything
        reason = f"not a MatConvNet network, or a damaged one ({type(error).__name__})"
    else:
        return 0
    print(reason, file=sys.stderr)
    return 1


def _limit() -> None:
    """Limit memory and time, once all libraries are imported."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows, or a lower limit
        import resource

        try:
            with open("/proc/self/statm") as file:
                in_use = int(file.read().split()[0]) * resource.getpagesize()
        except OSError:  # not Linux
            in_use = _MOST_MEMORY_BYTES - _MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (in_use + _MEMORY_BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS,) * 2)


class _Budget:
    """Counts the bytes of arrays before they are read."""

    def __init__(self) -> None:
        self.left = _MOST_BYTES

    def take(self, count: int, stored: int) -> None:
        """Count the bytes of an array, of which the file stores so many."""
        self.left -= count
        if self.left < 0 or count > max(_SMALL_BYTES, _MOST_RATIO * stored):
            raise ValueError(f"{count} bytes from {stored}")


def _archive(layers: list[Layer]) -> bytes:
    """Return the values of all layers under ``LAYER.FIELD`` or ``LAYER.weights.NUMBER``."""
    arrays: dict[str, Any] = {}
    for number, layer in enumerate(layers):
        for field, value in layer.items():
            if isinstance(value, list):
                arrays |= {f"{number}.{field}.{i}": each for i, each in enumerate(value)}
            else:
                arrays[f"{number}.{field}"] = np.asarray(value)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


_HEADER_BYTES, _TAG_BYTES, _COMPRESSED = 128, 8, 15


def _check_version_5(path: str) -> None:
    """Refuse elements that inflate to more than a network needs."""
    budget = _Budget()
    with open(path, "rb") as file:
        order = "<" if file.read(_HEADER_BYTES)[126:] == b"IM" else ">"
        while len(tag := file.read(_TAG_BYTES)) == _TAG_BYTES:
            kind, size = struct.unpack(f"{order}II", tag)
            end = file.tell() + size
            stated = size
            if kind == _COMPRESSED:
                inner = zlib.decompressobj().decompress(file.read(min(size, 256)), _TAG_BYTES)
                _, stated = struct.unpack(f"{order}II", inner)
            budget.take(stated, size)
            file.seek(end)


def _read_version_5(path: str) -> list[Layer]:
    from scipy.io import loadmat

    _limit()
    _check_version_5(path)
    net = loadmat(path, variable_names=["net"], struct_as_record=False)["net"]
    if {"vars", "params"} <= set(net[0, 0]._fieldnames):
        raise _Refused(_DAG)
    layers = [cell[0, 0] for cell in net[0, 0].layers.ravel()[:_MOST_LAYERS]]
    return [
        {
            field: _value_of_version_5(getattr(layer, field))
            for field in layer._fieldnames
            if field in _FIELDS
        }
        for layer in layers
    ]


def _value_of_version_5(value: Any) -> Any:
    if value.dtype.kind == "U":
        return str(value.ravel()[0]) if value.size else ""
    if value.dtype == object:
        return [np.asarray(each) for each in value.ravel()[:_MOST_WEIGHTS]]
    return value


def _read_hdf5(path: str) -> list[Layer]:
    h5py: Any = import_module("h5py")
    _limit()
    with h5py.File(path, "r") as file:
        read = _Hdf5Reader(file)
        if {"vars", "params"} <= set(file["net"]):
            raise _Refused(_DAG)
        references = read.array(file["net/layers"]).ravel()[:_MOST_LAYERS]
        layers = [file[reference] for reference in references]
        return [
            {field: read.value(layer[field]) for field in _FIELDS if field in layer}
            for layer in layers
        ]


class _Hdf5Reader:
    """Reads the datasets of one file, which can declare more than it stores."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._budget = _Budget()

    def value(self, dataset: Any) -> Any:
        """Return a layer's field: an array, text, or a list of arrays."""
        values = self.array(dataset)
        if values.dtype == object:
            return [self.array(self._file[each]) for each in values.ravel()[:_MOST_WEIGHTS]]
        if dataset.attrs.get("MATLAB_class") == b"char":
            return "".join(map(chr, values.ravel()))
        return values

    def array(self, dataset: Any) -> NDArray[Any]:
        """Return all values of a dataset, in MATLAB's order of dimensions."""
        if dataset.attrs.get("MATLAB_empty"):
            return np.empty(0)
        if dataset.external or dataset.is_virtual:
            raise ValueError("values in other files")
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        stored = dataset.id.get_storage_size()
        self._budget.take(max(int(dataset.nbytes), chunk), stored)
        return np.asarray(dataset[...]).T


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
