"""What is read, and how the rest is refused."""

import io
import resource
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.errors import CorruptImage, ImageTooLarge, InputError, UnsupportedImage
from restore.image.decode import decode
from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.picture import Transfer
from restore.image.raw_picture import RawPicture


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def png_of_zeros(width: int, height: int) -> bytes:
    """Return the first chunks of a large PNG; nothing behind them should matter."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(bytes(1000))}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks.items()
    )


def test_all_of_pngsuite(shared_data: Path) -> None:
    paths = sorted((shared_data / "files/pngsuite").glob("*.png"))
    assert len(paths) > 150
    for path in paths:
        if path.name.startswith("x"):
            with pytest.raises(InputError):
                decode(path)
            continue
        picture = decode(path)
        planes = [*picture.pixels] + ([] if picture.alpha is None else [picture.alpha])
        codes = np.rint(np.dstack(planes) * (2**picture.bit_depth - 1))
        if picture.bit_depth == 16:
            expected = imagecodecs.png_decode(path.read_bytes())
        else:
            with Image.open(path) as image:
                mode = ("L" if len(planes) < 3 else "RGB") + "A" * (len(planes) % 2 == 0)
                expected = np.asarray(image.convert(mode))
        if path.name == "tbbn0g04.png":  # Pillow compares its 4-bit transparent gray to 8 bits
            expected = np.dstack([expected[..., 0], np.where(expected[..., 0] == 255, 0, 255)])
        np.testing.assert_array_equal(codes, expected.reshape(codes.shape), err_msg=path.name)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_all_orientations_are_known(image_format: str) -> None:
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture = decode(encoded(Image.new("RGB", (16, 8)), image_format, exif=exif))
        assert picture.orientation == orientation
        assert (picture.width, picture.height) == (16, 8)


def test_the_orientations_that_cameras_write_are_known(shared_data: Path) -> None:
    for path in sorted((shared_data / "files/orientation").glob("*.jpg")):
        assert decode(path).orientation == int(path.stem[-1]), path.name


def test_damaged_files_are_refused_in_one_line_little_time_and_bounded_memory(
    shared_data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    messages = []
    for path in sorted((shared_data / "files/bad").iterdir()):
        start = time.perf_counter()
        try:
            decode(path)
        except InputError as error:
            messages.append(str(error).removeprefix(f"{path}: "))
        assert time.perf_counter() - start < 5, path.name
    assert capfd.readouterr() == ("", "")
    assert len(messages) > 40
    assert all(message and "/" not in message.split(" ")[0] for message in messages)
    assert not any("\n" in message for message in messages)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000, "KiB"


def test_bomb_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(CorruptImage, match="30000x30000"):
        decode(png_of_zeros(30000, 30000))
    with pytest.raises(ImageTooLarge, match="raise it with max_pixels"):
        decode(encoded(Image.new("L", (20, 20)), "PNG"), max_pixels=399)
    assert decode(encoded(Image.new("L", (20, 20)), "PNG"), max_pixels=400).width == 20


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF", "BMP", "PPM"])
def test_every_cut_is_noticed(kind: str) -> None:
    rng = np.random.default_rng(0)
    whole = encoded(Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)), kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(InputError, match="standard input: "):
            decode(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "is empty"),
        (b"hello world\n" * 10, "is not a picture"),
        (b"GIF89a" + b"\x00" * 60, "GIF"),
        (b"8BPS" + b"\x00" * 60, "Photoshop"),
        (b"\x00\x00\x00\x18ftypcrx " + b"\x00" * 60, "camera RAW"),
        (b"\x00\x00\x00\x18ftypisom" + b"\x00" * 60, "a video"),
        (b"II*\x00" + b"\x00" * 60, "damaged"),
    ],
)
def test_strangers_are_named(tmp_path: Path, content: bytes, advice: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=advice) as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_and_forbidden_files_say_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(InputError, match="directory"):
        decode(tmp_path)


def test_cmyk_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match="CMYK"):
        decode(encoded(Image.new("CMYK", (8, 8)), "JPEG"))
    with pytest.raises(UnsupportedImage, match="convert it"):
        decode(encoded(Image.new("CMYK", (8, 8)), "TIFF"))


def test_animations_and_pages_are_refused() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    for kind in ("PNG", "WEBP"):
        with pytest.raises(UnsupportedImage, match="is an animation"):
            decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    with pytest.raises(UnsupportedImage, match="several pages"):
        decode(encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]))


def test_palette_becomes_colour() -> None:
    image = Image.new("RGB", (8, 8), (10, 200, 30)).quantize(4)
    for kind in ("PNG", "TIFF", "BMP"):
        picture = decode(encoded(image, kind))
        assert picture.channels == 3, kind
        np.testing.assert_array_equal(np.rint(picture.pixels[:, 0, 0] * 255), [10, 200, 30])


def test_bilevel_becomes_gray() -> None:
    image = Image.new("1", (9, 8))
    image.putpixel((3, 2), 1)
    for kind in ("PNG", "TIFF", "BMP"):
        picture = decode(encoded(image, kind))
        assert picture.channels == 1, kind
        assert picture.pixels[0, 2, 3] == 1, kind
        assert picture.pixels.sum() == 1, kind


def test_transparent_colour_becomes_alpha() -> None:
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    image.putpixel((0, 0), (9, 9, 9))
    picture = decode(encoded(image, "PNG", transparency=(9, 9, 9)))
    assert picture.alpha is not None
    assert picture.alpha[0, 0] == 0
    assert picture.alpha[1:].min() == 1


def test_white_is_zero_is_inverted() -> None:
    samples = np.arange(30, dtype=np.uint8).reshape(5, 6)
    picture = decode(tiff(samples, photometric="miniswhite"))
    np.testing.assert_array_equal(np.rint(picture.pixels[0] * 255), 255 - samples)


def test_planar_big_endian_tiled_tiff_is_exact() -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (3, 40, 50), dtype=np.uint16)
    picture = decode(
        tiff(
            samples,
            photometric="rgb",
            planarconfig="separate",
            byteorder=">",
            tile=(16, 16),
            compression="lzw",
            bigtiff=True,
        )
    )
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535), samples)


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.float64, np.complex64])
def test_strange_samples_are_refused(dtype: type) -> None:
    with pytest.raises(UnsupportedImage, match="samples"):
        decode(tiff(np.zeros((5, 6), dtype=dtype), photometric="minisblack"))


def test_raw_files_are_named_as_such(sensor: Callable[..., RawPicture]) -> None:
    linear = np.zeros((3, 40, 60), dtype=np.float32)
    for file in (write_cfa_dng(sensor()), write_linear_dng(linear, sensor())):
        with pytest.raises(UnsupportedImage, match="camera RAW"):
            decode(file)


def test_ascii_and_odd_pnm() -> None:
    plain = decode(b"P3 # comment\n2 1\n# more\n15\n0 5 15\n15 0 0\n")
    np.testing.assert_allclose(plain.pixels[:, 0], [[0, 1], [1 / 3, 0], [1, 0]], atol=1e-7)
    assert decode(b"P5 1 1 65535\n\x80\x00").pixels[0, 0, 0] == pytest.approx(0x8000 / 65535)
    for broken in (b"P2 1 1 9\n10", b"P2 1 1 9\n-1", b"P2 1 1 9\n  ", b"P2 2 1 9\n1"):
        with pytest.raises(CorruptImage):
            decode(broken)
    for broken in (b"P5 2 2 255\nabc", b"P5 0 2 255\n", b"P6 x 2 255\n", b"P5 1 1 70000\n\x00\x00"):
        with pytest.raises(CorruptImage):
            decode(broken)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes(size: tuple[int, int]) -> None:
    picture = decode(encoded(Image.new("RGB", size), "PNG"))
    assert (picture.width, picture.height) == size


def test_light_above_white_is_read_as_it_is(data: Path) -> None:
    picture = decode(data / "lamp.exr")
    assert (picture.width, picture.height) == (272, 208)
    assert (picture.is_float, picture.transfer) == (True, Transfer.LINEAR)
    assert picture.pixels.max() == pytest.approx(336, abs=1)
    assert np.median(picture.pixels) == pytest.approx(0.197, abs=0.002)


def test_shared_panoramas_are_linear_light(shared_data: Path) -> None:
    for name in ("train/sky.exr", "test"):
        source = shared_data / "hdr/panoramas" / name
        path = source if source.is_file() else sorted(source.iterdir())[0]
        picture = decode(path)
        assert picture.is_float
        assert picture.pixels.max() > 1
