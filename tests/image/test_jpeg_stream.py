"""A JPEG's own quality and coded data."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.jpeg_stream import end_of_stream, fine_tables, without_metadata
from restore.image.picture import Picture

JPEG, PNG = ImageFormat.JPEG, ImageFormat.PNG
NOISE = np.random.default_rng(0).integers(0, 256, (41, 50, 3), dtype=np.uint8)
SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def opened(data: bytes) -> JpegImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, JpegImageFile)
    return image


def tables(image: JpegImageFile) -> list[list[int]]:
    """Return the table of each component."""
    return [list(image.quantization[table]) for *_, table in image.layer]


def changed(picture: Picture) -> Picture:
    return picture.with_pixels(picture.pixels * np.float32(0.9))


def scans(data: bytes) -> tuple[bytes, bytes]:
    return without_metadata(data[: end_of_stream(data)])


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("quality", [90, 93, 98, 100])
def test_fine_tables_and_their_sampling_are_taken_over(quality: int, sampling: str) -> None:
    source = jpeg(quality=quality, subsampling=sampling)
    result = opened(encode(changed(decode(source)), JPEG))
    assert tables(result) == tables(opened(source))
    assert get_sampling(result) == SAMPLINGS[sampling]


@pytest.mark.parametrize("quality", [5, 50, 75, 89])
def test_coarse_tables_are_replaced(quality: int) -> None:
    result = opened(encode(changed(decode(jpeg(quality=quality, subsampling="4:2:0"))), JPEG))
    assert result.quantization == opened(jpeg(quality=95)).quantization
    assert get_sampling(result) == SAMPLINGS["4:4:4"]


def test_a_quality_that_is_asked_for_counts() -> None:
    picture = decode(jpeg(quality=98, subsampling="4:2:0"))
    for each in (picture, changed(picture)):
        result = opened(encode(each, JPEG, quality=80))
        assert result.quantization == opened(jpeg(quality=80)).quantization
        assert get_sampling(result) == SAMPLINGS["4:4:4"]


def test_tables_of_ones_own_are_compared_by_their_sums() -> None:
    fine, coarse = [3] * 64, [40] * 64
    assert fine_tables(jpeg(qtables=[fine, fine])) is not None
    assert fine_tables(jpeg(qtables=[fine, coarse])) is None
    assert fine_tables(jpeg(qtables=[coarse, fine])) is None
    assert fine_tables(jpeg("L", qtables=[fine])) is not None


@pytest.mark.parametrize(
    "source",
    [
        jpeg(quality=70),
        jpeg("L", quality=70),
        jpeg(quality=95, progressive=True),
        jpeg(quality=80, restart_marker_blocks=2),
        jpeg(quality=80, keep_rgb=True),
    ],
    ids=["baseline", "gray", "progressive", "restarts", "rgb"],
)
def test_unchanged_pixels_keep_their_coded_data(source: bytes) -> None:
    picture = decode(source)
    result = encode(picture, JPEG)
    assert scans(result) == scans(source)
    np.testing.assert_array_equal(decode(result).pixels, picture.pixels)
    assert scans(encode(changed(picture), JPEG)) != scans(source)


def test_pixels_that_were_changed_in_place_are_coded_anew() -> None:
    picture = decode(jpeg(quality=95))
    picture.pixels[:, 5, 7] = 1 - picture.pixels[:, 5, 7]  # a row without checksum
    result = encode(picture, JPEG)
    np.testing.assert_allclose(decode(result).pixels[:, 5, 7], picture.pixels[:, 5, 7], atol=0.2)


def test_metadata_are_stripped_from_copied_data() -> None:
    source = jpeg(quality=80, comment=b"secret", xmp=b"<secret/>")
    result = encode(decode(source), JPEG, strip_metadata=True)
    assert b"secret" not in result
    assert scans(result) == scans(source)


def test_what_is_cut_short_has_no_end() -> None:
    whole = jpeg(quality=80)
    assert end_of_stream(whole + b"video") == len(whole)
    for length in range(2, len(whole), 31):
        assert end_of_stream(whole[:length]) is None


def test_real_photographs_keep_every_coded_byte(shared_data: Path) -> None:
    paths = sorted((shared_data / "files" / "orientation").glob("*.jpg"))[:4]
    for path in paths:
        source = path.read_bytes()
        assert scans(encode(decode(path), JPEG)) == scans(source)
