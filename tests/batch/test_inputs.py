"""Which files of a folder are taken, and that nothing is left out without a word."""

from collections import Counter
from pathlib import Path

import pytest

from restore.batch.inputs import find_pictures, pictures_in
from restore.batch.search import named_others
from restore.errors import UsageError
from restore.image.codecs import PICTURE_SUFFIXES


def test_files_of_other_kinds_are_counted(tmp_path: Path) -> None:
    for name in ("A.MPO", "b.jfif", "IMG.HEIC", "d.jxl", "f.jp2", "g.TIF", "h.hif"):
        (tmp_path / name).touch()
    for name in ("e.gif", "f.GIF", "IMG.mov", "notes", ".hidden.gif"):
        (tmp_path / name).touch()
    search = find_pictures([str(tmp_path)], recursive=False, output=None, suffixes=PICTURE_SUFFIXES)
    assert len(search.found) == 7
    assert search.left_out == "4 files of other kinds left out: .gif 2, .mov 1, without suffix 1"


def test_pictures_that_this_program_wrote_beside_others_are_left_out(tmp_path: Path) -> None:
    own = {
        *("_compare.png", "_preview.png", "_preview.jpg", "_error.tif", "_error-90.tif"),
        *(".history.png", ".element.png", ".height-map.png", ".height-map.tif", ".psf.exr"),
    }
    for name in (".png", *own):
        (tmp_path / f"a{name}").touch()
    search = find_pictures([str(tmp_path)], recursive=False, output=None, suffixes=PICTURE_SUFFIXES)
    assert [found.source for found in search.found] == [tmp_path / "a.png"]
    assert search.others == dict.fromkeys(own, 1)
    named = [str(tmp_path / "a_preview.png")]
    assert find_pictures(named, recursive=False, output=None, suffixes=()).found


def test_only_the_commonest_kinds_are_named() -> None:
    others = Counter({f".{letter}": 9 - index for index, letter in enumerate("abcdefgh")})
    assert named_others(others) == (
        "44 files of other kinds left out: .a 9, .b 8, .c 7, .d 6, .e 5, .f 4, and others"
    )
    assert named_others(Counter({".gif": 1})) == "1 file of another kind left out: .gif 1"
    assert named_others(Counter()) == ""


def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.gif").touch()
    with pytest.raises(UsageError, match=r"1 file of another kind left out: \.gif 1"):
        pictures_in(tmp_path, recursive=False)
