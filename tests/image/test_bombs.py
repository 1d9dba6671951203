"""Small files that ask for much memory or time are refused before they get it."""

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.errors import CorruptImage, UnsupportedImage
from restore.image.decode import decode
from restore.image.icc import LONGEST_PROFILE, other_primaries
from restore.image.pnm import read_pnm

MOST_SECONDS = 20
MOST_MEGABYTES = 300

LIMITED = """
import resource, tifffile
from restore.image import exr, jpeg, pillow, pnm, png, tiff, webp
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (3 << 30), taken + (3 << 30)))
"""
"""Leave 3 GiB of address space."""

DECODE = """
import resource, sys, time
from pathlib import Path
from restore.errors import InputError
from restore.image.decode import decode
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    decode(Path(sys.argv[1]))
    print("accepted")
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
print(time.process_time() - started)
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
    *said, megabytes, _ = done.stdout.splitlines()
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


def jpeg_of_632_bytes(_: Path) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    data = bytearray(file.getvalue())
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, 22_360, 22_360)
    return bytes(data)


def lossless_webp(_: Path) -> bytes:
    """A picture of one colour as libwebp writes it, in no more bytes for any size."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "WEBP", lossless=True, method=0, quality=0)
    data = bytearray(file.getvalue())
    (bits,) = struct.unpack_from("<I", data, 21)
    struct.pack_into("<I", data, 21, bits >> 28 << 28 | (6000 - 1) << 14 | (16383 - 1))
    return bytes(data)


def flat_avif(data: Path) -> bytes:
    return (data / "flat.avif").read_bytes()


def tiff_of_one_segment(
    compression: int, segment: bytes, side: int, *, tile: int | None, copies: int = 1
) -> bytes:
    """A gray TIFF all of whose strips or tiles lie at one place."""
    count = 10 if tile else 9
    start = 8 + 2 + 12 * count + 4
    places = start + len(segment)
    kind = (3, 1)
    bits = 8 if tile else 1
    entries = [
        (256, 4, 1, side), (257, 4, 1, side), (258, *kind, bits), (259, *kind, compression),
        (262, *kind, 1), (277, *kind, 1),
    ]  # fmt: skip
    if tile:
        entries += [
            (322, 4, 1, tile), (323, 4, 1, tile), (324, 4, copies, places),
            (325, 4, copies, places + 4 * copies),
        ]  # fmt: skip
    else:
        entries += [(273, 4, 1, start), (278, 4, 1, side), (279, 4, 1, len(segment))]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    table = struct.pack("<I", start) * copies + struct.pack("<I", len(segment)) * copies
    header = b"II*\0" + struct.pack("<IH", 8, count)
    return header + directory + segment + table


def ccitt_tiff(_: Path) -> bytes:
    return tiff_of_one_segment(4, b"\xff\xff\x00\x10\x01", 22_000, tile=None)


def tiff_of_400_tiles(_: Path) -> bytes:
    file = io.BytesIO()
    Image.new("L", (1024, 1024)).save(file, "JPEG", quality=1, optimize=True)
    return tiff_of_one_segment(7, file.getvalue(), 20 * 1024, tile=1024, copies=400)


@pytest.mark.skipif(sys.platform != "linux", reason="no limit on the address space")
@pytest.mark.parametrize(
    ("recipe", "most_bytes", "reason"),
    [
        (jpeg_of_632_bytes, 700, "22360x22360 pixels take at least"),
        (lossless_webp, 40, "16383x6000 pixels and needs 3.8 GB of memory"),
        (flat_avif, 2000, "10000x10000 pixels and needs 3.9 GB of memory"),
        (ccitt_tiff, 150, "22000x22000 pixels take at least 2,750 bytes, it has 5"),
        (tiff_of_400_tiles, 10_000, "20480x20480 pixels take at least"),
    ],
)
def test_a_tiny_file_of_a_huge_picture_is_refused(
    recipe: Callable[[Path], bytes], most_bytes: int, reason: str, data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(recipe(data))
    assert path.stat().st_size < most_bytes
    command = [sys.executable, "-c", LIMITED + DECODE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=True)
    said, megabytes, seconds = done.stdout.splitlines()
    assert reason in said
    assert int(megabytes) < MOST_MEGABYTES
    assert float(seconds) < 0.5
