"""RAW files and the pictures that cameras write beside them."""

import os
from pathlib import Path
from typing import Any

import pytest

from restore.batch.kinds import PICTURES_AND_RAW, RAW_FILES
from restore.batch.plan import BatchPlan, PlanRequest, make_plan
from restore.batch.search import Found
from restore.batch.shards import Shard
from restore.batch.twins import Twins, twins_beside
from restore.errors import UsageError
from restore.image.codecs import ImageFormat


@pytest.fixture(autouse=True)
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera's card: two pictures as RAW and JPEG, one as RAW, one as JPEG, and an export."""
    monkeypatch.chdir(tmp_path)
    Path("card").mkdir()
    for name in ("1.CR3", "1.JPG", "2.raf", "2.HIF", "3.NEF", "4.JPG", "1.tif"):
        Path("card", name).write_text(name)


def planned(*inputs: str, **options: Any) -> BatchPlan:
    request = {"inputs": inputs or ["card"], "output": "out/", "kind": PICTURES_AND_RAW}
    return make_plan(PlanRequest(**(request | options)))


def names(plan: BatchPlan) -> list[str]:
    return [item.destination_name for item in plan.items]


def test_raw_files_become_dng_and_pictures_stay_what_they_are() -> None:
    plan = planned(twins=Twins.BOTH)
    results = ("1.JPG", "1.dng", "1.tif", "2.HIF", "2.dng", "3.dng", "4.JPG")
    assert names(plan) == [f"out/{name}" for name in results]
    formats = {item.destination_name: item.format for item in plan.items}
    assert formats["out/1.dng"] is ImageFormat.DNG
    assert formats["out/1.JPG"] is None


def test_of_twins_the_raw_file_is_taken() -> None:
    plan = planned(twins=Twins.RAW)
    assert names(plan) == [f"out/{name}" for name in ("1.dng", "1.tif", "2.dng", "3.dng", "4.JPG")]
    assert plan.twins == {
        "card/1.JPG": "card/1.CR3",
        "card/2.HIF": "card/2.raf",
    }
    assert plan.left_out == ""


def test_twins_are_found_among_named_files_however_they_are_spelled() -> None:
    os.symlink("card", "link")
    plan = planned("card/1.CR3", "link/1.JPG", "card/4.JPG", twins=Twins.RAW)
    assert names(plan) == ["out/1.dng", "out/4.JPG"]
    alone = planned("card/1.JPG", twins=Twins.RAW)
    assert (names(alone), alone.twins) == (["out/1.JPG"], {})


def test_raw_only_counts_the_pictures_that_have_no_raw_file() -> None:
    plan = planned(twins=Twins.RAW_ONLY)
    assert names(plan) == ["out/1.dng", "out/2.dng", "out/3.dng"]
    assert len(plan.twins) == 2
    assert plan.left_out == "2 files of other kinds left out: .tif 1, .jpg 1"
    with pytest.raises(UsageError, match=r"no pictures or RAW files .* left out: \.jpg 1"):
        planned("card/4.JPG", twins=Twins.RAW_ONLY)


def test_shards_report_the_twins_of_their_own_raw_files() -> None:
    twins = [planned(twins=Twins.RAW, shard=Shard(n, 2)).twins for n in (1, 2)]
    assert not twins[0].keys() & twins[1].keys()
    assert len(twins[0]) + len(twins[1]) == 2


def test_results_of_the_same_name_are_refused() -> None:
    Path("card/3.DNG").write_text("")
    with pytest.raises(UsageError, match=r"3\.DNG and card/3\.NEF would both|3\.NEF and card/3"):
        planned(format=ImageFormat.DNG_LINEAR, twins=Twins.RAW_ONLY)
    with pytest.raises(UsageError, match=r"would both be written to out/1\.webp"):
        planned(format=ImageFormat.WEBP, twins=Twins.BOTH)


def test_a_dng_keeps_its_name_and_is_not_overwritten() -> None:
    Path("night.DNG").write_text("")
    Path("dusk.nef").write_text("")
    Path("dusk.dng").write_text("")
    assert names(planned("night.DNG")) == ["out/night.DNG"]
    with pytest.raises(UsageError, match=r"night\.DNG: is the input"):
        planned("night.DNG", output="./")
    with pytest.raises(UsageError, match=r"dusk\.dng: exists already"):
        planned("dusk.nef", output="./")


def test_a_dng_is_made_of_raw_files_only() -> None:
    for image_format in (ImageFormat.DNG, ImageFormat.DNG_LINEAR):
        words = r"card/1\.tif: DNG.* is not written of pictures; use one of png, tiff, .*hdr, fits$"
        with pytest.raises(UsageError, match=words):
            planned(format=image_format, twins=Twins.RAW)
        assert len(planned(format=image_format, twins=Twins.RAW_ONLY).items) == 3
    with pytest.raises(UsageError, match=r"card/4\.JPG: DNG is not written of pictures"):
        planned("card/4.JPG", output="a.dng")


@pytest.mark.parametrize(
    ("output", "image_format", "written"),
    [
        ("a.dng", None, ImageFormat.DNG),
        ("a.dng", ImageFormat.DNG_LINEAR, ImageFormat.DNG_LINEAR),
        ("a.jpg", None, ImageFormat.JPEG),
        ("-", ImageFormat.DNG, ImageFormat.DNG),
        ("out/", ImageFormat.TIFF, ImageFormat.TIFF),
    ],
)
def test_a_raw_file_is_written_in_any_format(
    output: str, image_format: ImageFormat | None, written: ImageFormat
) -> None:
    (item,) = planned("card/3.NEF", output=output, format=image_format).items
    assert item.format is written


def test_a_linear_dng_is_named_dng() -> None:
    plan = planned("card/3.NEF", format=ImageFormat.DNG_LINEAR)
    assert names(plan) == ["out/3.dng"]
    with pytest.raises(UsageError, match="contradict"):
        planned("card/3.NEF", output="a.jpg", format=ImageFormat.DNG_LINEAR)


def test_standard_input_may_be_either() -> None:
    for image_format in (ImageFormat.DNG, ImageFormat.PNG):
        assert planned("-", output="-", format=image_format).items[0].format is image_format


def test_tasks_on_raw_files_leave_named_twins_out_too() -> None:
    files = [str(path) for path in sorted(Path("card").iterdir())]
    plan = planned(*files, kind=RAW_FILES, twins=Twins.RAW_ONLY)
    assert names(plan) == ["out/1.png", "out/2.png", "out/3.png"]
    with pytest.raises(UsageError, match=r"1\.CR3 and card/1\.tif would both be written"):
        planned(*files, kind=RAW_FILES, twins=Twins.RAW)


def test_a_card_of_many_pictures_is_planned_at_once() -> None:
    Path("full").mkdir()
    for index in range(500):
        for suffix in (".ARW", ".JPG"):
            Path("full", f"DSC{index:05}{suffix}").touch()
    plan = planned("full", twins=Twins.RAW)
    assert (len(plan.items), len(plan.twins)) == (500, 500)
    assert {item.format for item in plan.items} == {ImageFormat.DNG}


def test_the_raw_file_beside_a_picture_is_found_whether_it_was_found_or_not() -> None:
    found = [
        Found.file(path, path) for path in map(Path, ("card/1.JPG", "card/1.tif", "card/4.JPG"))
    ]
    assert twins_beside(found) == {"card/1.JPG": "card/1.CR3"}
