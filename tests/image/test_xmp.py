"""XMP of a result claims no video, gain map or extension that is not there."""

import hashlib
import io
import time

import numpy as np
import pytest
from PIL import Image

from restore.image.codecs import ImageFormat
from restore.image.decode import decode
from restore.image.encode import encode
from restore.image.gain_map import write_gain_map
from restore.image.jpeg_stream import segment
from restore.image.losses import losses
from restore.image.picture import Picture
from restore.image.xmp import Claims, claims_of, video_length, without_claims

JPEG, PNG, PPM = ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.PPM
VIDEO = b"\x00\x00\x00\x18ftypmp42" + bytes(range(200))
ITEM = b'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="%s"%s/></rdf:li>'
SPACES = b"""xmlns:x="adobe:ns:meta/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:Camera="http://ns.google.com/photos/1.0/camera/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"
 xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:xmpNote="http://ns.adobe.com/xmp/note/\""""


def packet(attributes: bytes = b"", *, items: bytes = b"", elements: bytes = b"") -> bytes:
    directory = b"<Container:Directory><rdf:Seq>%s</rdf:Seq></Container:Directory>" % items
    return (
        b'<x:xmpmeta %s><rdf:RDF><rdf:Description rdf:about="" xmp:Rating="5"%s>%s%s'
        b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    ) % (SPACES, attributes, elements, directory if items else b"")


MOTION = b" Camera:MotionPhoto=\"1\"\n Camera:MotionPhotoVersion='1'"
PRIMARY = ITEM % (b"Primary", b' Item:Mime="image/jpeg"')
GAIN_MAP = ITEM % (b"GainMap", b' Item:Length="500"')
MOTION_ITEM = ITEM % (b"MotionPhoto", b' Item:Length="%d"' % len(VIDEO))


def photo(xmp: bytes, *segments: bytes, after: bytes = b"") -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG", quality=92, xmp=xmp)
    jpeg = file.getvalue()
    return jpeg[:20] + b"".join(segments) + jpeg[20:] + after


def test_only_the_claims_go() -> None:
    full = packet(
        MOTION + b' hdrgm:Version="1.0"',
        items=PRIMARY + GAIN_MAP + MOTION_ITEM,
        elements=b"<Camera:MicroVideoOffset>17</Camera:MicroVideoOffset><Camera:Other>a</Camera:Other>",
    )
    assert claims_of(full) == Claims(video=True, gain_map=True)
    assert video_length(full) == 17
    rest = packet(elements=b"<Camera:Other>a</Camera:Other>")
    assert without_claims(full, claims_of(full)) == rest
    assert claims_of(rest) == Claims()
    assert without_claims(full, Claims(gain_map=True)) == packet(
        MOTION,
        items=PRIMARY + MOTION_ITEM,
        elements=b"<Camera:MicroVideoOffset>17</Camera:MicroVideoOffset><Camera:Other>a</Camera:Other>",
    )


@pytest.mark.parametrize(
    "claim",
    [MOTION + b' Camera:MicroVideoOffset="%d"' % len(VIDEO), MOTION],
    ids=["offset", "item"],
)
def test_the_video_of_a_motion_photo_stays_at_the_end_of_a_jpeg(claim: bytes) -> None:
    items = b"" if b"Offset" in claim else PRIMARY + MOTION_ITEM
    picture = decode(photo(packet(claim, items=items), after=VIDEO))
    with losses() as lost:
        result = encode(picture.with_pixels(picture.pixels * np.float32(0.5)), JPEG)
        assert result.endswith(VIDEO)
        read = decode(result)
        assert read.xmp == picture.xmp
        assert read.xmp is not None
        assert video_length(read.xmp) == len(VIDEO)
    assert lost == []
    for image_format in (PNG, PPM):
        with losses() as lost:
            written = encode(picture, image_format)
        assert VIDEO not in written
        assert lost == [f"its {'XMP and ' if image_format is PPM else ''}motion video"]
    assert decode(encode(picture, PNG)).xmp == packet()
    assert VIDEO not in encode(picture, JPEG, strip_metadata=True)


