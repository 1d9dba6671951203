"""Small files that ask for much memory or time are refused before they get it."""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.decode import decode
from restore.image.icc import LONGEST_PROFILE, other_primaries
from restore.image.pnm import read_pnm

MOST_SECONDS = 20
MOST_MEGABYTES = 300

DECODE = """
import resource, sys
from pathlib import Path
from restore.errors import InputError
from restore.image.decode import decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(Path(sys.argv[1]))
    print("accepted")
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", 10, 10, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(30) for _ in range(10)))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def profile(size: int, tags: int = 100) -> bytes:
    """A profile each of whose tags is all of it but the first byte."""
    table = struct.pack(">I", tags) + b"".join(
        struct.pack(">4sII", name, 1, 0xFFFFFFFF)
        for name in [b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"gTRC"] + [b"none"] * (tags - 5)
    )
    return (bytes(128) + table).ljust(size, b"\0")


def in_a_process(path: Path) -> tuple[str, int]:
    """Return what came of decoding, and the megabytes that it took."""
    command = [sys.executable, "-c", DECODE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=True)
    *said, megabytes = done.stdout.splitlines()
    return said[-1], int(megabytes)


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_a_profile_that_inflates_to_64_mebibytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(chunk(b"iCCP", b"x\0\0" + zlib.compress(profile(64 << 20), 9))))
    assert path.stat().st_size < 100_000
    said, megabytes = in_a_process(path)
    assert "colour profile of more than 4 MiB" in said
    assert megabytes < MOST_MEGABYTES


def test_tags_that_overlap_are_not_copied_in_full() -> None:
    icc = profile(LONGEST_PROFILE)
    assert other_primaries(icc) == ""


def test_a_second_profile_is_refused(tmp_path: Path) -> None:
    own = chunk(b"iCCP", b"x\0\0" + zlib.compress(profile(1000, 5)))
    (tmp_path / "two.png").write_bytes(png(own, own))
    with pytest.raises(CorruptImage, match="two colour profiles"):
        decode(tmp_path / "two.png")


def test_profiles_of_other_containers_are_bounded_too(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((4, 4, 3), np.uint8),
        photometric="rgb",
        iccprofile=profile(LONGEST_PROFILE + 1),
    )
    with pytest.raises(UnsupportedImage, match="colour profile of more than 4 MiB"):
        decode(tmp_path / "a.tif")


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
@pytest.mark.parametrize("filling", [b" " * 1000, b"#\n" * 500], ids=["blanks", "comments"])
def test_a_header_of_megabytes_is_refused(tmp_path: Path, filling: bytes) -> None:
    path = tmp_path / "long.ppm"
    path.write_bytes(b"P6\n" + 50_000 * filling + b"1 1 255\n\0\0\0")
    said, megabytes = in_a_process(path)
    assert said.endswith("has a damaged header")
    assert megabytes < 50


def test_plain_samples_may_have_blanks_around_them(tmp_path: Path) -> None:
    path = tmp_path / "plain.pgm"
    path.write_bytes(b"P2 # comment\n2 2\n255\n" + b"  1   \n 20\t 255       7 \n")
    with path.open("rb") as file:
        pixels = read_pnm(file, lambda *_: None).pixels
    np.testing.assert_allclose(pixels * 255, [[[1, 20], [255, 7]]], atol=1e-4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_links_to_pipes_and_devices_are_no_pictures(tmp_path: Path) -> None:
    from restore.batch.inputs import pictures_in

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.png").symlink_to(tmp_path / "pipe")
    (tmp_path / "b.png").symlink_to("/dev/zero")
    (tmp_path / "c.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "d.png").write_bytes(png())
    (tmp_path / "e.png").symlink_to(tmp_path / "d.png")
    assert [path.name for path in pictures_in(tmp_path, recursive=False)] == [
        "c.png", "d.png", "e.png",
    ]  # fmt: skip
