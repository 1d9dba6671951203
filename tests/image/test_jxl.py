"""JPEG XL comes back exactly where it came without loss."""

from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from restore.errors import CorruptImage, ImageTooLarge, OutputError, UnsupportedImage
from restore.image.cicp import Cicp
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.jxl_header import labelled_srgb, read_jxl_header
from restore.image.losses import losses
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture, Transfer, upright_plane
from restore.image.tone import light_of

EXIF = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00Zo\xc3\xab"


def noise(channels: int, depth: int) -> np.ndarray:
    peak = 2**depth - 1
    codes = np.random.default_rng(0).integers(0, peak + 1, (channels, 30, 40))
    return (codes / peak).astype(np.float32)


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("has_alpha", [False, True])
def test_without_loss_every_sample_comes_back(channels: int, depth: int, has_alpha: bool) -> None:
    picture = Picture(
        pixels=noise(channels, depth),
        alpha=noise(1, depth)[0] if has_alpha else None,
        bit_depth=depth,
        exif=EXIF,
        xmp=b"<x:xmpmeta/>",
        is_lossless=True,
    )
    result = decode(encode(picture, "jxl"))
    assert np.array_equal(result.pixels, picture.pixels)
    if picture.alpha is not None and result.alpha is not None:
        assert np.array_equal(result.alpha, picture.alpha)
    assert (result.bit_depth, result.transfer) == (depth, Transfer.SRGB)
    assert (result.exif, result.xmp) == (EXIF, b"<x:xmpmeta/>")
    assert result.is_lossless
    assert result.cicp is None


def test_light_comes_back_with_what_is_above_white() -> None:
    light = np.random.default_rng(0).random((3, 20, 30), np.float32) * 5 - 1
    picture = Picture(pixels=light, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    result = decode(encode(picture, "jxl"))
    assert np.array_equal(result.pixels, light)
    assert (result.is_float, result.transfer) == (True, Transfer.LINEAR)


def test_eight_bits_are_written_with_loss_unless_they_came_without() -> None:
    smooth = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(1, 30, 40).repeat(3, 0)
    picture = Picture(pixels=smooth)
    lossy, exact = (decode(encode(picture, "jxl", quality=quality)) for quality in (None, 100))
    assert not lossy.is_lossless
    assert psnr_chw(lossy.pixels, smooth) > 38
    assert exact.is_lossless
    assert np.abs(exact.pixels - smooth).max() < 0.51 / 255


def test_quality_is_refused_where_there_is_no_loss() -> None:
    with pytest.raises(OutputError, match="leave out quality, or add bit_depth=8"):
        encode(Picture(pixels=noise(3, 16), bit_depth=16), "jxl", quality=90)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_stored_upright(orientation: int) -> None:
    """Decoders turn what the header says, and do not look into EXIF."""
    stored = Picture(
        pixels=noise(3, 16), bit_depth=16, orientation=orientation, exif=EXIF, xmp=b"<x/>"
    )
    result = decode(encode(stored, "jxl"))
    assert np.array_equal(result.pixels, upright_plane(stored.pixels, orientation))
    assert (result.orientation, result.exif, result.xmp) == (1, EXIF, b"<x/>")


def test_other_colours_are_converted_and_said_to_be() -> None:
    picture = decode(encode(Picture(pixels=noise(3, 8), cicp=Cicp(12, 13)), "png"))
    with losses() as lost:
        result = decode(encode(picture, "jxl"))
    assert lost == ["its colour space: JPEG XL is written in sRGB"]
    assert result.cicp is None


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
def test_a_new_label_leaves_samples_alone(shape: tuple[int, ...]) -> None:
    """As encoded, 16 bits are declared to be linear; another decoder reads the label as sRGB."""
    pillow_jxl = pytest.importorskip("pillow_jxl")
    samples = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    linear = imagecodecs.jpegxl_encode(samples, lossless=True, usecontainer=False)
    codestream = bytes(linear[linear.find(b"\xff\x0a") :])
    labelled = labelled_srgb(codestream)
    assert np.array_equal(imagecodecs.jpegxl_decode(labelled), samples)
    before, after = (read_jxl_header(each).cicp for each in (codestream, labelled))
    assert before is not None
    assert after is not None
    assert (before.transfer, after.transfer) == (8, 13)
    profile = pillow_jxl.Decoder(num_threads=0)(labelled)[3]
    assert b"L\x00i\x00n" not in profile


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ImageTooLarge, match="40x30"):
        decode(encode(Picture(pixels=noise(3, 8)), "jxl"), max_pixels=1000)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.95])
