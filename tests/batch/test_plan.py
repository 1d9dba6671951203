"""Plans: names, collisions and refusals, on real folders."""

import os
import tracemalloc
from pathlib import Path

import pytest

from restore.batch.plan import Existing, PlanRequest, make_plan
from restore.batch.search import Found
from restore.batch.shards import Shard
from restore.errors import UsageError
from restore.image.codecs import ImageFormat
from tests.batch.plans import planned, touch, ways


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_one_file_to_a_file() -> None:
    touch("a.png")
    plan = planned(["a.png"], "new/b.jpg")
    assert ways(plan) == [("a.png", "new/b.jpg")]
    assert plan.items[0].format is ImageFormat.JPEG
    assert plan.folders == [Path("new")]
    assert not Path("new").exists()


@pytest.mark.parametrize("output", ["out/", "there", "there/"])
def test_one_file_into_a_folder_keeps_its_name_and_container(output: str) -> None:
    touch("in/a.TIF")
    Path("there").mkdir()
    (item,) = planned(["in/a.TIF"], output).items
    assert item.destination == Path(output) / "a.TIF"
    assert item.format is None


def test_a_folder_gives_its_pictures_and_without_recursive_no_others() -> None:
    touch("in/a.png", "in/notes.txt", "in/.b.png", "in/sub/c.jpg", "in/B.JPG")
    assert ways(planned(["in"], "out")) == [("in/B.JPG", "out/B.JPG"), ("in/a.png", "out/a.png")]


def test_the_tree_is_mirrored() -> None:
    touch("in/a.png", "in/x/a.png", "in/x/y/b.jpg", "in/.git/c.png")
    plan = planned(["in"], "out", recursive=True)
    assert ways(plan) == [
        ("in/a.png", "out/a.png"),
        ("in/x/a.png", "out/x/a.png"),
        ("in/x/y/b.jpg", "out/x/y/b.jpg"),
    ]


def test_a_loop_of_links_ends_and_linked_folders_are_taken() -> None:
    touch("in/a.png", "elsewhere/b.png")
    Path("in/loop").symlink_to("..", target_is_directory=True)
    Path("in/self").symlink_to(".", target_is_directory=True)
    Path("in/linked").symlink_to("../elsewhere", target_is_directory=True)
    plan = planned(["in"], "out", recursive=True)
    assert ways(plan) == [
        ("in/a.png", "out/a.png"),
        ("in/linked/b.png", "out/linked/b.png"),
    ]


def test_a_folder_that_links_reach_twice_is_taken_once_where_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    touch("in/z/deep/a.png", "elsewhere/b.png")
    Path("in/a").symlink_to("z", target_is_directory=True)
    Path("in/z/deep/up").symlink_to("../../z", target_is_directory=True)
    for name in ("first", "second"):
        Path("in", name).symlink_to("../elsewhere", target_is_directory=True)
    plan = planned(["in"], "out", recursive=True)
    assert ways(plan) == [
        ("in/first/b.png", "out/first/b.png"),
        ("in/z/deep/a.png", "out/z/deep/a.png"),
    ]
    assert sorted(caplog.messages) == [
        "in/a: leads to in/z, which is taken already; left out",
        "in/second: leads to in/first, which is taken already; left out",
        "in/z/deep/up: leads to in/z, which is taken already; left out",
    ]


def test_what_several_inputs_lead_to_is_taken_once(caplog: pytest.LogCaptureFixture) -> None:
    touch("d/a.png", "d/sub/b.png")
    both = [("d/a.png", "out/a.png"), ("d/sub/b.png", "out/sub/b.png")]
    assert ways(planned(["d", "d/sub"], "out", recursive=True)) == both
    assert caplog.messages == ["d/sub: comes twice among the inputs; taken once"]
    assert ways(planned(["d", "d/sub/b.png"], "out", recursive=True)) == both
    assert ways(planned(["d", "d"], "out", recursive=True)) == both
    assert ways(planned(["d", "d/sub"], "out")) == [
        ("d/a.png", "out/a.png"),
        ("d/sub/b.png", "out/b.png"),
    ]
    for same in ("d/a.png", "d/sub/../a.png", os.path.abspath("d/a.png")):
        assert ways(planned(["d/a.png", same], "out")) == both[:1]
    Path("d/link.png").symlink_to("a.png")
    assert len(planned(["d", "d/link.png"], "out").items) == 2


def test_an_output_folder_inside_the_input_is_not_read() -> None:
    touch("in/a.png", "in/out/a.png", "in/out/old.png")
    plan = planned(["in"], "in/out", recursive=True, existing=Existing.OVERWRITE)
    assert ways(plan) == [("in/a.png", "in/out/a.png")]


def test_a_named_file_is_tried_whatever_its_suffix() -> None:
    touch("scan.dat", "noname", "b.png")
    plan = planned(["scan.dat", "noname", "b.png"], "out")
    assert ways(plan) == [
        ("b.png", "out/b.png"),
        ("noname", "out/noname"),
        ("scan.dat", "out/scan.dat"),
    ]


def test_bmp_is_written_as_png() -> None:
    touch("a.bmp")
    (item,) = planned(["a.bmp"], "out/").items
    assert (item.destination, item.format) == (Path("out/a.png"), ImageFormat.PNG)


