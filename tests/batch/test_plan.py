"""Plans: names, collisions and refusals, on real folders."""

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from restore.batch.plan import BatchPlan, Existing, PlanRequest, make_plan
from restore.batch.search import Found
from restore.batch.shards import Shard
from restore.errors import UsageError
from restore.image.codecs import ImageFormat


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(name.encode())


def planned(inputs: list[str], output: str, **options: Any) -> BatchPlan:
    return make_plan(PlanRequest(inputs=inputs, output=output, **options))


def ways(plan: BatchPlan) -> list[tuple[str, str]]:
    return [(item.source_name, item.destination_name) for item in plan.items]


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


@pytest.mark.skipif(os.name == "nt", reason="counts characters")
def test_a_name_that_is_too_long_for_its_result_is_refused_in_the_plan() -> None:
    name = "a" * 251
    touch(f"in/{name}.jpg", "in/b.png")
    assert len(planned(["in"], "out").items) == 2
    with pytest.raises(UsageError, match=r"_compare\.png: this name is too long by 8"):
        planned(["in"], "out", compare=True)
    with pytest.raises(UsageError, match=r"webp: this name is too long by 1"):
        planned(["in"], "out", format=ImageFormat.WEBP)


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


def test_two_inputs_of_one_output_name_are_refused_by_name() -> None:
    touch("in/a.jpg", "in/a.png")
    with pytest.raises(UsageError, match=r"in/a\.jpg and in/a\.png .* out/a\.png"):
        planned(["in"], "out", format=ImageFormat.PNG)


def test_collisions_are_found_across_shards() -> None:
    touch("x/a.png", "y/a.png")
    with pytest.raises(UsageError, match=r"x/a\.png and y/a\.png"):
        planned(["x", "y"], "out", shard=Shard(1, 2))


def test_names_that_differ_in_case_collide_only_where_the_file_system_ignores_case(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    touch("x/a.png", "y/A.png")
    expected = 1 if Path("X").exists() else 2
    if expected == 2:
        assert len(planned(["x", "y"], "out").items) == 2
    monkeypatch.setattr("restore.batch.refusals.ignores_case", lambda _folder: True)
    with pytest.raises(UsageError, match="both be written"):
        planned(["x", "y"], "out")


def test_the_same_file_twice_is_one_item() -> None:
    touch("in/a.png")
    assert len(planned(["in/a.png", "in", "./in/a.png"], "out").items) == 1


@pytest.mark.parametrize("existing", list(Existing))
def test_an_input_is_never_an_output(existing: Existing) -> None:
    touch("in/a.png")
    with pytest.raises(UsageError, match="is the input"):
        planned(["in"], "in", existing=existing)
    with pytest.raises(UsageError, match="is the input"):
        planned(["in/a.png"], "./in/../in/a.png", existing=existing)


def test_an_input_behind_a_link_is_never_an_output() -> None:
    touch("in/a.png", "in/b.png")
    Path("mirror").symlink_to("in", target_is_directory=True)
    Path("soft.png").symlink_to("in/a.png")
    os.link("in/a.png", "hard.png")
    for inputs, output in [
        (["in"], "mirror"),
        (["in/a.png"], "soft.png"),
        (["in/a.png"], "hard.png"),
        (["soft.png"], "hard.png"),
    ]:
        with pytest.raises(UsageError, match="is the input"):
            planned(inputs, output, existing=Existing.OVERWRITE)


def test_one_input_as_the_output_of_another_is_refused() -> None:
    touch("in/a.png", "in/b.png", "out/other")
    os.link("in/b.png", "out/a.png")
    with pytest.raises(UsageError, match=r"out/a\.png: is the input in/b\.png"):
        planned(["in"], "out", existing=Existing.OVERWRITE)


def test_existing_outputs_are_refused_overwritten_or_kept() -> None:
    touch("in/a.png", "in/b.png", "in/c.png", "out/a.png", "out/b.png")
    with pytest.raises(UsageError, match=r"out/a\.png and 1 more .*overwrite=True"):
        planned(["in"], "out")
    overwritten = planned(["in"], "out", existing=Existing.OVERWRITE)
    assert [item.skip for item in overwritten.items] == [False, False, False]
    kept = planned(["in"], "out", existing=Existing.SKIP)
    assert [item.skip for item in kept.items] == [True, True, False]


def test_a_dangling_link_counts_as_an_existing_output() -> None:
    touch("in/a.png")
    Path("a.png").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists already"):
        planned(["in/a.png"], "a.png")


@pytest.mark.parametrize("existing", Existing)
def test_pipes_and_devices_are_never_replaced(existing: Existing) -> None:
    touch("in/a.png")
    os.mkfifo("a.png")
    with pytest.raises(UsageError, match=r"a\.png: is no file"):
        planned(["in/a.png"], "a.png", existing=existing)


def test_of_what_is_found_a_part_may_be_planned() -> None:
    touch("in/x/a.png", "in/x/b.png", "in/y/a.png")
    only = {Path("in/x/a.png"), Path("in/y/a.png")}
    plan = planned(["in"], "out", recursive=True, only=only)
    assert [item.destination for item in plan.items] == [Path("out/x/a.png"), Path("out/y/a.png")]


def test_a_folder_in_the_place_of_an_output_is_refused() -> None:
    touch("in/a.png", "out/a.png/x")
    with pytest.raises(UsageError, match=r"out/a\.png: is a folder"):
        planned(["in"], "out", existing=Existing.OVERWRITE)


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


@pytest.mark.parametrize(
    ("inputs", "output", "message"),
    [
        (["empty"], "out", "no pictures in empty"),
        (["missing.png"], "out.png", r"missing\.png: no such file or folder"),
        (["a.png"], "out", "for a folder write out/"),
        (["a.png"], "out.bmp", "end it with one of"),
        (["a.png"], "", "empty"),
        (["a.png", "b.png"], "notes.txt", "is a file"),
        (["in"], "notes.txt", "is a file"),
        (["-", "-"], "out", "only once"),
        (["-"], "out/", "image_format"),
        (["a.png"], "-", "image_format"),
    ],
)
def test_what_makes_no_sense_is_refused(inputs: list[str], output: str, message: str) -> None:
    touch("a.png", "b.png", "in/a.png", "notes.txt")
    Path("empty").mkdir()
    with pytest.raises(UsageError, match=message):
        planned(inputs, output)


def test_format_and_the_suffix_of_the_output_must_agree() -> None:
    touch("a.png")
    with pytest.raises(UsageError, match="contradict"):
        planned(["a.png"], "b.png", format=ImageFormat.JPEG)
    (item,) = planned(["a.png"], "b", format=ImageFormat.JPEG).items
    assert (item.destination, item.format) == (Path("b"), ImageFormat.JPEG)


def test_streams_take_one_picture() -> None:
    touch("in/a.png", "in/b.png")
    (item,) = planned(["-"], "-", format=ImageFormat.PNG).items
    assert (item.source, item.destination) == (None, None)
    with pytest.raises(UsageError, match="takes one picture, not 2"):
        planned(["in"], "-", format=ImageFormat.PNG)
    with pytest.raises(UsageError, match="compare needs"):
        planned(["-"], "-", format=ImageFormat.PNG, compare=True)
    (item,) = planned(["-"], "out/", format=ImageFormat.PNG).items
    assert item.destination == Path("out/stdin.png")


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
