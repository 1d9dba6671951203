"""Where `imrestore denoise` writes, and what it leaves alone."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.image.decode import decode

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]


def values(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_dry_run_prints_the_plan_and_writes_nothing(run: Run, photo: Photo) -> None:
    photo("in/a.png")
    photo("in/b.jpg")
    ended = run("denoise", "in", "-o", "out", "--dry-run", "--model", "no such model")
    assert ended.code == 0
    assert ended.out == "in/a.png -> out/a.png\nin/b.jpg -> out/b.jpg\n"
    ended = run("denoise", "in", "-o", "out", "--dry-run", "--json", "--format", "jpg", "--compare")
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        {
            "source": f"in/{name}",
            "destination": f"out/{stem}.jpg",
            "compare": f"out/{stem}_compare.png",
            "status": "planned",
        }
        for name, stem in (("a.png", "a"), ("b.jpg", "b"))
    ]
    assert not Path("out").exists()


def test_an_output_is_never_overwritten_unasked(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("a.png")
    Path("b.png").write_text("mine")
    options = ("denoise", "a.png", "-o", "b.png", "--model", tiny_weights)
    ended = run(*options)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "b.png: exists already" in ended.err
    assert Path("b.png").read_text() == "mine"
    ended = run(*options, "--skip-existing")
    assert (ended.code, Path("b.png").read_text()) == (0, "mine")
    assert "0 done, 1 skipped" in ended.err
    assert run(*options, "--overwrite").code == 0
    assert values("b.png").shape == (24, 40, 3)


def test_an_input_is_not_overwritten_through_a_link(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    before = photo("a.png").read_bytes()
    Path("b.png").symlink_to("a.png")
    Path("c.png").hardlink_to("a.png")
    for output in ("b.png", "c.png", "a.png", "./"):
        ended = run("denoise", "a.png", "-o", output, "--overwrite", "--model", tiny_weights)
        assert ended.code == 2
        assert "is the input" in ended.err
    assert Path("a.png").read_bytes() == before


def test_a_resumed_run_equals_an_uninterrupted_one(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    for n in range(4):
        photo(f"in/{n}.png", seed=n)
    options = ("denoise", "in", "--model", tiny_weights, "--precision", "fp32", "--compare")
    run(*options, "-o", "whole")
    run(*options, "-o", "parts", "--shard", "1/2")
    Path("parts/0.png").unlink()  # as if killed between the comparison and the result
    assert run(*options, "-o", "parts", "--skip-existing").code == 0
    whole = {path.name: path.read_bytes() for path in Path("whole").iterdir()}
    assert whole == {path.name: path.read_bytes() for path in Path("parts").iterdir()}
    assert len(whole) == 8


def test_a_missing_comparison_is_made_and_the_result_kept(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    photo("in/a.png")
    options = ("denoise", "in", "-o", "out", "--model", tiny_weights)
    run(*options)
    before = Path("out/a.png").stat()
    ended = run(*options, "--skip-existing", "--compare")
    assert (ended.code, Path("out/a_compare.png").is_file()) == (0, True)
    assert Path("out/a.png").stat() == before
    assert "1 skipped" in ended.err


def test_shards_are_the_whole_together(run: Run, photo: Photo, tiny_weights: str) -> None:
    for n in range(5):
        photo(f"in/{n}.png", seed=n)
    for shard in ("1/3", "2/3", "3/3"):
        options = ("--shard", shard, "--model", tiny_weights)
        assert run("denoise", "in", "-o", "out", *options).code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [f"{n}.png" for n in range(5)]


def test_compare_shows_before_and_after(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("a.png")
    photo("wide.png", width=1300, height=8)
    for name in ("a", "wide"):
        arguments = ("--compare", "--model", tiny_weights)
        assert run("denoise", f"{name}.png", "-o", "out/", *arguments).code == 0
    shown = values("out/a_compare.png")
    np.testing.assert_array_equal(shown[:, :40], values("a.png"))
    np.testing.assert_array_equal(shown[:, -40:], values("out/a.png"))
    shown = values("out/wide_compare.png")
    np.testing.assert_array_equal(shown[:, :600], values("wide.png")[:, :600])
    np.testing.assert_array_equal(shown[:, 700:], values("out/wide.png")[:, 700:])


def test_the_container_changes_on_demand_only(run: Run, photo: Photo, tiny_weights: str) -> None:
    for name in ("in/a.png", "in/b.jpg", "in/c.bmp"):
        photo(name)
    assert run("denoise", "in", "-o", "out", "--model", tiny_weights).code == 0
    formats = {}
    for path in Path("out").iterdir():
        with Image.open(path) as image:
            formats[path.name] = image.format
    assert formats == {"a.png": "PNG", "b.jpg": "JPEG", "c.png": "PNG"}
    options = ("--format", "tiff", "--model", tiny_weights)
    assert run("denoise", "in", "-o", "tiffs", *options).code == 0
    assert sorted(path.name for path in Path("tiffs").iterdir()) == ["a.tif", "b.tif", "c.tif"]


def test_without_strength_a_jpeg_keeps_its_coded_data(run: Run, tiny_weights: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    Image.fromarray(noise).save("a.jpg", quality=60, exif=exif)
    command = ("denoise", "a.jpg", "-o", "out/", "--strength", "0", "--model", tiny_weights)
    assert run(*command).code == 0
    assert Path("out/a.jpg").read_bytes() == Path("a.jpg").read_bytes()
    ended = run(*command, "--format", "ppm", "--json")
    assert json.loads(ended.out)["lost"] == ["its EXIF"]
    assert "imrestore: a.jpg: lost: its EXIF\n" in ended.err


def test_what_was_guessed_and_lost_is_a_line_and_in_the_record(run: Run, tiny_weights: str) -> None:
    codes = np.random.default_rng(0).random((20, 30, 3), np.float32) * 255
    tifffile.imwrite("a.tif", codes, photometric="rgb")
    command = ("denoise", "a.tif", "-o", "out", "--format", "jpeg", "--model", tiny_weights)
    ended = run(*command, "--json")
    guessed = "was taken for sRGB-encoded codes from 0 to 255"
    lost = "floating point: JPEG holds 8 bits, from black to white"
    record = json.loads(ended.out)
    assert (record["remarks"], record["lost"], record["scale"]) == ([guessed], [lost], 255)
    assert f"imrestore: a.tif: {guessed}\nimrestore: a.tif: lost: {lost}\n" in ended.err
    assert run(*command, "--overwrite", "--quiet").err == ""


def test_parts_of_killed_runs_go_even_when_nothing_is_left_to_do(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    photo("in/a.png")
    options = ("denoise", "in", "-o", "out", "--model", tiny_weights, "--skip-existing")
    assert run(*options).code == 0
    part = Path("out/.imrestore-0badcafe-0123.part")
    part.write_bytes(b"half of a picture")
    os.utime(part, (0, 0))
    assert "0 done, 1 skipped" in run(*options).err
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_a_preview_alone_is_one_contact_sheet(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("in/a.png", width=200, height=150)
    before = Path("in/a.png").read_bytes()
    command = ("denoise", "in/a.png", "--preview", "--model", tiny_weights)
    ended = run(*command)
    assert ended.code == 0, ended.err
    with Image.open("a_preview.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 9 * 75
    assert [path.name for path in Path("in").iterdir()] == ["a.png"]
    assert Path("in/a.png").read_bytes() == before
    assert "exists already" in run(*command).err
    assert run(*command, "--overwrite").code == 0


def test_a_preview_stands_beside_the_result(run: Run, photo: Photo, tiny_weights: str) -> None:
    for name in ("in/a.png", "in/b.jpg"):
        photo(name)
    options = ("denoise", "in", "--model", tiny_weights, "--precision", "fp32")
    assert run(*options, "-o", "plain").code == 0
    assert run(*options, "-o", "out", "--preview").code == 0
    names = ["a.png", "a_preview.png", "b.jpg", "b_preview.png"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    assert Path("out/a.png").read_bytes() == Path("plain/a.png").read_bytes()


def test_without_an_output_only_one_preview_is_made(run: Run, photo: Photo) -> None:
    for name in ("in/a.png", "b.png"):
        photo(name)
    for arguments, message in (
        (("b.png",), "give -o OUT"),
        (("in", "--preview"), "takes one file"),
        (("b.png", "in/a.png", "--preview"), "takes one file"),
        (("-", "--preview"), "takes one file"),
        (("b.png", "--preview", "--format", "jpeg"), "--format does nothing here"),
        (("b.png", "--preview", "--report", "r.html"), "--report does nothing here"),
    ):
        ended = run("denoise", *arguments)
        assert ended.code == 2, arguments
        assert message in ended.err
    assert sorted(path.name for path in Path().iterdir()) == ["b.png", "in"]


@pytest.mark.parametrize("image_format", ["avif", "heic", "jxl"])
def test_ten_bits_can_be_asked_for(
    run: Run, photo: Photo, tiny_weights: str, image_format: str
) -> None:
    photo("a.png")
    output = f"b.{image_format}"
    ended = run("denoise", "a.png", "-o", output, "--bit-depth", "10", "--model", tiny_weights)
    assert ended.code == 0, ended.err
    assert decode(Path(output)).bit_depth == 10


def test_a_stack_is_denoised_plane_by_plane(run: Run, workplace: Path, tiny_weights: str) -> None:
    planes = np.random.default_rng(0).integers(0, 65536, (3, 24, 32), dtype=np.uint16)
    tifffile.imwrite("stack.ome.tif", planes, ome=True, metadata={"axes": "ZYX"})
    words = ("denoise", "stack.ome.tif", "-o", "out.ome.tif", "--model", tiny_weights)
    ended = run(*words, "--sigma", "10", "--json")
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert (record["planes"], record["sigmas"]) == (3, [10.0, 10.0, 10.0])
    with tifffile.TiffFile(workplace / "out.ome.tif") as tiff:
        assert tiff.series[0].axes == "ZYX"
        result = tiff.asarray()
    assert (result.dtype, result.shape) == (planes.dtype, planes.shape)
    assert all((result[index] != planes[index]).any() for index in range(3))
    refused = run(*words[:3], "out.png", *words[4:])
    assert refused.code == 1
    assert "3 planes, which stay in TIFF" in refused.err


def test_error_maps_stand_beside_the_result_and_on_the_page(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    photo("in/a.png")
    options = ("denoise", "in", "--model", tiny_weights, "--sigma", "10")
    ended = run(*options, "-o", "out", "--error-map", "--json", "--report", "page.html")
    assert ended.code == 0, ended.err
    names = ["a.png", "a_error-90.tif", "a_error.tif"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    expected, bound = (tifffile.imread(f"out/{name}") for name in (names[2], names[1]))
    assert expected.dtype == np.float32
    assert expected.shape == bound.shape == values("out/a.png").shape[:2]
    assert (bound > 0).all()
    record = json.loads(ended.out)
    assert record["expected_error"] == pytest.approx(float(expected.mean()), abs=1e-3)
    assert record["expected_error_90"] == pytest.approx(float(bound.mean()), abs=1e-3)
    assert any("not of tiny" in each for each in record["remarks"])
    page = Path("page.html").read_text()
    assert 'data-error="data:image/webp' in page
    assert "data-error-white=" in page


def test_error_maps_are_of_single_pictures_in_files(
    run: Run, photo: Photo, workplace: Path, tiny_weights: str
) -> None:
    photo("a.png")
    for arguments, message in (
        (("a.png", "-o", "-", "--format", "png"), "--error-map needs an output file"),
        (("a.png", "--preview"), "--error-map does nothing here"),
    ):
        ended = run("denoise", *arguments, "--error-map")
        assert (ended.code, message in ended.err) == (2, True), ended.err
    tifffile.imwrite(
        workplace / "stack.tif", np.zeros((3, 24, 32), np.uint8), photometric="minisblack"
    )
    ended = run("denoise", "stack.tif", "-o", "out/", "--error-map", "--model", tiny_weights)
    assert ended.code == 1
    assert "several planes; --error-map is for single pictures" in ended.err
