"""HEIC comes back with its depth, colours and metadata."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from restore.errors import CorruptImage, ImageTooLarge, UnsupportedImage
from restore.image.cicp import Cicp
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.losses import losses
from restore.image.metrics import psnr_chw
from restore.image.picture import Picture

pillow_heif = pytest.importorskip("pillow_heif")

EXIF = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00Zo\xc3\xab"


def smooth(channels: int = 3, depth: int = 8) -> Picture:
    noise = np.random.default_rng(0).random((channels, 48, 70))
    waves = ndimage.gaussian_filter(noise, (0, 4, 4))
    waves = (waves - waves.min()) / np.ptp(waves)
    peak = 2**depth - 1
    return Picture(pixels=(np.rint(waves * peak) / peak).astype(np.float32), bit_depth=depth)


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("channels", [1, 3])
def test_depth_pixels_and_metadata_come_back(channels: int, depth: int) -> None:
    picture = smooth(channels, depth)
    stored = Picture(pixels=picture.pixels, bit_depth=depth, exif=EXIF, xmp=b"<x:xmpmeta/>")
    result = decode(encode(stored, "heic"))
    assert (result.bit_depth, result.channels) == (depth, channels)
    assert psnr_chw(result.pixels, picture.pixels) > 42
    assert (result.exif, result.xmp) == (EXIF, b"<x:xmpmeta/>")
    assert result.cicp is None or result.cicp.is_srgb


def test_transparency_comes_back() -> None:
    picture = smooth()
    alpha = np.tile(np.linspace(0, 1, 70, dtype=np.float32), (48, 1))
    result = decode(encode(Picture(pixels=picture.pixels, alpha=alpha), "heic"))
    assert result.alpha is not None
    assert np.abs(result.alpha - alpha).max() < 2 / 255


@pytest.mark.parametrize("codes", [Cicp(12, 13, 6), Cicp(9, 16, 9), Cicp(9, 18, 9)])
def test_code_points_come_back_and_become_a_profile_elsewhere(codes: Cicp) -> None:
    picture = smooth(depth=10)
    wide = Picture(pixels=picture.pixels, bit_depth=10, cicp=codes)
    result = decode(encode(wide, "heic"))
    assert result.cicp == codes
    assert decode(encode(result, "png")).cicp is not None
    assert decode(encode(result, "tiff")).icc is not None


def test_a_profile_and_the_orientation_come_back() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    turned = Picture(pixels=smooth().pixels, icc=profile, orientation=6)
    result = decode(encode(turned, "heic"))
    assert result.icc == profile
    # libheif turns what it decodes.
    assert (result.orientation, result.height, result.width) == (1, 70, 48)
    assert psnr_chw(result.pixels, np.rot90(turned.pixels, -1, (1, 2))) > 40


@pytest.mark.parametrize("image_format", ["heic", "avif"])
def test_the_orientation_of_exif_counts_where_the_boxes_say_none(image_format: str) -> None:
    tags = Image.Exif()
    tags[0x0112] = 1
    upright = tags.tobytes().removeprefix(b"Exif\x00\x00")
    tags[0x0112] = 6
    lying = tags.tobytes().removeprefix(b"Exif\x00\x00")
    written = encode(Picture(pixels=smooth().pixels, exif=upright), image_format)
    assert written.count(upright) == 1
    read = decode(written.replace(upright, lying))
    assert (read.orientation, read.height, read.width) == (6, 48, 70)
    assert read.exif == lying
    again = decode(encode(read, "jpeg"))
    assert (again.orientation, again.height, again.width) == (6, 48, 70)


def test_code_points_stay_beside_a_profile() -> None:
    """PQ wins over a profile, which is there for viewers that do not know it."""
    picture = smooth(depth=10)
    both = Picture(pixels=picture.pixels, bit_depth=10, cicp=Cicp(9, 16, 9), icc=b"\0" * 128)
    assert decode(encode(both, "heic")).cicp == Cicp(9, 16, 9)


def test_other_readers_see_the_same_picture() -> None:
    picture = smooth()
    encoded = encode(picture, "heic", quality=95)
    heif = pillow_heif.open_heif(io.BytesIO(encoded))
    seen = np.asarray(heif).transpose(2, 0, 1) / 255
    assert psnr_chw(seen.astype(np.float32), picture.pixels) > 42
    assert heif.info["nclx_profile"]["full_range_flag"] == 1


def test_further_pictures_and_gain_maps_are_said_to_be_left_out() -> None:
    both = io.BytesIO()
    images = pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red"))
    images.add_from_pillow(Image.new("RGB", (64, 64), "blue"))
    images.save(both)
    picture = decode(both.getvalue())
    assert picture.left_out == ["1 more picture of the file"]
    with losses() as lost:
        encode(picture, "png")
    assert lost == ["1 more picture of the file"]


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    encoded = encode(smooth(), "heic")
    with pytest.raises(ImageTooLarge, match="70x48"):
        decode(encoded, max_pixels=1000)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_file_that_is_cut_short_is_refused(share: float) -> None:
    encoded = encode(smooth(), "heic")
    with pytest.raises((CorruptImage, UnsupportedImage)):
        decode(encoded[: int(share * len(encoded))])


def test_real_files(shared_data: Path) -> None:
    iphone, old, nokia = (
        decode(shared_data / "files/heic" / name)
        for name in ("iphone_13_pro_max.heic", "iphone_7.heic", "nokia_hdr.heif")
    )
    assert (iphone.width, iphone.height) == (3024, 4032)
    assert "its HDR gain map" in iphone.left_out
    assert iphone.icc is not None
    assert old.icc is not None, "a grid's profile may be stated by its tiles only"
    assert nokia.cicp == Cicp(5, 1, 5, is_full_range=False)
    for picture in (iphone, old, nokia):
        assert picture.exif is not None
    assert iphone.orientation == nokia.orientation == 1
    assert old.orientation == 6, "its boxes say nothing of it; EXIF does"
