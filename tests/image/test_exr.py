"""OpenEXR beyond plain round trips."""

import io
import struct
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from restore.errors import CorruptImage, ImageTooLarge, InputError, UnsupportedImage
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.losses import losses
from restore.image.picture import Picture, Transfer

PLANE = np.random.default_rng(0).standard_normal((40, 50)).astype(np.float32)


def exr(channels: dict[str, np.ndarray], **header: object) -> bytes:
    buffer = io.BytesIO()
    defaults = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(defaults | header, channels) as file:
        file.write(buffer)
    return buffer.getvalue()


def window(left: int, top: int, right: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([left, top], np.int32), np.array([right, bottom], np.int32)


def rgb() -> dict[str, np.ndarray]:
    return {name: PLANE * scale for name, scale in (("R", 1), ("G", 2), ("B", 3))}


def header_of(data: bytes) -> dict[str, object]:
    with OpenEXR.File(io.BytesIO(data), header_only=True) as file:
        return dict(file.header())


@pytest.mark.parametrize(
    "compression", ["NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "DWAA", "DWAB"]
)
def test_every_compression_is_read(compression: str) -> None:
    code = getattr(OpenEXR, f"{compression}_COMPRESSION")
    picture = decode(exr(rgb(), compression=code))
    np.testing.assert_allclose(picture.pixels[1], PLANE * 2, atol=0.2)


def test_chromaticities_and_windows_survive() -> None:
    primaries = (0.7, 0.3, 0.17, 0.8, 0.13, 0.05, 0.32, 0.33)
    source = exr(
        rgb(),
        chromaticities=primaries,
        dataWindow=window(2, 3, 51, 42),
        displayWindow=window(0, 0, 99, 79),
    )
    header = header_of(encode(decode(source), ImageFormat.EXR))
    np.testing.assert_allclose(header["chromaticities"], primaries, rtol=1e-6)
    np.testing.assert_array_equal(header["dataWindow"], window(2, 3, 51, 42))
    np.testing.assert_array_equal(header["displayWindow"], window(0, 0, 99, 79))


def test_too_bright_for_half_becomes_the_largest_half() -> None:
    pixels = np.array([[[7e4, -7e4, np.inf, 65504]]], np.float32)
    picture = Picture(pixels=pixels, is_float=True, bit_depth=16, transfer=Transfer.LINEAR)
    for image_format in (ImageFormat.EXR, ImageFormat.TIFF):
        result = decode(encode(picture, image_format))
        np.testing.assert_array_equal(result.pixels[0, 0], [65504, -65504, np.inf, 65504])


@pytest.mark.parametrize(
    "channels",
    [
        rgb() | {"Z": PLANE},
        {"R": PLANE},
        {f"layer.{name}": plane for name, plane in rgb().items()},
        {"Y": np.ones((4, 4), np.uint32)},
    ],
    ids=["depth", "red", "layer", "integers"],
)
def test_channels_that_would_be_lost_are_refused(channels: dict[str, np.ndarray]) -> None:
    with pytest.raises(UnsupportedImage):
        decode(exr(channels))


def test_several_parts_are_refused(tmp_path: Path) -> None:
    kind = {"type": OpenEXR.scanlineimage}
    parts = [OpenEXR.Part(kind | {"name": name}, {"Y": PLANE}) for name in ("left", "right")]
    with OpenEXR.File(parts) as file:
        file.write(str(tmp_path / "a.exr"))
    with pytest.raises(UnsupportedImage, match="several parts"):
        decode(tmp_path / "a.exr")


def test_cut_files_are_refused_and_the_library_prints_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    whole = exr(rgb())
    for length in range(4, len(whole), 97):
        with pytest.raises(InputError):
            decode(whole[:length])
    assert capfd.readouterr().err == ""


def test_size_is_checked_before_the_library_sees_the_file() -> None:
    whole = bytearray(exr(rgb()))
    at = whole.index(b"dataWindow\x00box2i\x00") + len(b"dataWindow\x00box2i\x00") + 4
    struct.pack_into("<4i", whole, at, 0, 0, 29999, 29999)
    with pytest.raises((ImageTooLarge, CorruptImage)):
        decode(bytes(whole))
    with pytest.raises(ImageTooLarge, match="50x40"):
        decode(exr(rgb()), max_pixels=1999)


def test_names_that_are_not_unicode_are_read(tmp_path: Path) -> None:
    path = tmp_path / b"\xff.exr".decode("utf-8", "surrogateescape")
    path.write_bytes(exr(rgb()))
    assert decode(path).width == 50


ATTRIBUTES = {
    "pixelAspectRatio": 2.0,
    "owner": "Zoë",
    "comments": "from the tower",
    "expTime": 0.01,
    "capDate": "2020:01:01 00:00:00",
    "whiteLuminance": 203.0,
    "studio/shot name of more than 31 letters": "x",
}


def test_attributes_survive_byte_for_byte() -> None:
    source = exr(rgb(), compression=OpenEXR.PIZ_COMPRESSION, **ATTRIBUTES)
    picture = decode(source)
    with losses() as lost:
        written = encode(picture, ImageFormat.EXR)
    assert lost == []
    header = header_of(written)
    assert {name: header[name] for name in ATTRIBUTES} == {
        name: header_of(source)[name] for name in ATTRIBUTES
    }
    np.testing.assert_array_equal(decode(written).pixels, picture.pixels)
    again = decode(written)
    assert again.notes == picture.notes
    with losses() as lost:
        encode(picture, ImageFormat.HDR)
    assert lost == [
        "its attributes capDate, comments, expTime, owner, pixelAspectRatio, "
        "studio/shot name of more than 31 letters, whiteLuminance"
    ]


def test_stripped_pixels_keep_their_shape() -> None:
    header = header_of(
        encode(decode(exr(rgb(), **ATTRIBUTES)), ImageFormat.EXR, strip_metadata=True)
    )
    assert header["pixelAspectRatio"] == 2.0
    assert "owner" not in header


def test_plain_files_lose_nothing() -> None:
    with losses() as lost:
        encode(decode(exr(rgb())), ImageFormat.HDR)
    assert lost == []


def test_names_of_channels_are_shown_without_control_characters() -> None:
    light = Picture(pixels=np.ones((3, 4, 5), np.float32), is_float=True, transfer=Transfer.LINEAR)
    damaged = encode(light, "exr").replace(b"G\x00", b"\x01\x00", 1)
    with pytest.raises(UnsupportedImage) as caught:
        decode(damaged)
    assert str(caught.value).isprintable()
