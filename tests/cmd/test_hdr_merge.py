"""`imrestore hdr --mode merge` as a user runs it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.image.decode import decode
from restore.image.dng import write_cfa_dng

Run = Callable[..., Any]
Sensor = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def shots(workplace: Path, brackets: Path) -> Path:
    """Two brackets below a folder of the user's."""
    return shutil.copytree(brackets, workplace / "shots")


@pytest.mark.usefixtures("shots")
def test_brackets_of_a_tree_are_merged_one_by_one(run: Run) -> None:
    ended = run(
        "hdr", "shots", "-r", "-o", "merged", "--mode", "merge", "--no-align", "--json", "--preview"
    )
    assert ended.code == 0, ended.err
    records = [json.loads(line) for line in ended.out.splitlines()]
    assert sorted(record["frames"] for record in records) == [3, 7]
    files = (path for path in Path("merged").rglob("*") if path.is_file())
    written = sorted(str(path.relative_to("merged")) for path in files)
    assert written == [
        "stack/stack_room_exp_0.exr", "stack/stack_room_exp_0_preview.jpg",
        "stack_alignment/IMG_4209.exr", "stack_alignment/IMG_4209_preview.jpg",
    ]  # fmt: skip
    resumed = run("hdr", "shots", "-r", "-o", "merged", "--mode", "merge", "--skip-existing")
    assert resumed.code == 0
    assert "2 skipped" in resumed.err


@pytest.mark.usefixtures("shots")
def test_a_dry_run_names_all_frames_of_a_bracket(run: Run) -> None:
    plan = ["hdr", "shots/stack_alignment", "-o", "merged", "--mode", "merge", "--dry-run"]
    frames = [f"shots/stack_alignment/IMG_{number}.jpg" for number in (4209, 4210, 4211)]
    planned = run(*plan)
    times = ("1/80 s f/4.5 ISO 200", "1/320 s f/4.5 ISO 200", "1/20 s f/4.5 ISO 200")
    assert planned.out.splitlines() == [
        f"{' + '.join(frames)} -> merged/IMG_4209.exr",
        f"    exposures {' + '.join(times)}",
    ]
    (record,) = (json.loads(line) for line in run(*plan, "--json").out.splitlines())
    assert [record["source"], *record["also"]] == frames
    assert record["exposures"] == " + ".join(times)
    assert run(*plan, "--by-folder").out == planned.out
    assert "--group and --by-folder" in run(*plan, "--by-folder", "--group", "3").err
    assert "which cannot be parted into brackets of 2" in run(*plan, "--group", "2").err


@pytest.mark.usefixtures("shots")
def test_named_frames_are_one_bracket_with_the_exposures_given(run: Run, workplace: Path) -> None:
    frames = [f"shots/stack_alignment/IMG_{number}.jpg" for number in (4209, 4210, 4211)]
    arguments = ["-o", "one.exr", "--mode", "merge", "--no-align", "--json"]
    ended = run("hdr", *frames, *arguments, "--exposures", "1/80,1/320,1/20")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["stops"] == pytest.approx(4)
    assert (workplace / "one.exr").is_file()
    wrong = run("hdr", *frames, *arguments, "--overwrite", "--exposures", "1/80,1/320")
    assert wrong.code == 2
    assert "2 given; give 3, a time in seconds for each input" in wrong.err


@pytest.mark.usefixtures("shots")
def test_merging_never_writes_over_a_frame(run: Run) -> None:
    frames = [f"shots/stack_alignment/IMG_{number}.jpg" for number in (4209, 4210, 4211)]
    before = Path(frames[1]).read_bytes()
    ended = run("hdr", *frames, "-o", frames[1], "--mode", "merge", "--overwrite")
    assert ended.code == 2
    assert "is the input" in ended.err
    assert Path(frames[1]).read_bytes() == before
    several = run("hdr", "shots", "-r", "-o", "one.exr", "--mode", "merge")
    assert several.code == 2
    assert "2 brackets" in several.err


def test_no_frame_is_written_over_by_way_of_a_folder(run: Run, workplace: Path) -> None:
    values = np.full((20, 24, 3), 90, dtype=np.uint8)
    Image.fromarray(values).save(workplace / "s.jpg")
    Image.fromarray(values).save(workplace / "s.tif")
    before = (workplace / "s.tif").read_bytes()
    merge = ["--mode", "merge", "--exposures", "1/60,1/20", "--no-align", "--overwrite"]
    ended = run("hdr", "s.jpg", "s.tif", "-o", "./", "--format", "tiff", *merge)
    assert ended.code == 2
    assert "s.tif: is the input" in ended.err
    assert (workplace / "s.tif").read_bytes() == before


