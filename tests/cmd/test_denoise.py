"""`imrestore denoise` on files and folders."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from restore.engine import runner as engine
from restore.models.dncnn import DnCNN, DnCNNConfig
from restore.weights.store import Weights, save_weights

Run = Callable[..., SimpleNamespace]
Photo = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("usual_engine")


def values(path: str | Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_folder_is_denoised_and_mirrored(run: Run, photo: Photo, tiny_weights: str) -> None:
    for name in ("in/a.png", "in/sub/b.png", "in/sub/deep/c.png"):
        photo(name)
    ended = run("denoise", "in", "-r", "-o", "out", "--model", tiny_weights)
    assert (ended.code, ended.out) == (0, "")
    assert "imrestore: 3 done in " in ended.err
    for name in ("a.png", "sub/b.png", "sub/deep/c.png"):
        assert values(f"out/{name}").shape == (24, 40, 3)
        assert (values(f"out/{name}") != values(f"in/{name}")).any()


def test_strength_0_keeps_every_pixel(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("a.png")
    run("denoise", "a.png", "-o", "b.png", "--strength", "0", "--model", tiny_weights)
    np.testing.assert_array_equal(values("a.png"), values("b.png"))


def test_what_cannot_be_read_fails_alone(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("in/a.png")
    photo("in/c.jpg", width=200, height=200)
    Path("in/b.png").write_text("not a picture")
    Path("in/c.jpg").write_bytes(Path("in/c.jpg").read_bytes()[:4000])
    Path("in/d.png").symlink_to("nowhere")
    ended = run("denoise", "in", "missing.png", "-o", "out", "--model", tiny_weights)
    assert ended.code == 1
    lines = ended.err.splitlines()
    assert len(lines) == 5
    for name, line in zip(("b.png", "c.jpg", "d.png", "missing.png"), lines, strict=False):
        assert name in line
        assert "bug" not in line
    assert lines[-1].startswith("imrestore: 1 done, 4 failed in ")
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_every_record_is_a_line_of_json(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("in/a.png", width=50, height=20)
    Path("in/b.png").write_text("not a picture")
    ended = run("denoise", "in", "-o", "out", "--json", "--sigma", "12", "--model", tiny_weights)
    done, failed = [json.loads(line) for line in ended.out.splitlines()]
    assert done["source"] == "in/a.png"
    assert done["destination"] == "out/a.png"
    assert (done["status"], failed["status"]) == ("done", "failed")
    assert (done["model"], done["sigma"], done["strength"]) == ("tiny", 12.0, 1.0)
    assert done["megapixels"] == pytest.approx(0.001)
    assert "in/b.png" in failed["error"]


def test_verbose_says_how_and_quiet_says_nothing(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("a.png")
    options = (
        "--model",
        tiny_weights,
        "--sigma",
        "7",
        "--overwrite",
        "--precision",
        "fp32",
        "--tile",
        "96",
    )
    said = run("denoise", "a.png", "-o", "b.png", "-v", "--device", "cpu", *options).err
    for part in ("a.png -> b.png", "tiny on cpu", "fp32", "tile 96", "sigma 7", "megapixels/s"):
        assert part in said
    ended = run("denoise", "a.png", "-o", "b.png", "-q", *options)
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_a_noisy_picture_that_stays_as_it_is_is_one_line_and_a_field(
    run: Run, workplace: Path
) -> None:
    config = DnCNNConfig(channels=3, depth=2, width=1)
    tensors = {key: torch.zeros_like(value) for key, value in DnCNN(config).state_dict().items()}
    weights = Weights(name="nothing", network=DnCNN, config=config, task="denoise", tensors=tensors)
    save_weights(weights, workplace / "nothing.safetensors")
    values = np.random.default_rng(0).normal(128, 10, (64, 64, 3)).round().astype(np.uint8)
    Image.fromarray(values).save("a.png")
    model = ("--model", "nothing.safetensors", "--overwrite")
    ended = run("denoise", "a.png", "-o", "b.png", "-v", "--json", *model)
    (record,) = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.code, record["noise"], record["unchanged"]) == (0, "white", True)
    (line,) = [line for line in ended.err.splitlines() if "hardly changed" in line]
    assert line.startswith("imrestore: a.png: ")
    assert "(white noise)" in ended.err
    assert "hardly" not in run("denoise", "a.png", "-o", "b.png", "--sigma", "5", *model).err
    assert run("denoise", "a.png", "-o", "b.png", "-q", *model).err == ""


def test_an_unknown_model_stops_everything_before_a_folder_is_made(run: Run, photo: Photo) -> None:
    photo("a.png")
    ended = run("denoise", "a.png", "-o", "out/", "--model", "unheard-of")
    assert ended.code == 2
    assert "unheard-of" in ended.err
    assert ended.err.count("\n") == 1
    assert not Path("out").exists()


def test_a_folder_that_cannot_be_made_is_one_line(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    photo("in/a.png")
    photo("in/b.png")
    Path("file").write_text("in the way")
    ended = run("denoise", "in", "-o", "file/out", "--model", tiny_weights)
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "file/out: this folder cannot be made" in ended.err


def test_a_bug_fails_one_picture_and_exits_70(
    run: Run, photo: Photo, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from restore.denoise.runner import Denoised, Denoiser

    photo("in/a.png", width=10)
    photo("in/b.png", width=20)
    work = Denoiser.__call__

    def fail_on_narrow(denoiser: Denoiser, picture: object, **options: object) -> Denoised:
        if picture.width == 10:
            raise ZeroDivisionError("by\nzero")
        return work(denoiser, picture, **options)

    monkeypatch.setattr(Denoiser, "__call__", fail_on_narrow)
    ended = run("denoise", "in", "-o", "out", "--model", tiny_weights)
    assert ended.code == 70
    first, last = ended.err.splitlines()
    assert first.startswith("imrestore: in/a.png: ZeroDivisionError: by zero (a bug: ")
    assert "1 done, 1 failed" in last
    assert Path("out/b.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sigma", "-1"], "--sigma"),
        (["--sigma", "256"], "--sigma"),
        (["--sigma", "nan"], "--sigma"),
        (["--sigma", "much"], "--sigma"),
        (["--strength", "1.5"], "--strength"),
        (["--strength", "nan"], "--strength"),
        (["--shard", "5/4"], "shard"),
        (["--format", "gif"], "gif"),
        (["--bit-depth", "9"], "9 is not a bit depth; use 8, 10, 12, 16 or 32"),
        (["--bit-depth", "12", "--format", "png"], "PNG holds 8 or 16 bits per sample, not 12"),
        (["--bit-depth", "16", "--format", "jpeg"], "JPEG holds 8 bits per sample, not 16"),
        (["--quality", "101"], "--quality"),
        (["--jobs", "0"], "--jobs"),
        (["--max-pixels", "0"], "--max-pixels"),
        (["--overwrite", "--skip-existing"], "--overwrite and --skip-existing"),
        (["-q", "-v"], "--quiet and --verbose"),
        (["--tile", "0"], "tile"),
        (["--precision", "fp8"], "precision"),
        (["--device", "toaster"], "device"),
        pytest.param(
            ["--device", "cuda:all"],
            "device cuda:all: this machine has no CUDA device",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_options_are_one_line_and_exit_2(
    run: Run, photo: Photo, tiny_weights: str, arguments: list[str], message: str
) -> None:
    photo("a.png")
    ended = run("denoise", "a.png", "-o", "out/", "--model", tiny_weights, *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert message in ended.err
    assert not Path("out").exists()


def test_results_are_the_same_bytes_in_several_lanes(
    run: Run, photo: Photo, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(8):
        photo(f"in/{n}.png", width=60 + 10 * n, height=90 - 10 * n, seed=n)
    arguments = ["denoise", "in", "--model", tiny_weights, "--tile", "32", "--precision", "fp32"]
    assert run(*arguments, "-o", "one").code == 0
    real = engine._lanes_of

    def three(*arguments: Any, **options: Any) -> list[Any]:
        return [lane for _ in range(3) for lane in real(*arguments, **options)]

    monkeypatch.setattr(engine, "_lanes_of", three)
    assert run(*arguments, "-o", "three").code == 0
    for n in range(8):
        assert Path(f"one/{n}.png").read_bytes() == Path(f"three/{n}.png").read_bytes()


def test_an_image_and_records_do_not_share_standard_output(run: Run, photo: Photo) -> None:
    photo("a.png")
    ended = run("denoise", "a.png", "-o", "-", "--format", "png", "--json")
    assert (ended.code, ended.out) == (2, "")
    assert "give -o FILE" in ended.err


def test_max_pixels_refuses_larger_pictures_only(run: Run, photo: Photo, tiny_weights: str) -> None:
    photo("in/a.png", width=10, height=10)
    photo("in/b.png", width=11, height=10)
    ended = run("denoise", "in", "-o", "out", "--max-pixels", "100", "--model", tiny_weights)
    assert ended.code == 1
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_a_depth_that_a_container_lacks_fails_its_pictures_only(
    run: Run, photo: Photo, tiny_weights: str
) -> None:
    photo("in/a.png")
    photo("in/b.jpg")
    ended = run("denoise", "in", "-o", "out", "--bit-depth", "16", "--model", tiny_weights)
    assert ended.code == 1
    assert "in/b.jpg: JPEG holds 8 bits" in ended.err
    assert [path.name for path in Path("out").iterdir()] == ["a.png"]


def test_control_characters_in_a_name_do_not_reach_the_terminal(
    run: Run, workplace: Path, tiny_weights: str
) -> None:
    (workplace / "a\x1b[31m\n.png").write_text("not a picture")
    ended = run("denoise", "a\x1b[31m\n.png", "-o", "out/", "--model", tiny_weights)
    assert ended.code == 1
    assert "\x1b" not in ended.err
    assert len(ended.err.splitlines()) == 2


def test_a_picture_beyond_the_memory_budget_gives_the_same_file(
    run: Run, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = np.random.default_rng(0).integers(0, 256, (200, 4000, 3), dtype=np.uint8)
    tifffile.imwrite("a.tif", samples, photometric="rgb", tile=(32, 32), compression="zlib")
    options = ("--model", tiny_weights, "--tile", "256", "--json", "--detail", "0.2")
    whole = run("denoise", "a.tif", "-o", "whole.tif", *options)
    assert whole.code == 0
    monkeypatch.setattr("restore.image.tiff_regions.MEMORY_BUDGET_BYTES", 10_000_000)
    monkeypatch.setattr("restore.image.tiff.read_tiff", None)
    large = run("denoise", "a.tif", "-o", "large.tif", *options)
    assert large.code == 0, large.err
    assert Path("whole.tif").read_bytes() == Path("large.tif").read_bytes()
    ignored = {"destination": "", "seconds": 0}
    assert json.loads(whole.out) | ignored == json.loads(large.out) | ignored
    assert sorted(path.name for path in Path().iterdir()) == ["a.tif", "large.tif", "whole.tif"]
    refused = run("denoise", "a.tif", "-o", "b.tif", *options, "--max-pixels", "100000")
    assert refused.code == 1
    assert "has 4000x200 pixels, the limit is 100,000; raise it with --max-pixels" in refused.err
