"""What goes in comes out: each row of the table of formats."""

import io
from collections.abc import Callable
from dataclasses import replace

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from restore.errors import OutputError, UsageError
from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.picture import Picture, Transfer

MakePicture = Callable[..., Picture]

PNG, TIFF, JPEG, WEBP = ImageFormat.PNG, ImageFormat.TIFF, ImageFormat.JPEG, ImageFormat.WEBP
AVIF, BMP, PPM = ImageFormat.AVIF, ImageFormat.BMP, ImageFormat.PPM
EXR, HDR = ImageFormat.EXR, ImageFormat.HDR


def assert_same_samples(result: Picture, expected: Picture) -> None:
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    if expected.alpha is None:
        assert result.alpha is None
    else:
        np.testing.assert_array_equal(result.alpha, expected.alpha)
    assert result.bit_depth == expected.bit_depth
    assert result.is_float == expected.is_float


@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "rgb"])
@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("image_format", [PNG, TIFF])
def test_integers_are_exact_with_all_blocks(
    make_picture: MakePicture, image_format: ImageFormat, bit_depth: int, channels: int, alpha: bool
) -> None:
    picture = make_picture(channels, alpha=alpha, bit_depth=bit_depth)
    result = decode(encode(picture, image_format))
    assert_same_samples(result, picture)
    assert result.format is image_format
    assert result.transfer is Transfer.SRGB
    assert result.orientation == 6
    assert (result.icc, result.xmp) == (picture.icc, picture.xmp)
    if image_format is PNG:
        assert result.exif == picture.exif


@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "rgb"])
@pytest.mark.parametrize("bit_depth", [16, 32], ids=["half", "float"])
@pytest.mark.parametrize("image_format", [TIFF, EXR])
def test_floats_are_exact(
    make_picture: MakePicture, image_format: ImageFormat, bit_depth: int, channels: int, alpha: bool
) -> None:
    picture = make_picture(channels, alpha=alpha, bit_depth=bit_depth, is_float=True, bare=True)
    # The alpha of OpenEXR is by definition premultiplied.
    picture = replace(picture, alpha_is_premultiplied=alpha and image_format is EXR)
    result = decode(encode(picture, image_format))
    assert_same_samples(result, picture)
    assert result.transfer is Transfer.LINEAR


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "rgb"])
@pytest.mark.parametrize("bit_depth", [8, 16])
def test_ppm_is_exact(make_picture: MakePicture, bit_depth: int, channels: int) -> None:
    picture = make_picture(channels, bit_depth=bit_depth, bare=True)
    assert_same_samples(decode(encode(picture, PPM)), picture)


def test_radiance_comes_back_unchanged_the_second_time(make_picture: MakePicture) -> None:
    picture = make_picture(is_float=True, bit_depth=32, bare=True)
    once = encode(decode(encode(picture, HDR)), HDR)
    first, second = decode(once), decode(encode(decode(once), HDR))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    positive = picture.pixels.clip(0)
    np.testing.assert_allclose(first.pixels, positive, atol=positive.max() / 100)


@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "alpha"])
def test_webp_at_quality_100_is_exact(make_picture: MakePicture, alpha: bool) -> None:
    picture = make_picture(alpha=alpha)
    assert_same_samples(decode(encode(picture, WEBP, quality=100)), picture)


def test_webp_without_loss_stays_so(make_picture: MakePicture) -> None:
    lossless = decode(encode(make_picture(), WEBP, quality=100))
    assert_same_samples(decode(encode(lossless, WEBP)), lossless)
    lossy = decode(encode(lossless, WEBP, quality=95))
    assert len(encode(lossless, WEBP, quality=95)) == len(
        encode(lossy.with_pixels(lossless.pixels), WEBP)
    )
    assert not decode(encode(lossy, WEBP)).is_lossless


