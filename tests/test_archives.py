"""Zip archives and arrays that state more than they hold are refused."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from restore.archives import checked_size, open_archive, read_array


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f8", "u1", "?", "i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_read_as_numpy_reads_them(dtype: str, order: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    data = npy(np.asarray(values, order=order))  # type: ignore[call-overload]
    read = read_array(io.BytesIO(data), len(data))
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an .npy file"),
        (b"\x93NUMPY\x09\x00", "not an .npy file"),
        (npy(np.ones((2, 2))).replace(b"(2, 2)", b"(9**9)"), "not an .npy file"),
        (npy(np.ones((2, 2))).replace(b"(2, 2), }       ", b"(99999, 99999), }"), "in 161 bytes"),
        (npy(np.ones((2, 2)))[:-1], "an array"),
        (npy(np.array(["text"])), "of <U4"),
        (npy(np.ones(2, dtype="V0")), "of |V0"),
    ],
)
def test_arrays_that_their_bytes_do_not_fill_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        read_array(io.BytesIO(data), len(data))
    assert words in str(caught.value)


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_members_are_judged_by_what_they_state(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros": bytes(4 << 20), "few": bytes(1000)})
    with open_archive(path) as file:
        zeros, few = file.infolist()
        assert checked_size(zeros, most_bytes=4 << 20) == 4 << 20
        assert checked_size(few, most_bytes=4 << 20, most_ratio=20) == 1000
        with pytest.raises(ValueError, match=r"4,194,304 bytes from"):
            checked_size(zeros, most_bytes=(4 << 20) - 1)
        with pytest.raises(ValueError, match="too much"):
            checked_size(zeros, most_bytes=4 << 20, most_ratio=20)
        few.flag_bits |= 1
        with pytest.raises(ValueError, match="encrypted"):
            checked_size(few, most_bytes=4 << 20)


def test_a_long_directory_is_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {f"{'name' * 20}{i}": b"" for i in range(9000)})
    with pytest.raises(ValueError, match="too long a directory"), open_archive(path):
        pass


@pytest.mark.parametrize("change", ["empty", "text", "cut", "name", "version"])
def test_what_is_no_archive_is_refused(tmp_path: Path, change: str) -> None:
    data = archive(tmp_path / "a.zip", {"näme": b"content"}).read_bytes()
    at = data.rindex(b"PK\x01\x02")
    damaged = {
        "empty": b"",
        "text": b"some text",
        "cut": data[:-10],
        "name": data[:at] + data[at:].replace("ä".encode(), b"\xff\xff"),
        "version": data[: at + 6] + struct.pack("<H", 999) + data[at + 8 :],
    }[change]
    path = tmp_path / "damaged.zip"
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="not a zip archive, or a damaged one"), open_archive(path):
        pass