def test_raw_brackets_are_compared_too(run: Run, workplace: Path, sensor: Sensor) -> None:
    for index, share in enumerate((1, 4)):
        mosaic = np.full((48, 64), 600 + 1000 * share, dtype=np.uint16)
        (workplace / f"{index}.dng").write_bytes(write_cfa_dng(sensor("rggb", mosaic=mosaic)))
    merge = ["--mode", "merge", "--exposures", "1/60,1/15", "--no-align"]
    ended = run("hdr", "0.dng", "1.dng", "-o", "a.exr", *merge, "--compare")
    assert ended.code == 0, ended.err
    assert (workplace / "a_compare.png").is_file()
    (workplace / "broken.dng").write_bytes(b"no RAW file")
    ended = run("hdr", "0.dng", "broken.dng", "-o", "b/", "--mode", "merge")
    assert ended.code == 1
    assert "broken.dng" in ended.err


def test_a_merged_picture_goes_to_standard_output(spawn: Spawn, workplace: Path) -> None:
    for index, value in enumerate((40, 160)):
        Image.new("RGB", (24, 20), (value,) * 3).save(workplace / f"{index}.png")
    merge = ["--mode", "merge", "--exposures", "1/60,1/15", "--no-align", "--format", "exr"]
    process = spawn("hdr", "0.png", "1.png", "-o", "-", *merge)
    out, _ = process.communicate()
    assert process.returncode == 0
    assert decode(out).pixels.shape == (3, 20, 24)


def test_a_frame_that_stands_alone_fails_and_the_rest_is_done(run: Run, shots: Path) -> None:
    Image.new("RGB", (24, 20)).save(shots / "alone.png")
    ended = run("hdr", "shots", "-r", "-o", "merged", "--mode", "merge", "--no-align")
    assert ended.code == 1
    assert "alone.png: stands alone" in ended.err
    assert ended.err.count("alone.png: ") == 1
    assert len(list(Path("merged").rglob("*.exr"))) == 2


def test_brackets_of_one_name_in_two_folders_are_two_results(run: Run, workplace: Path) -> None:
    for day in ("day1", "day2"):
        (workplace / "shots" / day).mkdir(parents=True)
        for name, value in (("a.png", 40), ("b.png", 160)):
            Image.new("RGB", (24, 20), (value,) * 3).save(workplace / "shots" / day / name)
    ended = run("hdr", "shots", "-r", "-o", "merged", "--mode", "merge", "--dry-run")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "shots/day1/a.png + shots/day1/b.png -> merged/day1/a.exr",
        "    exposures unknown time + unknown time",
        "shots/day2/a.png + shots/day2/b.png -> merged/day2/a.exr",
        "    exposures unknown time + unknown time",
    ]


