"""Words that a container holds beside the picture: kept in it, stripped, never elsewhere."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngInfo

from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.jpeg_metadata import kept_notes
from restore.image.jpeg_stream import segment
from restore.image.losses import losses
from restore.image.picture import Picture

MakePicture = Callable[..., Picture]

PNG, JPEG = ImageFormat.PNG, ImageFormat.JPEG


def photograph_with_notes(image_format: ImageFormat) -> bytes:
    """Return a file with IPTC, a comment and pixels per inch, or with texts, as others write it."""
    file = io.BytesIO()
    image = Image.new("RGB", (12, 8), "teal")
    if image_format is PNG:
        texts = PngInfo()
        texts.add_text("Author", "Ada")
        texts.add_itxt("Title", "Ulm, Münster", zip=True)
        image.save(file, "PNG", pnginfo=texts, dpi=(300, 300))
        return file.getvalue()
    image.save(file, "JPEG", dpi=(300, 240), comment=b"from the tower")
    jpeg = file.getvalue()
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x08\x1c\x02\x74\x00\x03Ada"
    return jpeg[:20] + b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc + jpeg[20:]


@pytest.mark.parametrize("image_format", [JPEG, PNG])
def test_what_a_container_holds_of_words_goes_back_into_it(image_format: ImageFormat) -> None:
    picture = decode(photograph_with_notes(image_format))
    with Image.open(io.BytesIO(encode(picture, image_format))) as image:
        image.load()
        dpi = [round(each) for each in image.info["dpi"]]
        if image_format is JPEG:
            assert dpi == [300, 240]
            assert image.info["comment"] == b"from the tower"
            assert IptcImagePlugin.getiptcinfo(image) == {(2, 116): b"Ada"}
        else:
            assert dpi == [300, 300]
            assert (image.info["Author"], image.info["Title"]) == ("Ada", "Ulm, Münster")
    assert decode(encode(picture, image_format)).notes == picture.notes


def test_exif_stays_in_front_and_the_density_is_said_once(make_picture: MakePicture) -> None:
    """Readers look for orientation in the segments in front; a comment may be the first of all."""
    jfif = b"JFIF\x00\x01\x02"
    found = [
        (0xFE, b"first"),
        (0xE0, jfif),
        (0xE0, jfif + b"\x01" * 7),
        (0xE0, jfif + b"\x02" * 7),
        (0xED, b"other"),
        (0xED, b"Photoshop 3.0\x00..."),
    ]
    file = b"\xff\xd8" + b"".join(segment(*each) for each in found)
    notes = kept_notes(file, len(file), None)
    picture = replace(make_picture(3), format=JPEG, notes=notes)
    with Image.open(io.BytesIO(encode(picture, JPEG))) as image:
        image.load()
        assert isinstance(image, JpegImageFile)
        names = [name for name, _ in image.applist]
        assert names.index("APP1") < names.index("COM") < names.index("APP13")
        assert (names.count("APP0"), names.count("APP13")) == (1, 1)
        assert image.info["jfif_density"] == (257, 257)


@pytest.mark.parametrize("image_format", [JPEG, PNG])
def test_notes_are_stripped_and_stay_out_of_other_containers(image_format: ImageFormat) -> None:
    picture = decode(photograph_with_notes(image_format))
    other = PNG if image_format is JPEG else JPEG
    for data in (encode(picture, image_format, strip_metadata=True), encode(picture, other)):
        assert b"Ada" not in data
        assert b"tower" not in data
        np.testing.assert_allclose(decode(data).pixels, picture.pixels, atol=0.02)


@pytest.mark.parametrize("source", [PNG, JPEG])
@pytest.mark.parametrize("target", [PNG, JPEG, ImageFormat.TIFF])
def test_pixels_per_inch_go_from_container_to_container(
    source: ImageFormat, target: ImageFormat
) -> None:
    picture = decode(photograph_with_notes(source))
    with Image.open(io.BytesIO(encode(picture, target))) as image:
        found = [round(float(each), 1) for each in image.info["dpi"]]
    assert found == ([300, 240] if source is JPEG else [300, 300])


def test_where_they_cannot_be_stated_a_line_says_so() -> None:
    picture = decode(photograph_with_notes(JPEG))
    with losses() as lost:
        encode(picture, ImageFormat.WEBP)
    assert lost == ["its IPTC, comment and resolution of 300 dpi"]
