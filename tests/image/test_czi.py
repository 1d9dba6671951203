"""CZI files of Zeiss microscopes."""

import io
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from restore.errors import CorruptImage, UnsupportedImage, UsageError
from restore.image.codec import AS_IT_CAME
from restore.image.codecs import ImageFormat
from restore.image.decode import decode, decode_all
from restore.image.losses import losses
from restore.image.stack import Stack, encoded_stack

RAW, JPEG_XR, ZSTD, ZSTD_HEADED = 0, 4, 5, 6
TYPES = {("u1", 1): 0, ("u2", 1): 1, ("f4", 1): 2, ("u1", 3): 3, ("u2", 3): 4, ("u1", 4): 9}
SIZES = (
    b'<ImageDocument><Metadata><Scaling><Items><Distance Id="X"><Value>1.5e-07</Value></Distance>'
    b'<Distance Id="Y"><DefaultUnitFormat>um</DefaultUnitFormat><Value> 1.5E-07 </Value></Distance>'
    b"</Items></Scaling></Metadata></ImageDocument>"
)


@dataclass(frozen=True)
class Tile:
    """One block: pixels ``[H, W]`` or, blue before red, ``[H, W, S]``, and where they lie.

    Attributes:
        stored: ``(H, W)`` that the directory says, of a reduced copy; None for those of the pixels.
        data: what is stored in place of the pixels.
    """

    pixels: np.ndarray
    place: Mapping[str, int] = field(default_factory=dict)
    left: int = 0
    top: int = 0
    compression: int = RAW
    stored: tuple[int, int] | None = None
    data: bytes | None = None


def czi(tiles: Sequence[Tile], *, xml: bytes = b"", size: tuple[int, int] | None = None) -> bytes:
    """Return a file of some blocks.

    Args:
        tiles: its blocks.
        xml: its metadata.
        size: ``(H, W)`` that every block says to have; None for the true ones.
    """
    parts, entries, at = [], [], 32 + 512
    for tile in tiles:
        entry = entry_of(tile, at, size)
        data = compressed(tile) if tile.data is None else tile.data
        head = struct.pack("<iiq", 0, 0, len(data)) + entry
        part = segment(b"ZISRAWSUBBLOCK", head.ljust(256, b"\0") + data)
        parts.append(part)
        entries.append(entry)
        at += len(part)
    directory = struct.pack("<i", len(entries)).ljust(128, b"\0") + b"".join(entries)
    parts.append(segment(b"ZISRAWDIRECTORY", directory))
    metadata = at + len(parts[-1]) if xml else 0
    if xml:
        body = struct.pack("<ii", len(xml), 0).ljust(256, b"\0") + xml
        parts.append(segment(b"ZISRAWMETADATA", body))
    start = struct.pack("<ii8s16s16siqqiq", 1, 0, b"", b"", b"", 0, at, metadata, 0, 0)
    return segment(b"ZISRAWFILE", start.ljust(512, b"\0")) + b"".join(parts)


def segment(name: bytes, data: bytes) -> bytes:
    data += bytes(-len(data) % 32)
    return struct.pack("<16sqq", name, len(data), len(data)) + data


def entry_of(tile: Tile, position: int, size: tuple[int, int] | None) -> bytes:
    pixels = tile.pixels
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    kind = TYPES[(pixels.dtype.str[1:], samples)]
    height, width = size or pixels.shape[:2]
    rows, columns = tile.stored or (height, width)
    dimensions = [
        (b"X", tile.left, width, columns),
        (b"Y", tile.top, height, rows),
        *((axis.encode(), start, 1, 1) for axis, start in tile.place.items()),
    ]
    head = struct.pack(
        "<2siqiiB5si", b"DV", kind, position, 0, tile.compression, 0, b"", len(dimensions)
    )
    return head + b"".join(
        struct.pack("<4siifi", name, start, count, 0.0, stored)
        for name, start, count, stored in dimensions
    )


