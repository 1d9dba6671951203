"""Captures that say which optical element they went through."""

import numpy as np
import pytest
from PIL import Image

from restore.errors import InputError
from restore.hdr.captured_element import check_capture, exif_with_element, stated_element
from restore.image.metadata import bare_exif, exif_directories
from restore.image.picture import Picture

_DESCRIPTION = 0x010E


def _captured(exif: bytes | None) -> Picture:
    return Picture(pixels=np.zeros((3, 4, 4), np.float32), exif=exif)


def _described(text: str) -> bytes:
    exif = Image.Exif()
    exif[_DESCRIPTION] = text
    return bare_exif(exif.tobytes()) or b""


def test_a_description_keeps_what_it_said_before() -> None:
    exif = exif_with_element(_described("night, tripod"), "abc123")
    assert exif is not None
    assert exif_directories(exif)[0][_DESCRIPTION] == "night, tripod; imrestoreElement=abc123"
    again = exif_with_element(exif, "def456")
    assert again is not None
    assert exif_directories(again)[0][_DESCRIPTION] == "night, tripod; imrestoreElement=def456"
    assert stated_element(_captured(again)) == "def456"


@pytest.mark.parametrize(
    "exif", [None, b"", b"II*", _described("imrestoreElementary"), _described("x")]
)
def test_files_that_name_no_element_go_with_any(exif: bytes | None) -> None:
    assert stated_element(_captured(exif)) == ""
    check_capture(_captured(exif), "abc123", "mine")


def test_another_element_is_refused() -> None:
    capture = _captured(exif_with_element(None, "def456"))
    check_capture(capture, "def456", "mine")
    check_capture(capture, None, "mine")
    with pytest.raises(InputError, match="def456, and mine was trained for abc123"):
        check_capture(capture, "abc123", "mine")