@pytest.mark.parametrize(
    ("source", "image_format", "expected"),
    [
        ("a.jpeg", ImageFormat.JPEG, "a.jpeg"),
        ("a.tiff", ImageFormat.PNG, "a.png"),
        ("a.b.jpg", ImageFormat.TIFF, "a.b.tif"),
        ("IMG.0001", ImageFormat.PNG, "IMG.0001.png"),
    ],
)
def test_format_changes_only_a_suffix_of_pictures(
    source: str, image_format: ImageFormat, expected: str
) -> None:
    touch(source)
    (item,) = planned([source], "out/", format=image_format).items
    assert item.destination == Path("out") / expected
    assert item.format is image_format


def test_the_same_file_twice_is_one_item() -> None:
    touch("in/a.png")
    assert len(planned(["in/a.png", "in", "./in/a.png"], "out").items) == 1


def test_of_what_is_found_a_part_may_be_planned() -> None:
    touch("in/x/a.png", "in/x/b.png", "in/y/a.png")
    only = {Path("in/x/a.png"), Path("in/y/a.png")}
    plan = planned(["in"], "out", recursive=True, only=only)
    assert [item.destination for item in plan.items] == [Path("out/x/a.png"), Path("out/y/a.png")]


def test_before_and_after_pictures_are_part_of_the_plan() -> None:
    touch("in/a.jpg", "in/b.jpg")
    plan = planned(["in"], "out", compare=True)
    assert [item.compare for item in plan.items] == [
        Path("out/a_compare.png"),
        Path("out/b_compare.png"),
    ]
    touch("out/a_compare.png")
    with pytest.raises(UsageError, match=r"out/a_compare\.png: exists"):
        planned(["in"], "out", compare=True)


def test_before_and_after_pictures_of_one_stem_are_told_apart() -> None:
    touch("in/a.jpg", "in/a.png", "in/b.jpg")
    plan = planned(["in", "in/b.jpg"], "out", compare=True)
    assert [item.compare for item in plan.items] == [
        Path("out/a.jpg_compare.png"),
        Path("out/a.png_compare.png"),
        Path("out/b_compare.png"),
    ]


def test_shards_together_are_the_whole_and_share_nothing() -> None:
    touch(*(f"in/{n}.png" for n in range(11)))
    whole = planned(["in"], "out").items
    parts = [planned(["in"], "out", shard=Shard(i, 4)).items for i in range(1, 5)]
    assert sorted(item.source_name for part in parts for item in part) == sorted(
        item.source_name for item in whole
    )
    assert [len(part) for part in parts] == [3, 3, 3, 2]


def test_a_shard_does_not_mind_what_another_has_written() -> None:
    touch("in/a.png", "in/b.png", "out/a.png")
    assert ways(planned(["in"], "out", shard=Shard(2, 2))) == [("in/b.png", "out/b.png")]
    assert planned(["in/a.png"], "elsewhere/", shard=Shard(2, 2)).items == ()


def test_the_order_of_the_inputs_does_not_matter() -> None:
    touch("x/b.png", "y/a.png")
    assert planned(["x", "y"], "out") == planned(["y", "x"], "out")


def test_missing_files_do_not_keep_the_others_from_being_done() -> None:
    touch("a.png")
    plan = planned(["a.png", "missing.png"], "out")
    assert ways(plan) == [("a.png", "out/a.png"), ("missing.png", "out/missing.png")]


def test_a_closed_folder_is_told_and_the_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    touch("in/a.png", "in/locked/b.png")
    look = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "locked":  # also where the tests run as root
            raise PermissionError(13, "Permission denied")
        return look(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    plan = planned(["in"], "out", recursive=True)
    assert ways(plan) == [("in/a.png", "out/a.png")]
    assert plan.closed == ("in/locked: this folder cannot be read: Permission denied",)


def test_pipes_in_folders_are_left_out_and_dangling_links_are_not() -> None:
    touch("in/a.png")
    os.mkfifo("in/pipe.png")
    Path("in/gone.png").symlink_to("nowhere")
    sources = [item.source_name for item in planned(["in"], "out").items]
    assert sources == ["in/a.png", "in/gone.png"]


def test_an_item_takes_little_memory() -> None:
    count, folder = 5_000, "in/" + "x" * 60 + "/"
    Path("in").mkdir()
    found = [Found(folder, f"{index:08}.png") for index in range(count)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    request = PlanRequest(inputs=["in"], output="out/", found=found)
    plan = make_plan(request)
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert str(plan.items[7].source) == f"{folder}00000007.png"
    assert size < 100 * count


def test_the_disk_is_asked_once_whether_a_result_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/b.png").touch()
    asked: list[str] = []

    def lexists(path: str) -> bool:
        asked.append(path)
        return os.path.lexists(path)

    monkeypatch.setattr("restore.batch.plan.lexists", lexists)
    request = PlanRequest(
        inputs=[str(tmp_path)],
        output=str(tmp_path / "out"),
        is_done=lambda item: item.there == len(item.outputs),
    )
    plan = make_plan(request)
    assert [(item.there, item.skip) for item in plan.items] == [(0, False), (1, True), (0, False)]
    assert [item.there for item in plan.items[1:]] == [1, 0]
    for name in ("a.png", "b.png", "c.png"):
        assert asked.count(str(tmp_path / "out" / name)) == 1
