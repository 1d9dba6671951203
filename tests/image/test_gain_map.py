"""JPEG with a gain map, read by libultrahdr, by Pillow and by the published descriptions."""

import io
import struct
import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from restore.image.colour import linear_to_srgb
from restore.image.gain_map import write_gain_map
from restore.image.jpeg_stream import header_segments
from restore.image.losses import losses
from restore.image.picture import Picture

HDRGM = "{http://ns.adobe.com/hdr-gain-map/1.0/}"
ITEM = "{http://ns.google.com/photos/1.0/container/item/}"
XMP, ISO = b"http://ns.adobe.com/xap/1.0/\x00", b"urn:iso:std:iso:ts:21496:-1\x00"
P3 = "0.68 0.32 0.265 0.69 0.15 0.06 0.3127 0.329"

Light = NDArray[np.float32]


def scene(height: int = 64, width: int = 96) -> Light:
    """A gray ramp in front of which a lamp, twelve times white, and a red one stand."""
    light = np.broadcast_to(np.geomspace(0.02, 0.9, width), (3, height, width)).copy()
    light[:, 10:30, 10:30] = 12.0
    light[:, 40:60, 10:30] = np.array([6.0, 0.2, 0.1])[:, None, None]
    return light.astype(np.float32)


def written(light: Light, **fields: object) -> bytes:
    """Write the light with twice its brightness, clipped, as the base."""
    return write_gain_map(
        Picture(pixels=linear_to_srgb((light * 2).clip(0, 1)), **fields),  # type: ignore[arg-type]
        light,
    )


def parts(data: bytes) -> list[bytes]:
    """The two pictures of a file, as Pillow finds them by the multi-picture index."""
    with Image.open(io.BytesIO(data)) as image:
        # Pillow reads the index, but opens files with the XMP of a gain map as single pictures.
        entries = image._getmp()[0xB002]
    found = []
    for entry in entries:
        start = entry["DataOffset"]
        start += data.index(b"MPF\x00") + 4 if start else 0
        found.append(data[start : start + entry["Size"]])
    assert b"".join(found) == data
    return found


def block(jpeg: bytes, head: bytes) -> bytes:
    """The only segment that begins with a head, without it."""
    contents = [jpeg[each.start + 4 : each.stop] for each in header_segments(jpeg)]
    (found,) = (content for content in contents if content.startswith(head))
    return found[len(head) :]


def without(data: bytes, head: bytes) -> bytes:
    """A file whose segments with a head are named otherwise: of the same length, and not found."""
    return data.replace(head, b"x" + head[1:])


def test_an_index_in_the_files_own_metadata_is_left_alone() -> None:
    exif = b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00MPF\x00" + bytes(90)
    data = written(scene(), exif=exif)
    assert exif in data
    assert imagecodecs.ultrahdr_decode(data).shape[:2] == (64, 96)


@pytest.mark.parametrize("size", [(64, 96), (63, 95)])
@pytest.mark.parametrize("hidden", [b"", XMP, ISO])
def test_libultrahdr_restores_the_light_by_either_statement(
    size: tuple[int, int], hidden: bytes
) -> None:
    light = scene(*size)
    data = written(light)
    if hidden:
        data = without(data, hidden)
    restored = imagecodecs.ultrahdr_decode(data).astype(np.float32)[..., :3].transpose(2, 0, 1)
    assert restored.shape == light.shape
    stops = np.abs(np.log2((restored + 1 / 64) / (light + 1 / 64)))
    assert np.median(stops) < 0.03
    assert np.quantile(stops, 0.95) < 0.15


def test_both_statements_say_the_same() -> None:
    primary, gain_map = parts(written(scene()))
    tree = ElementTree.fromstring(block(gain_map, XMP))
    (described,) = (each for each in tree.iter() if f"{HDRGM}Version" in each.attrib)
    said = {key.removeprefix(HDRGM): value for key, value in described.items()}
    assert (said["Version"], said["BaseRenditionIsHDR"]) == ("1.0", "False")
    iso = block(gain_map, ISO)
    assert struct.unpack_from(">HHB", iso) == (0, 0, 0x40)
    numbers = [Fraction(*pair) for pair in struct.iter_unpack(">iI", iso[5:])]
    names = ("HDRCapacityMin", "HDRCapacityMax", "GainMapMin", "GainMapMax", "Gamma",
             "OffsetSDR", "OffsetHDR")  # fmt: skip
    assert numbers == [Fraction(said[name]) for name in names]
    assert float(said["HDRCapacityMax"]) == pytest.approx(np.log2(12), abs=1e-3)
    assert block(primary, ISO) == bytes(4)
    directory = ElementTree.fromstring(block(primary, XMP))
    items = [each for each in directory.iter() if f"{ITEM}Semantic" in each.attrib]
    assert [each.get(f"{ITEM}Semantic") for each in items] == ["Primary", "GainMap"]
    assert items[1].get(f"{ITEM}Length") == str(len(gain_map))
    assert any(each.get(f"{HDRGM}Version") == "1.0" for each in directory.iter())


def test_exif_xmp_and_primaries_of_the_source_are_kept() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "A camera"
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
        b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="there"/></rdf:RDF></x:xmpmeta>'
    )
    block_of_exif = exif.tobytes().removeprefix(b"Exif\x00\x00")
    primary, _ = parts(written(scene(), exif=block_of_exif, xmp=xmp, primaries=P3))
    with Image.open(io.BytesIO(primary)) as image:
        assert image.getexif()[ExifTags.Base.Model] == "A camera"
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])).profile
    assert profile.chromatic_adaptation is not None
    assert profile.red_primary[1][:2] == pytest.approx((0.68, 0.32), abs=3e-3)
    packet = block(primary, XMP)
    assert b'dc:source="there"' in packet
    ElementTree.fromstring(packet)


def test_a_packet_without_place_for_the_map_is_given_up_with_a_line() -> None:
    with losses() as lost:
        primary, _ = parts(written(scene(), xmp=b"<x:xmpmeta/>"))
    assert lost == ["its XMP, which has no place beside that of the gain map"]
    assert b"GainMap" in block(primary, XMP)


@pytest.mark.parametrize(
    "light", [np.zeros((3, 9, 11)), np.ones((3, 1, 1)), np.full((3, 9, 11), np.inf)]
)
def test_flat_and_tiny_pictures_are_written(light: Light) -> None:
    with Image.open(io.BytesIO(written(light.astype(np.float32)))) as image:
        assert image.size == light.shape[:0:-1]
