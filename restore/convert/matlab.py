"""MatConvNet networks: ``.mat`` files with a struct ``net`` whose ``layers`` are a cell array."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from restore.errors import WeightsError

__all__ = ["MatLayer", "is_matlab", "read_matlab"]

MatLayer = Mapping[str, Any]
"""Field -> str, array in MATLAB's order of dimensions, or list of arrays (``weights``)."""

_READER = Path(__file__).with_name("mat_reader.py")
_LONGEST_S = 120.0


def is_matlab(path: Path) -> bool:
    """Whether the file begins as MATLAB's files do."""
    with path.open("rb") as file:
        return file.read(6) == b"MATLAB"


def read_matlab(path: Path) -> list[MatLayer]:
    """Return the layers of the network in a MATLAB file, of version 5 to 7.3.

    The file is read in a child process, which a hostile one may crash.

    Raises:
        WeightsError: damaged, no MatConvNet network in it, or a version 7.3 file (HDF5) where
            h5py is not installed.
    """
    try:
        # -P: the modules beside the reader must not hide others of the same name.
        child = subprocess.run(
            [sys.executable, "-P", str(_READER), str(path.resolve())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError("not a MatConvNet network: reading it takes too long") from error
    if child.returncode == 1 and child.stderr:
        raise WeightsError(child.stderr.decode(errors="replace").splitlines()[-1])
    if child.returncode:
        raise WeightsError("not a MatConvNet network, or a damaged one: its reader crashed")
    try:
        with np.load(io.BytesIO(child.stdout), allow_pickle=False) as archive:
            return _layers({key: archive[key] for key in archive.files})
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError("not a MatConvNet network, or a damaged one") from error


def _layers(arrays: Mapping[str, Any]) -> list[MatLayer]:
    """Put together again what the reader has taken apart."""
    layers: dict[int, dict[str, Any]] = {}
    for key, array in arrays.items():
        number, field, *place = key.split(".")
        layer = layers.setdefault(int(number), {})
        if place:
            layer.setdefault(field, []).append(array)
        else:
            layer[field] = str(array) if array.dtype.kind == "U" else array
    if not layers:
        raise WeightsError("a MatConvNet network without layers")
    return [layer for _, layer in sorted(layers.items())]