def _exposed(path: Path, value: int, seconds: float, size: tuple[int, int] = (24, 20)) -> Path:
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({33434: seconds, 33437: 4.0, 34855: 100})
    Image.new("RGB", size, (value,) * 3).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.jpg", "-o", "out.exr"], 1, "a.jpg: stands alone; a bracket has at least two"),
        (["a.jpg", "small.jpg", "-o", "out.exr"], 1, "differs in size from"),
        (["a.jpg", "broken.jpg", "b.jpg", "-o", "out.exr"], 1, "broken.jpg: "),
        (["a.jpg", "b.jpg", "-o", "out.avif"], 2, "end it with one of"),
        (["a.jpg", "b.jpg", "-o", "out/", "--format", "avif"], 2, "avif is not written of light"),
        (["a.jpg", "b.jpg", "c.jpg", "d.jpg", "-o", "out.exr", "--group", "2"], 2, "2 brackets"),
        (
            ["a.jpg", "b.jpg", "-o", "out.exr", "--by-folder", "--exposures", "1,2"],
            2,
            "--exposures and --by-folder contradict",
        ),
        (
            ["a.jpg", "b.jpg", "-o", "out.exr", "--group", "2", "--exposures", "1,2"],
            2,
            "contradict",
        ),
        (["a.jpg", "b.jpg", "-o", "o/", "--gap", "0", "--by-folder"], 2, "--by-folder and --gap"),
        (["a.jpg", "bare.jpg", "-o", "out.exr"], 1, "bare.jpg: its EXIF states no exposure"),
        (["a.jpg", "false.jpg", "-o", "out.exr"], 1, "is said to be longer"),
    ],
)
def test_what_cannot_be_merged_is_refused_in_one_line(
    run: Run, workplace: Path, arguments: list[str], code: int, words: str
) -> None:
    _exposed(workplace / "a.jpg", 120, 0.1)
    _exposed(workplace / "b.jpg", 60, 0.025)
    _exposed(workplace / "c.jpg", 120, 0.1)
    _exposed(workplace / "d.jpg", 60, 0.025)
    _exposed(workplace / "small.jpg", 60, 0.025, (20, 20))
    _exposed(workplace / "false.jpg", 60, 0.4)
    Image.new("RGB", (24, 20)).save(workplace / "bare.jpg")
    whole = _exposed(workplace / "whole.jpg", 60, 0.05).read_bytes()
    (workplace / "broken.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    ended = run("hdr", *arguments, "--mode", "merge", "-q")
    assert (ended.code, len(ended.err.strip().splitlines())) == (code, 1), ended.err
    assert words in ended.err
    assert not (workplace / "out.exr").exists()


def test_a_bracket_of_equal_exposures_is_averaged(run: Run, workplace: Path) -> None:
    for index, value in enumerate((119, 121)):
        _exposed(workplace / f"{index}.jpg", value, 0.1)
    ended = run("hdr", "0.jpg", "1.jpg", "-o", "out.exr", "--mode", "merge", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["stops"] == 0


def test_an_ultra_hdr_result_keeps_the_exif_of_the_middle_exposure(
    run: Run, workplace: Path
) -> None:
    for index, (value, seconds) in enumerate(((60, 0.025), (120, 0.1), (220, 0.4))):
        _exposed(workplace / f"{index}.jpg", value, seconds)
    merge = ["--mode", "merge", "--no-align"]
    ended = run("hdr", *(f"{index}.jpg" for index in range(3)), "-o", "out.jpg", *merge)
    assert ended.code == 0, ended.err
    assert "lost" not in ended.err
    with Image.open(workplace / "out.jpg") as image:
        assert image.getexif().get_ifd(0x8769)[33434] == pytest.approx(0.1)


@pytest.fixture
def raw_and_jpeg(workplace: Path, sensor: Sensor) -> Path:
    """A bracket of which a camera wrote RAW files and JPEGs."""
    folder = workplace / "card"
    folder.mkdir()
    for index, (level, seconds) in enumerate(((0.1, 0.025), (0.4, 0.1))):
        jpeg = _exposed(folder / f"{index}.JPG", 60, seconds)
        exif = decode(jpeg).exif
        raw = sensor("rggb", size=(48, 64), level=level, exif=exif)
        (folder / f"{index}.dng").write_bytes(write_cfa_dng(raw))
    return folder


@pytest.mark.usefixtures("raw_and_jpeg")
def test_of_raw_files_and_their_jpegs_the_raw_files_are_merged(run: Run) -> None:
    ended = run("hdr", "card", "-o", "out", "--mode", "merge", "--no-align", "--json")
    assert ended.code == 0, ended.err
    *twins, merged = map(json.loads, ended.out.splitlines())
    assert [twin["twin_of"] for twin in twins] == ["card/0.dng", "card/1.dng"]
    assert (merged["source"], merged["frames"]) == ("card/0.dng", 2)
    assert "card/0.JPG and 1 more picture have a RAW file of the same name" in ended.err
    named = ["hdr", *(f"card/{n}.{suffix}" for n in (0, 1) for suffix in ("dng", "JPG"))]
    plan = run(*named, "-o", "a.exr", "--mode", "merge", "--exposures", "1/40,1/10", "--dry-run")
    assert plan.out.startswith("card/0.dng + card/1.dng -> a.exr\n")
    jpegs = run("hdr", "card/0.JPG", "card/1.JPG", "-o", "a.exr", "--mode", "merge", "--dry-run")
    assert jpegs.out.startswith("card/0.JPG + card/1.JPG -> a.exr\n")


@pytest.mark.usefixtures("raw_and_jpeg")
def test_a_raw_file_and_a_picture_are_no_bracket(run: Run) -> None:
    ended = run("hdr", "card/0.dng", "card/1.JPG", "-o", "a.exr", "--mode", "merge", "-q")
    assert ended.code == 1
    assert "are a RAW file and a finished picture, which are not merged" in ended.err