def test_a_video_that_is_not_there_is_claimed_no_more() -> None:
    picture = decode(photo(packet(MOTION, items=PRIMARY + MOTION_ITEM)))
    with losses() as lost:
        assert decode(encode(picture, JPEG)).xmp == packet()
    assert lost == ["its motion video"]


def test_a_gain_map_is_dropped_with_a_line_and_the_video_behind_it_is_kept() -> None:
    xmp = packet(MOTION + b' hdrgm:Version="1.0"', items=PRIMARY + GAIN_MAP + MOTION_ITEM)
    picture = decode(photo(xmp, after=bytes(500) + VIDEO))
    with losses() as lost:
        result = encode(picture, JPEG)
    assert lost == ["its HDR gain map"]
    assert result.endswith(b"\xff\xd9" + VIDEO)
    assert decode(result).xmp == packet(MOTION, items=PRIMARY + MOTION_ITEM)
    with losses() as lost:
        encode(picture, JPEG, strip_metadata=True)
    assert lost == ["its HDR gain map"]


@pytest.mark.parametrize("image_format", [PNG, JPEG])
def test_a_gain_map_that_only_segments_tell_of_is_named(image_format: ImageFormat) -> None:
    light = np.random.default_rng(0).random((3, 64, 64), dtype=np.float32) * 4
    data = write_gain_map(Picture(pixels=light.clip(0, 1)), light)
    # Of the two statements, that of ISO 21496-1 stays.
    picture = decode(data.replace(b"http://ns.adobe.com/xap", b"http://ns.other.com/xap"))
    with losses() as lost:
        encode(picture, image_format)
    assert lost == ["its HDR gain map"]


def test_samsung_has_its_video_in_a_directory_at_the_end() -> None:
    after = b"\x00\x00\x30\x0a\x10\x00\x00\x00MotionPhoto_Data" + VIDEO + b"SEFHSEFT"
    picture = decode(photo(packet(), after=after))
    assert encode(picture, JPEG).endswith(after)
    with losses() as lost:
        encode(picture, PNG)
    assert lost == ["its motion video"]


def test_the_extension_stays_in_a_jpeg() -> None:
    extension = b"<x:xmpmeta>%s</x:xmpmeta>" % (b"d" * 100_000)
    name = hashlib.md5(extension).hexdigest().upper().encode()
    head = b"http://ns.adobe.com/xmp/extension/\x00" + name
    parts = [
        segment(0xE1, head + len(extension).to_bytes(4, "big") + start.to_bytes(4, "big") + part)
        for start in (0, 65_000)
        for part in [extension[start : start + 65_000]]
    ]
    xmp = packet(b' xmpNote:HasExtendedXMP="%s"' % name)
    picture = decode(photo(xmp, *parts))
    assert picture.xmp == xmp
    with losses() as lost:
        result = encode(picture, JPEG)
        assert all(part in result for part in parts)
        assert decode(result).xmp == xmp
    assert lost == []
    with losses() as lost:
        assert decode(encode(picture, PNG)).xmp == packet()
    assert lost == ["its extended XMP"]


@pytest.mark.parametrize(
    "hostile",
    [
        b" " * 400_000,
        b"<Camera:MotionPhoto>" * 20_000,
        b' Camera:MotionPhoto="' * 20_000,
        b"<rdf:li>" * 40_000,
        b"".join(b' xmlns:a%d="http://ns.google.com/photos/1.0/camera/"' % i for i in range(6000)),
    ],
    ids=["blanks", "open", "quotes", "items", "prefixes"],
)
def test_long_nonsense_takes_no_time(hostile: bytes) -> None:
    started = time.perf_counter()
    for xmp in (
        packet(elements=hostile),
        packet(items=hostile),
        packet(hostile),
        packet(MOTION)[:-40] + hostile,
    ):
        claims = claims_of(xmp)
        video_length(xmp)
        without_claims(xmp, claims)
        without_claims(xmp, Claims(video=True, gain_map=True, extension=True))
    assert time.perf_counter() - started < 10
