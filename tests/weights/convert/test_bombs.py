"""Small checkpoints and PSF files that state gigabytes are refused before they take memory."""

import io
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.errors import RestoreError, UsageError, WeightsError
from restore.hdr.optics.psf import load_psf
from restore.weights.convert import mat_reader
from restore.weights.convert.convert import as_laid_out as convert

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")

MOST_MEGABYTES = 300
LONGEST = 300


def npy(shape: tuple[int, ...], dtype: str = "|O") -> bytes:
    buffer = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def zeros_in(path: Path, name: str, head: bytes, size: int) -> Path:
    """Write an archive with one member of zeros behind ``head``, which packs them well."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as file,
    ):
        file.write(head)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


def list_of_arrays(folder: Path) -> Path:
    return zeros_in(folder / "list.npz", "params.npy", npy((1,)), 80 << 20)


def psf_in_npz(folder: Path) -> Path:
    head = npy((1 << 14, 1 << 14), "|u1")
    return zeros_in(folder / "psf.npz", "psf_val.npy", head, 128 << 20)


def psf_in_npy(folder: Path) -> Path:
    path = folder / "psf.npy"
    with path.open("wb") as file:
        file.write(npy((1 << 15, 1 << 15), "|u1"))
        file.truncate(2 << 30)
    return path


def deflated_checkpoint(folder: Path) -> Path:
    torch.save({"model.0.weight": torch.zeros(16 << 20)}, folder / "whole.pth")
    with (
        zipfile.ZipFile(folder / "whole.pth") as whole,
        zipfile.ZipFile(folder / "net.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    return folder / "net.pth"


def sparse_checkpoint(folder: Path) -> Path:
    path = folder / "net.pth"
    with path.open("wb") as file:
        file.write(b"\x80\x02")
        file.truncate(2 << 30)
    return path


def memory_of_this_process() -> int:
    """Return the bytes that are in use, and forget the peak."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize(
    ("bomb", "read", "kind", "words"),
    [
        (list_of_arrays, convert, WeightsError, "bytes from"),
        (psf_in_npz, load_psf, UsageError, "bytes from"),
        (psf_in_npy, load_psf, UsageError, "an array [32768, 32768]"),
        (deflated_checkpoint, convert, WeightsError, "compressed or overlap"),
        (sparse_checkpoint, convert, WeightsError, "a checkpoint of more than"),
    ],
)
def test_bombs_are_refused(
    tmp_path: Path,
    bomb: Callable[[Path], Path],
    read: Callable[[Path], object],
    kind: type[RestoreError],
    words: str,
) -> None:
    path = bomb(tmp_path)
    try:
        before = memory_of_this_process()
    except OSError:
        pytest.skip("this kernel does not forget a peak")
    with pytest.raises(kind) as caught:
        read(path)
    assert words in str(caught.value)
    assert len(str(caught.value)) < LONGEST
    assert (peak() - before) / 1e6 < 50


MEASURED = """
import runpy, sys
try:
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
finally:
    lines = open("/proc/self/status").read().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
"""


def reading(path: Path) -> tuple[str, int]:
    """Return what the child that reads MATLAB's files says of one, and its peak in megabytes."""
    command = [sys.executable, "-c", MEASURED, mat_reader.__file__, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said, kilobytes = done.stderr.splitlines()[-2:]
    return said, int(kilobytes) // 1024


def test_a_mat_element_that_inflates_to_gigabytes_is_refused(tmp_path: Path) -> None:
    inner = np.array([14, 1 << 30], "<u4").tobytes()
    packer = zlib.compressobj(1)
    packed = packer.compress(inner)
    packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(80)) + packer.flush()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path = tmp_path / "net.mat"
    path.write_bytes(head + np.array([15, len(packed)], "<u4").tobytes() + packed)
    said, megabytes = reading(path)
    assert "not a MatConvNet network" in said
    assert megabytes < MOST_MEGABYTES
    with pytest.raises(WeightsError, match="not a MatConvNet network"):
        convert(path)


@pytest.mark.parametrize("kind", ["never written", "one huge chunk", "compressed", "external"])
def test_hdf5_that_states_gigabytes_is_refused(tmp_path: Path, kind: str) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "net.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        options = {
            "never written": {"shape": (1 << 15, 1 << 15), "chunks": (1024, 1024)},
            "one huge chunk": {
                "shape": (1, 1),
                "maxshape": (None, None),
                "chunks": (1 << 13, 1 << 13),
            },
            "compressed": {"data": np.zeros((4096, 4096)), "compression": "gzip"},
            "external": {"shape": (4,), "external": [("/etc/passwd", 0, 32)]},
        }[kind]
        file.create_dataset("net/layers", **{"dtype": "f8", **options})
    data = bytearray(path.read_bytes())
    data[:128] = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(data)
    assert len(data) < 1 << 20
    said, megabytes = reading(path)
    assert "not a MatConvNet network" in said
    assert megabytes < MOST_MEGABYTES


PSF = {"empty": b"", "text": b"text", "zip": b"PK\x05\x06" + bytes(18)}


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".exr", ".tif", ""])
@pytest.mark.parametrize("content", sorted(PSF))
def test_files_that_are_no_psf_are_refused_in_one_line(
    tmp_path: Path, content: str, suffix: str
) -> None:
    path = tmp_path / f"psf{suffix}"
    path.write_bytes(PSF[content])
    with pytest.raises(UsageError, match="psf") as caught:
        load_psf(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < LONGEST


def test_an_encrypted_psf_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "psf.npz", psf_val=np.ones((3, 3)))
    data = bytearray((tmp_path / "psf.npz").read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    (tmp_path / "psf.npz").write_bytes(data)
    with pytest.raises(UsageError, match="an encrypted archive"):
        load_psf(tmp_path / "psf.npz")


def test_a_psf_of_numbers_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "psf.npy", np.full((3, 3), 1e308))
    with pytest.raises(UsageError, match="above 1e"):
        load_psf(tmp_path / "psf.npy")


def test_nested_tensors_are_refused(tmp_path: Path) -> None:
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged)
    torch.save({"model.0.weight": nested}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"net\.pth: "):
        convert(tmp_path / "net.pth")


def test_many_views_of_the_same_bytes_are_refused(tmp_path: Path) -> None:
    # In half precision each of them would be copied.
    shared = torch.zeros(4 << 20, dtype=torch.float16)
    torch.save({f"model.{i}.weight": shared.view(-1) for i in range(40)}, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").stat().st_size < 16 << 20
    with pytest.raises(WeightsError, match="more than 67,108,864 values"):
        convert(tmp_path / "net.pth")
