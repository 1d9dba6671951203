"""RAW files that are cut short are told by their own directories."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from restore.errors import CorruptImage
from restore.image.dng import write_cfa_dng
from restore.image.raw import read_raw
from restore.image.raw_ends import bytes_missing
from restore.image.raw_picture import RawPicture

Sensor = Callable[..., RawPicture]


def missing(data: bytes) -> int:
    return bytes_missing(io.BytesIO(data))


def test_a_dng_that_lacks_its_last_bytes(sensor: Sensor, tmp_path: Path) -> None:
    data = write_cfa_dng(sensor())
    assert missing(data) == 0
    for cut in (1, 100, len(data) // 2):
        assert missing(data[:-cut]) == cut
        (tmp_path / "cut.dng").write_bytes(data[:-cut])
        with pytest.raises(CorruptImage, match=rf"cut short: {cut:,} bytes of its pixels"):
            read_raw(tmp_path / "cut.dng")


def test_a_raf_says_where_its_parts_end() -> None:
    places = (struct.pack(">II", 160, 40), struct.pack(">II", 200, 10), struct.pack(">II", 210, 90))
    head = b"FUJIFILMCCD-RAW ".ljust(84, b"0") + places[0] + places[1] + places[2]
    whole = head.ljust(300, b"\x00")
    assert missing(whole) == 0
    assert missing(whole[:-7]) == 7
    assert missing(head[:90]) == 0


def test_boxes_of_a_cr3_end_inside_the_file() -> None:
    first = struct.pack(">I4s8s", 16, b"ftyp", b"crx ")
    for last in (
        struct.pack(">I4s", 108, b"mdat"),
        struct.pack(">I4sQ", 1, b"mdat", 108),
    ):
        whole = first + last.ljust(108, b"\x00")
        assert missing(whole) == 0
        assert missing(whole[:-9]) == 9
    open_ended = first + struct.pack(">I4s", 0, b"mdat") + bytes(50)
    assert missing(open_ended) == missing(open_ended[:-9]) == 0


def test_real_files_are_whole(shared_data: Path) -> None:
    for path in sorted((shared_data / "raw").rglob("*.*")):
        if path.suffix != ".raw":
            with path.open("rb") as file:
                assert bytes_missing(file) == 0, path


@pytest.mark.parametrize("data", [b"", b"II*\x00", b"MM\x00*" + b"\xff" * 60, bytes(200)])
def test_nothing_is_made_of_nothing(data: bytes) -> None:
    assert missing(data) == 0