@pytest.mark.parametrize("image_format", [JPEG, WEBP, AVIF])
def test_lossy_containers_stay_close_and_keep_their_blocks(
    make_picture: MakePicture, image_format: ImageFormat
) -> None:
    ramp = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(1, 48, 64).repeat(3, axis=0)
    picture = make_picture().with_pixels(ramp)
    result = decode(encode(picture, image_format))
    assert np.abs(result.pixels - ramp).max() < 0.03
    assert (result.icc, result.xmp) == (picture.icc, picture.xmp)
    assert result.orientation == 6
    written = Image.Exif()
    written.load(b"Exif\x00\x00" + (result.exif or b""))
    assert written[0x010F] == "Maker"
    assert written.get_ifd(0x8769)[0x8827] == 6400


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", [PNG, JPEG, WEBP, AVIF])
def test_all_orientations_are_kept_and_pixels_are_not_turned(
    make_picture: MakePicture, image_format: ImageFormat, orientation: int
) -> None:
    block = Image.Exif()
    block[0x0112] = orientation
    picture = replace(make_picture(bare=True), exif=block.tobytes()[6:], orientation=orientation)
    result = decode(encode(picture, image_format, quality=100))
    assert result.orientation == orientation
    assert result.pixels.shape == picture.pixels.shape
    assert np.abs(result.pixels - picture.pixels).mean() < 0.1


def test_phone_pictures_with_a_second_frame_give_the_first() -> None:
    first, second = Image.new("RGB", (8, 6), "red"), Image.new("RGB", (8, 6), "blue")
    buffer = io.BytesIO()
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    picture = decode(buffer.getvalue())
    assert picture.format is JPEG
    assert picture.pixels[0].min() > 0.9


def test_a_profile_of_many_jpeg_segments_survives(make_picture: MakePicture) -> None:
    profile = np.random.default_rng(0).bytes(200_000)
    assert decode(encode(replace(make_picture(), icc=profile), JPEG)).icc == profile


def test_what_a_container_cannot_hold_is_said_in_a_sentence() -> None:
    wide = Picture(pixels=np.zeros((1, 1, 16_384), np.float32))
    with pytest.raises(OutputError, match="16383 pixels"):
        encode(wide, WEBP)


def test_infinities_and_nan_never_reach_integers_unclipped() -> None:
    values = np.array([[[np.nan, np.inf, -np.inf, 1.0]]], np.float32).repeat(3, axis=0)
    picture = Picture(pixels=values, is_float=True, bit_depth=32, transfer=Transfer.LINEAR)
    for image_format in (PNG, PPM):
        seen = decode(encode(picture, image_format)).pixels
        np.testing.assert_array_equal(seen[0, 0], [0, 1, 0, 1])
    assert decode(encode(picture, HDR)).pixels[0, 0].tolist() == pytest.approx(
        [0, 1.6e38, 0, 1], rel=0.01
    )


def test_jpeg_exif_survives_byte_for_byte(make_picture: MakePicture) -> None:
    picture = make_picture()
    assert decode(encode(picture, JPEG)).exif == picture.exif


@pytest.mark.parametrize("image_format", [JPEG, WEBP, AVIF])
def test_systems_without_files_in_memory_write_the_same(
    make_picture: MakePicture, monkeypatch: pytest.MonkeyPatch, image_format: ImageFormat
) -> None:
    picture = make_picture(3)
    encoded = encode(picture, image_format)
    monkeypatch.delattr("os.memfd_create", raising=False)
    assert encode(picture, image_format) == encoded


def test_bmp_is_read_and_not_written(make_picture: MakePicture) -> None:
    picture = make_picture(bare=True)
    buffer = io.BytesIO()
    codes = np.rint(picture.pixels * 255).astype(np.uint8).transpose(1, 2, 0)
    Image.fromarray(codes).save(buffer, "BMP")
    assert_same_samples(decode(buffer.getvalue()), picture)
    with pytest.raises(UsageError, match="image_format='png'"):
        encode(picture, BMP)


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("image_format", [PNG, TIFF])
def test_other_readers_see_the_same_values(
    make_picture: MakePicture, image_format: ImageFormat, bit_depth: int
) -> None:
    picture = make_picture(alpha=True, bit_depth=bit_depth)
    encoded = encode(picture, image_format)
    if image_format is TIFF:
        seen = tifffile.imread(io.BytesIO(encoded))
    else:
        seen = (
            imagecodecs.png_decode(encoded) if bit_depth == 16 else Image.open(io.BytesIO(encoded))
        )
    stored = np.dstack([*picture.pixels, picture.alpha]) * (2**bit_depth - 1)
    np.testing.assert_array_equal(np.asarray(seen), np.rint(stored))