def compressed(tile: Tile) -> bytes:
    raw = tile.pixels.tobytes()
    if tile.compression == ZSTD:
        return imagecodecs.zstd_encode(raw)
    if tile.compression == ZSTD_HEADED:
        apart = np.frombuffer(raw, np.uint8).reshape(-1, 2).T.tobytes()
        return b"\x03\x01\x01" + imagecodecs.zstd_encode(apart)
    if tile.compression == JPEG_XR:
        pixels = tile.pixels[..., ::-1] if tile.pixels.ndim == 3 else tile.pixels
        return imagecodecs.jpegxr_encode(np.ascontiguousarray(pixels), level=1.0)
    return raw


MOST_MEGABYTES = 200
CHILD = """
import resource, sys
from pathlib import Path
from restore.errors import InputError
from restore.image import czi
from restore.image.decode import decode_all
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode_all(Path(sys.argv[1]))
    print("accepted")
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 65536, (2, 3, 20, 30), dtype=np.uint16)


def stack_file(axes: str = "TC", *, xml: bytes = SIZES, compression: int = RAW) -> bytes:
    tiles = [
        Tile(STACK[place], dict(zip(axes, place, strict=True)), compression=compression)
        for place in product(range(2), range(3))
    ]
    return czi(tiles[::-1], xml=xml)


def stack_of(data: bytes) -> Stack:
    stack = decode_all(data)
    assert isinstance(stack, Stack)
    return stack


@pytest.mark.parametrize("compression", [RAW, ZSTD, ZSTD_HEADED])
def test_planes_become_an_ome_tiff_with_their_axes_and_pixel_size(compression: int) -> None:
    stack = stack_of(stack_file(compression=compression))
    assert (stack.shape, stack.format) == ((2, 3), ImageFormat.CZI)
    with losses() as lost:
        data = encoded_stack(stack, ImageFormat.TIFF, AS_IT_CAME)
    assert lost == ["the metadata of the CZI file but for axes and size of pixels"]
    assert data == encoded_stack(stack, ImageFormat.TIFF, AS_IT_CAME)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert tiff.is_ome
        assert tiff.series[0].axes == "TCYX"
        np.testing.assert_array_equal(tiff.series[0].asarray(), STACK)
        assert 'PhysicalSizeX="0.15"' in (tiff.ome_metadata or "")
    with pytest.raises(UsageError, match="use image_format='tiff'"):
        encoded_stack(stack, ImageFormat.PNG, AS_IT_CAME)


@pytest.mark.parametrize("size", [b"--", b"-1e-7", b"0", b"1e400"])
def test_sizes_of_pixels_that_make_no_sense_are_left_out(size: bytes) -> None:
    header = stack_of(stack_file(xml=SIZES.replace(b"1.5e-07", size))).header
    assert b"PhysicalSizeX" not in header
    assert b'PhysicalSizeY="0.15"' in header


def test_metadata_of_many_sizes_take_no_time() -> None:
    begun = time.process_time()
    stack_of(stack_file(xml=b'<Distance Id="X">' * 200_000))
    assert time.process_time() - begun < 2


def test_dimensions_that_ome_does_not_have_stay_pages_in_order() -> None:
    stack = stack_of(stack_file("SH", xml=b""))
    data = encoded_stack(stack, ImageFormat.TIFF, AS_IT_CAME)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert not tiff.is_ome
        pages = np.stack([page.asarray() for page in tiff.pages])
    assert {page.tobytes() for page in pages} == {p.tobytes() for p in STACK.reshape(6, 20, 30)}


@pytest.mark.parametrize(
    ("kind", "compression"),
    [("u1", RAW), ("u1", ZSTD), ("u1", JPEG_XR), ("u2", RAW), ("u2", ZSTD_HEADED)],
)
def test_colour_is_stored_blue_first(kind: str, compression: int) -> None:
    peak = np.iinfo(kind).max
    ramp = np.linspace(0, peak, 24 * 20).reshape(24, 20)
    rgb = np.stack([ramp, ramp / 2, ramp / 4], axis=-1).astype(kind)
    picture = decode(czi([Tile(rgb[..., ::-1], compression=compression)]))
    np.testing.assert_allclose(picture.pixels * peak, np.moveaxis(rgb, -1, 0), atol=0.01)


def test_floats_keep_their_values() -> None:
    light = RNG.normal(100, 50, (12, 14)).astype(np.float32)
    picture = decode(czi([Tile(light, compression=ZSTD)]))
    assert picture.is_float
    np.testing.assert_array_equal(picture.pixels[0], light)


def test_tiles_are_put_together_and_reduced_copies_passed_over() -> None:
    whole = RNG.integers(0, 256, (40, 50), dtype=np.uint8)
    tiles = [
        Tile(whole[y : y + 22, x : x + 27], {"M": n}, left=x - 7, top=y + 900)
        for n, (y, x) in enumerate(product((0, 18), (0, 23)))
    ]
    copy = Tile(whole[::2, ::2], left=-7, top=900, stored=(20, 25))
    assert copy.stored is not None
    small = czi([*tiles, Tile(np.zeros((40, 50), np.uint8), left=-7, top=900, stored=(20, 25))])
    np.testing.assert_allclose(decode(small).pixels[0] * 255, whole, atol=1e-3)


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ([Tile(STACK[0, 0], {"T": 0}), Tile(STACK[0, 0, :9], {"T": 1})], "several sizes or kinds"),
        (
            [Tile(STACK[0, 0], {"T": t, "C": c}) for t, c in ((0, 0), (0, 1), (1, 0))],
            "has 3 of 4 planes",
        ),
        ([Tile(STACK[0, 0]), Tile(STACK[0, 0], left=5000)], "hardly any tile"),
        ([Tile(STACK[0, 0], compression=1)], "not supported"),
    ],
)
def test_what_is_no_stack_is_refused(tiles: list[Tile], words: str) -> None:
    with pytest.raises(UnsupportedImage, match=words):
        decode_all(czi(tiles))


def test_damaged_and_cut_files_are_refused() -> None:
    data = stack_file(xml=b"", compression=ZSTD)
    for end in range(0, len(data) - 32, 97):
        with pytest.raises((CorruptImage, UnsupportedImage)):
            decode_all(data[:end])
    # Names of segments, and where the directory, and how large a block is said to be.
    for at in (0, 84, 544, 584, 620):
        spoilt = bytearray(data)
        spoilt[at : at + 4] = b"\xff\xff\xff\x7f"
        with pytest.raises((CorruptImage, UnsupportedImage)):
            decode_all(bytes(spoilt))


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
@pytest.mark.parametrize("bomb", ["inflates", "overlaps", "far apart", "entries"])
def test_bombs_are_refused_before_they_take_memory_or_time(tmp_path: Path, bomb: str) -> None:
    small = np.zeros((8, 8), np.uint8)
    zeros = imagecodecs.zstd_encode(bytes(1 << 30)) if bomb == "inflates" else b""
    data = {
        "inflates": lambda: czi([Tile(small, compression=ZSTD, data=zeros)]),
        "overlaps": lambda: czi([Tile(small, {"M": n}) for n in range(5000)], size=(2000, 2000)),
        "far apart": lambda: czi([Tile(small), Tile(small, left=2**31 - 9, top=2**31 - 9)]),
        "entries": lambda: czi([Tile(small)]).replace(
            b"\x01\0\0\0" + bytes(124), b"\0\0\x0f\0" + bytes(124)
        ),
    }[bomb]()
    path = tmp_path / "bomb.czi"
    path.write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, path], capture_output=True, text=True, timeout=60, check=True
    )
    said, megabytes = done.stdout.splitlines()
    assert "bomb.czi: " in said
    assert int(megabytes) < MOST_MEGABYTES
