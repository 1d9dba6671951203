"""Lists of arrays in ``.npz`` files: those of TensorLayer are read, hostile ones refused."""

import io
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from restore.errors import WeightsError
from restore.weights.convert import metzler as npz_list
from restore.weights.convert.metzler import read_npz_list

_MEMORY = 2 << 30


def _archive(path: Path, content: list[object]) -> Path:
    values = np.empty(len(content), dtype=object)
    values[:] = content
    np.savez(path, params=values)
    return path


def _pickled(path: Path, pickled: bytes) -> Path:
    """Write an archive whose list is what ``pickled`` says."""
    stored = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stored, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("params.npy", stored.getvalue() + pickled)
    return path


class _Calling:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self._call


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays_come_back_in_their_order_and_shape(tmp_path: Path, dtype: type) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    stored: list[object] = [values, np.asfortranarray(values), values[0, 0, 0:1], values[:0]]
    arrays = read_npz_list(_archive(tmp_path / "a.npz", stored))
    assert [array.dtype for array in arrays] == [np.float32] * 4
    for array, expected in zip(arrays, stored, strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (_Calling(os.system, "touch owned"), "posix.system"),
        (_Calling(eval, "open('owned', 'w')"), "builtins.eval"),
        (_Calling(getattr, 1, "real"), "builtins.getattr"),
        (_Calling(np.load, "other.npy"), "numpy.load"),
        (_Calling(np.frombuffer, b"1234"), "numpy.frombuffer"),
        (_Calling(np.fromfile, "other.npy"), "numpy.*fromfile"),
        (_Calling(subprocess.check_output, ["touch", "owned"]), "subprocess.check_output"),
    ],
)
def test_names_that_no_array_needs_are_refused_and_not_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: _Calling, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _archive(tmp_path / "hostile.npz", [np.ones(3, np.float32), call])
    with pytest.raises(WeightsError, match=rf"\({name}\), and code in a checkpoint is never run"):
        read_npz_list(path)
    assert not (tmp_path / "owned").exists()


def test_the_type_of_arrays_takes_no_memory_by_being_called(tmp_path: Path) -> None:
    path = _archive(tmp_path / "a.npz", [_Calling(np.ndarray, (1 << 40,), np.dtype("f4"))])
    with pytest.raises(WeightsError, match="something other than arrays"):
        read_npz_list(path)


@pytest.mark.parametrize("shape", [(1 << 62, 4), (-2, -2), (3,), (1 << 40, 1 << 40)])
def test_shapes_that_the_bytes_do_not_fill_are_refused(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    state = (1, shape, np.dtype(np.float32), False, b"\0" * 16)
    reconstruct = np.ones(1).__reduce__()[0]

    class Claiming:
        def __reduce__(self) -> tuple[object, ...]:
            return reconstruct, (np.ndarray, (0,), b"b"), state

    path = _archive(tmp_path / "a.npz", [Claiming()])
    with pytest.raises(WeightsError, match=r"an array \[.*\] with 16 bytes"):
        read_npz_list(path)


def test_data_types_are_not_taken_at_their_word(tmp_path: Path) -> None:
    """A type that says of its numbers that they are pointers gives numbers."""
    values = np.ones(2)
    reconstruct, arguments, (version, shape, _, order, content) = values.__reduce__()

    class Pointers:
        def __reduce__(self) -> tuple[object, ...]:
            return np.dtype, ("f8", False, True), (3, "<", None, None, None, -1, -1, 0x3F)

    class Claiming:
        def __reduce__(self) -> tuple[object, ...]:
            return reconstruct, arguments, (version, shape, Pointers(), order, content)

    (array,) = read_npz_list(_archive(tmp_path / "a.npz", [Claiming()]))
    np.testing.assert_array_equal(array, values)


_DAMAGED = "not an .npz with a list of arrays, or a damaged one"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory is Linux's")
@pytest.mark.parametrize(
    ("pickled", "told"),
    [
        (pickle.BINBYTES8 + struct.pack("<Q", 1 << 36) + b"few", _DAMAGED),
        (pickle.BYTEARRAY8 + struct.pack("<Q", 1 << 36) + b"few", _DAMAGED),
        (pickle.BINUNICODE8 + struct.pack("<Q", 1 << 62) + b"few", _DAMAGED),
        (pickle.LONG4 + struct.pack("<i", (1 << 31) - 1) + b"few", _DAMAGED),
        (pickle.EMPTY_LIST + pickle.LONG_BINPUT + struct.pack("<I", 1 << 31) + b".", "memo index"),
        (pickle.EMPTY_LIST + pickle.PUT + b"4000000000\n.", "memo index"),
        (pickle.PROTO + b"\x04" + pickle.FRAME + struct.pack("<Q", 1 << 36) + b"].", _DAMAGED),
    ],
)
def test_huge_counts_take_no_memory(tmp_path: Path, pickled: bytes, told: str) -> None:
    path = _pickled(tmp_path / "a.npz", pickled)
    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + _MEMORY, before[1]))
    try:
        with pytest.raises(WeightsError, match=told) as refused:
            read_npz_list(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert not isinstance(refused.value.__cause__, MemoryError)


def test_the_same_bytes_again_and_again_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short file in which many arrays share their bytes would fill the memory."""
    monkeypatch.setattr(npz_list, "_MOST_BYTES", 100_000)
    content = b"\0" * 4096
    reconstruct = np.ones(1).__reduce__()[0]

    class Sharing:
        def __reduce__(self) -> tuple[object, ...]:
            state = (1, (1024,), np.dtype(np.float32), False, content)
            return reconstruct, (np.ndarray, (0,), b"b"), state

    with pytest.raises(WeightsError, match="more than 100,000 bytes"):
        read_npz_list(_archive(tmp_path / "a.npz", [Sharing() for _ in range(30)]))
    assert len(read_npz_list(_archive(tmp_path / "b.npz", [Sharing() for _ in range(20)]))) == 20
