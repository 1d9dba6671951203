"""Child process that writes the layers of a MatConvNet ``.mat`` file to stdout as ``.npz``.

Damaged files can crash the C code that reads MATLAB's formats, so it runs in its own process. It
imports nothing of this library, to start fast.
"""

import contextlib
import io
import sys
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIELDS = ("type", "weights", "pad", "stride", "dilate", "leak", "scale")
_MOST_LAYERS, _MOST_WEIGHTS, _MOST_VALUES = 1000, 8, 2**26
_MOST_BYTES = 4 * 2**30

Layer = dict[str, Any]
"""Field -> str, array in MATLAB's order of dimensions, or list of arrays (``weights``)."""


def main(path: str) -> int:
    """Print the archive and return 0, or a reason on stderr and 1."""
    _limit_memory()
    with open(path, "rb") as file:
        is_hdf5 = file.read(10) == b"MATLAB 7.3"
    try:
        layers = _read_hdf5(path) if is_hdf5 else _read_version_5(path)
        sys.stdout.buffer.write(_archive(layers))
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


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows, or a lower limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))


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


def _read_version_5(path: str) -> list[Layer]:
    from scipy.io import loadmat

    net = loadmat(path, variable_names=["net"], struct_as_record=False)["net"]
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
    with h5py.File(path, "r") as file:
        references = _array(file["net/layers"]).ravel()[:_MOST_LAYERS]
        layers = [file[reference] for reference in references]
        return [
            {field: _value_of_hdf5(file, layer[field]) for field in _FIELDS if field in layer}
            for layer in layers
        ]


def _value_of_hdf5(file: Any, dataset: Any) -> Any:
    values = _array(dataset)
    if values.dtype == object:
        return [_array(file[reference]) for reference in values.ravel()[:_MOST_WEIGHTS]]
    if dataset.attrs.get("MATLAB_class") == b"char":
        return "".join(map(chr, values.ravel()))
    return values


def _array(dataset: Any) -> NDArray[Any]:
    if dataset.attrs.get("MATLAB_empty"):
        return np.empty(0)
    if dataset.size > _MOST_VALUES:  # HDF5 can declare more than it stores
        raise ValueError(f"{dataset.size} values")
    return np.asarray(dataset[...]).T


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
