"""Plans that are refused: names that collide, results that are there or are inputs."""

import os
from pathlib import Path

import pytest

from restore.batch.plan import Existing
from restore.batch.shards import Shard
from restore.errors import UsageError
from restore.image.codecs import ImageFormat
from tests.batch.plans import planned, touch


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="counts characters")
def test_a_name_that_is_too_long_for_its_result_is_refused_in_the_plan() -> None:
    name = "a" * 251
    touch(f"in/{name}.jpg", "in/b.png")
    assert len(planned(["in"], "out").items) == 2
    with pytest.raises(UsageError, match=r"_compare\.png: this name is too long by 8"):
        planned(["in"], "out", compare=True)
    with pytest.raises(UsageError, match=r"webp: this name is too long by 1"):
        planned(["in"], "out", format=ImageFormat.WEBP)


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


def test_a_folder_in_the_place_of_an_output_is_refused() -> None:
    touch("in/a.png", "out/a.png/x")
    with pytest.raises(UsageError, match=r"out/a\.png: is a folder"):
        planned(["in"], "out", existing=Existing.OVERWRITE)


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