@pytest.mark.parametrize("image_format", [PNG, TIFF])
def test_other_readers_see_the_blocks(
    make_picture: MakePicture, image_format: ImageFormat, icc: bytes
) -> None:
    with Image.open(io.BytesIO(encode(make_picture(), image_format))) as image:
        exif = image.getexif()
        assert (exif[0x010F], exif[0x0112]) == ("Maker", 6)
        details, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert details[0x8827] == 6400
        assert details[0x927C] == b"\x01\x02maker note"
        assert (gps[1], gps[2]) == ("N", (46.0, 30.0, 12.5))
        assert image.info["icc_profile"] == icc


def test_tiff_exif_is_stable_from_the_first_pass_on(make_picture: MakePicture) -> None:
    once = decode(encode(make_picture(), TIFF))
    twice = decode(encode(once, TIFF))
    assert once.exif == twice.exif


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
def test_tiff_keeps_the_kind_of_alpha(kind: str) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", extrasamples=[kind])
    encoded = encode(decode(buffer.getvalue()), TIFF)
    with tifffile.TiffFile(io.BytesIO(encoded)) as tiff:
        assert tiff.pages[0].extrasamples[0].name == kind.upper()
        np.testing.assert_array_equal(tiff.asarray(), samples)


def test_a_fourth_channel_of_unknown_meaning_is_not_made_opacity() -> None:
    samples = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", extrasamples=["unspecified"])
    for image_format in (PNG, ImageFormat.EXR, ImageFormat.WEBP):
        with pytest.raises(OutputError, match="image_format='tiff'"):
            encode(decode(buffer.getvalue()), image_format)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_where_it_cannot_be_kept(
    make_picture: MakePicture, orientation: int
) -> None:
    block = Image.Exif()
    block[0x0112] = orientation
    picture = make_picture(bare=True)
    tagged = picture.with_pixels(picture.pixels, exif=block.tobytes()[6:], orientation=orientation)
    with Image.open(io.BytesIO(encode(tagged, PNG))) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    for result in (encode(tagged, PPM), encode(tagged, PNG, strip_metadata=True)):
        upright = decode(result)
        assert upright.orientation == 1
        np.testing.assert_array_equal(np.rint(upright.pixels * 255).transpose(1, 2, 0), expected)


def test_stripping_keeps_only_the_profile(make_picture: MakePicture, icc: bytes) -> None:
    result = decode(encode(make_picture(), PNG, strip_metadata=True))
    assert (result.exif, result.xmp, result.icc) == (None, None, icc)


def test_depth_follows_the_picture_unless_asked(make_picture: MakePicture) -> None:
    deep = make_picture(bit_depth=16)
    assert decode(encode(deep, JPEG)).bit_depth == 8
    assert decode(encode(deep, PNG)).bit_depth == 16
    assert decode(encode(deep, PNG, bit_depth=8)).bit_depth == 8
    assert decode(encode(make_picture(), TIFF, bit_depth=16)).bit_depth == 16
    with pytest.raises(UsageError, match="JPEG holds 8 bits"):
        encode(deep, JPEG, bit_depth=16)


def test_light_is_encoded_for_integers_and_decoded_for_floats() -> None:
    linear = Picture(
        pixels=np.full((3, 2, 2), 0.5, np.float32),
        bit_depth=32,
        is_float=True,
        transfer=Transfer.LINEAR,
    )
    as_png = decode(encode(linear, PNG))
    assert as_png.pixels[0, 0, 0] == pytest.approx(0.7354, abs=1e-3)
    as_exr = decode(encode(as_png, EXR))
    assert as_exr.pixels[0, 0, 0] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("image_format", [JPEG, PPM, HDR])
def test_alpha_is_never_dropped_in_silence(
    make_picture: MakePicture, image_format: ImageFormat
) -> None:
    with pytest.raises(OutputError, match="alpha"):
        encode(make_picture(alpha=True, bare=True), image_format)


@pytest.mark.parametrize("quality", [0, 101])
def test_impossible_quality_is_refused(make_picture: MakePicture, quality: int) -> None:
    with pytest.raises(UsageError, match="quality"):
        encode(make_picture(), JPEG, quality=quality)