@pytest.mark.parametrize("exif", [None, EXIF])
def test_a_file_that_is_cut_short_is_refused(share: float, exif: bytes | None) -> None:
    encoded = encode(Picture(pixels=noise(3, 16), bit_depth=16, exif=exif), "jxl")
    with pytest.raises((CorruptImage, UnsupportedImage)):
        decode(encoded[: max(2, int(share * len(encoded)))])


def test_real_files(shared_data: Path) -> None:
    folder = shared_data / "files/jxl"
    premultiplied = decode(folder / "alpha_premultiplied.jxl")
    assert (premultiplied.bit_depth, premultiplied.alpha_is_premultiplied) == (12, True)
    recompressed = decode(folder / "bench_oriented_brg.jxl")
    assert (recompressed.width, recompressed.height) == (606, 500)
    assert recompressed.icc is not None
    assert recompressed.exif is not None
    assert recompressed.exif.startswith((b"II", b"MM"))
    floats = decode(folder / "lossless_pfm.jxl")
    assert floats.is_float
    assert floats.is_lossless
    assert floats.pixels.min() < 0
    assert decode(folder / "sunset_logo.jxl").bit_depth == 10
    with pytest.raises(UnsupportedImage, match="animation"):
        decode(folder / "animation_spline.jxl")
    with pytest.raises(UnsupportedImage, match="djxl"):
        decode(folder / "grayscale.jxl")


def relabelled(label: list[int]) -> bytes:
    """Return a codestream of 16 bits whose colour space is stated by these bits."""
    codestream = bytes(imagecodecs.jpegxl_encode(
        np.zeros((20, 30, 3), np.uint16), lossless=True, usecontainer=False
    ))  # fmt: skip
    codestream = codestream[codestream.index(b"\xff\x0a") :]
    header = read_jxl_header(codestream)
    bits = [byte >> place & 1 for byte in codestream[2:64] for place in range(8)]
    start, end = header.colour_bits
    packed = bits[:start] + label + bits[end : header.end_bit]
    packed += [0] * (-len(packed) % 8)
    head = bytes(
        sum(bit << place for place, bit in enumerate(packed[index : index + 8]))
        for index in range(0, len(packed), 8)
    )
    return b"\xff\x0a" + head + codestream[2 + -(-header.end_bit // 8) :]


def number(value: int, count: int) -> list[int]:
    return [value >> place & 1 for place in range(count)]


def test_a_gamma_becomes_a_profile() -> None:
    """RGB, white D65, primaries of sRGB, gamma 1/1.8, relative intent."""
    label = [0, 0, 0, 0, 1, 0, 1, 0, 1, *number(5_555_556, 24), 1, 0]
    picture = decode(relabelled(label))
    assert picture.cicp is None
    assert picture.icc is not None
    gray = replace(picture, pixels=np.full_like(picture.pixels, 0.5))
    assert light_of(gray).mean() == pytest.approx(0.5**1.8, abs=1e-3)


def test_primaries_of_ones_own_become_a_profile() -> None:
    """Those of Adobe RGB (1998), with sRGB's curve."""
    corners = [0.64, 0.33, 0.21, 0.71, 0.15, 0.06]
    packed = []
    for corner in corners:
        value = round(corner * 1_000_000) << 1
        way, least, count = next(
            (way, least, count)
            for way, (least, count) in enumerate(
                [(0, 19), (1 << 19, 19), (1 << 20, 20), (1 << 21, 21)]
            )
            if value - least < 1 << count
        )
        packed += [*number(way, 2), *number(value - least, count)]
    label = [0, 0, 0, 0, 1, 0, 0, 1, *number(0, 4), *packed, 0, 0, 1, *number(11, 4), 1, 0]
    picture = decode(relabelled(label))
    assert picture.icc is not None
    assert picture.primaries.split()[2:4] == ["0.2100", "0.7100"]
