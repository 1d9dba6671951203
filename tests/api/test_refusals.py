"""What public functions and classes say of things that they do not take."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import restore
from restore.errors import (
    CorruptImage,
    InputError,
    RestoreError,
    UnsupportedImage,
    UsageError,
    WeightsError,
)

PROJECT = Path(__file__).resolve().parents[2]
SAMPLES = np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)
HALF = np.zeros((16, 16, 3), np.float32)
WRONG: dict[str, tuple[Any, type[RestoreError], str]] = {
    "none": (None, UnsupportedImage, "is None; give a Picture, a path"),
    "missing file": ("no-such-file.png", InputError, "no-such-file.png: cannot be read"),
    "folder": (PROJECT, InputError, "cannot be read"),
    "not a picture": (PROJECT / "README.md", UnsupportedImage, "is not a picture"),
    "list": ([[0.0]], UnsupportedImage, "of type list; give a Picture"),
    "number": (3, UnsupportedImage, "of type int"),
    "bytes": (b"\x89PNG", UnsupportedImage, "decode them with restore.decode"),
    "int8": (np.zeros((16, 16), np.int8), UnsupportedImage, "a int8 array"),
    "int64": (np.zeros((16, 16), np.int64), UnsupportedImage, "a int64 array"),
    "bool": (np.zeros((16, 16), np.bool_), UnsupportedImage, "a bool array"),
    "objects": (np.array([[None]]), UnsupportedImage, "a object array"),
    "levels": (np.full((16, 16), 100.0), UnsupportedImage, r"give them in \[0, 1\]"),
    "dark levels": (np.eye(256) * 255.0, UnsupportedImage, r"give them in \[0, 1\]"),
    "minus one": (np.full((16, 16), -1.0), UnsupportedImage, r"give them in \[0, 1\]"),
    "two channels": (np.zeros((16, 16, 2), np.uint8), UnsupportedImage, r"\[16, 16, 2\]"),
    "rgba": (np.zeros((16, 16, 4), np.uint8), UnsupportedImage, r"array\[\.\.\., :3\]"),
    "chw array": (HALF.transpose(2, 0, 1), UnsupportedImage, r"array\.transpose\(1, 2, 0\)"),
    "batch of arrays": (HALF[None], UnsupportedImage, "one at a time"),
    "empty array": (np.zeros((0, 16, 3), np.uint8), UnsupportedImage, r"\[0, 16, 3\]"),
    "vector": (np.zeros(16, np.float32), UnsupportedImage, r"\[16\]"),
    "hwc tensor": (torch.zeros(16, 16, 3), UnsupportedImage, r"looks like \(H, W, C\)"),
    "tensor of levels": (
        torch.zeros(3, 16, 16, dtype=torch.uint8),
        UnsupportedImage,
        "not of floats: divide",
    ),
    "tensor in 0..255": (torch.full((3, 16, 16), 99.0), UnsupportedImage, r"in \[0, 1\]"),
    "plane tensor": (torch.zeros(16, 16), UnsupportedImage, r"shape \[16, 16\]"),
    "empty tensor": (torch.zeros(3, 0, 16), UnsupportedImage, r"shape \[3, 0, 16\]"),
    "empty batch": (torch.zeros(0, 3, 16, 16), UnsupportedImage, r"shape \[0, 3, 16, 16\]"),
    "sparse": (torch.zeros(3, 16, 16).to_sparse(), UnsupportedImage, "tensor of shape"),
    "meta": (torch.zeros(3, 16, 16, device="meta"), UnsupportedImage, "tensor of shape"),
    "cmyk": (Image.new("CMYK", (16, 16)), UnsupportedImage, "mode CMYK"),
    "empty pil": (Image.new("RGB", (0, 16)), UnsupportedImage, r"size \[0, 16\]"),
    "empty picture": (
        restore.Picture(pixels=np.zeros((3, 0, 16), np.float32)),
        UnsupportedImage,
        "without pixels",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_other_things_than_images_are_refused_with_a_sentence(
    color_model: Path, detector_model: Path, single_model: Path, wrong: str
) -> None:
    image, error, words = WRONG[wrong]
    calls: dict[str, Callable[[], object]] = {
        "denoise": lambda: restore.denoise(image, color_model),
        "Denoiser": lambda: restore.Denoiser(color_model)(image),
        "Detector": lambda: restore.Detector(detector_model)(image),
        "HdrReconstructor": lambda: restore.HdrReconstructor("single", single_model)(image),
        "estimate_sigma": lambda: restore.estimate_sigma(image),
        "encode": lambda: restore.encode(image, "png"),
        "psnr": lambda: restore.psnr(image, HALF),
        "psnr, as reference": lambda: restore.psnr(HALF, image),
        "ssim": lambda: restore.ssim(image, HALF),
    }
    for name, call in calls.items():
        with pytest.raises(error, match=words):
            pytest.fail(f"{name} took it: {call()}")


def test_damaged_pil_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(SAMPLES).save(path)
    path.write_bytes(path.read_bytes()[:300])
    with (
        Image.open(path) as image,
        pytest.raises(CorruptImage, match="cannot be decoded"),
    ):
        restore.estimate_sigma(image)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (np.zeros((16, 17, 3), np.uint8), "16x16 in colour, the reference 17x16 in colour"),
        (np.zeros((16, 16), np.uint8), "the reference 16x16 in gray"),
        (torch.zeros(2, 3, 16, 16), "1 pictures and 2 references"),
    ],
    ids=["size", "channels", "count"],
)
@pytest.mark.parametrize("measure", ["psnr", "ssim"])
def test_pairs_that_do_not_match_are_refused(measure: str, other: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        getattr(restore, measure)(HALF, other)


def test_small_pictures_have_no_ssim() -> None:
    with pytest.raises(UnsupportedImage, match="11x11"):
        restore.ssim(HALF[:10], HALF[:10])


@pytest.mark.parametrize("sigma", [None, "strong", -1, math.nan, 256, [25], True, np.zeros(2)])
def test_impossible_noise_levels_are_refused(color_model: Path, sigma: Any) -> None:
    for call in (restore.denoise, lambda image, model, **o: restore.Denoiser(model)(image, **o)):
        with pytest.raises(UsageError, match="give a noise level from 0 to 255, or auto"):
            call(SAMPLES, color_model, sigma=sigma)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name in ("strength", "chroma", "detail")
        for value in (None, "1", 1.5, -0.1, math.nan, [1], True)
        if (name, value) != ("chroma", None)
    ],
)
def test_impossible_shares_are_refused(color_model: Path, name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name} .*give a number from 0 to 1"):
        restore.denoise(SAMPLES, color_model, **{name: value})


def test_numbers_of_numpy_are_numbers(color_model: Path) -> None:
    found = restore.denoise(SAMPLES, color_model, sigma=np.float32(25), strength=np.int64(1))
    np.testing.assert_array_equal(found, restore.denoise(SAMPLES, color_model, sigma=25))


@pytest.mark.parametrize("option", ["device", "precision", "tile"])
@pytest.mark.parametrize("value", [None, [], {}, 1.5], ids=repr)
def test_impossible_places_are_refused(color_model: Path, option: str, value: Any) -> None:
    for call in (
        lambda: restore.denoise(SAMPLES, color_model, **{option: value}),
        lambda: restore.Denoiser(color_model, **{option: value}),
    ):
        with pytest.raises(UsageError, match=option):
            call()


@pytest.mark.parametrize("model", [None, 5, [], b"photo", "", "no-such-weights"])
def test_impossible_weights_are_refused(model: Any) -> None:
    for call in (
        lambda: restore.denoise(SAMPLES, model),
        lambda: restore.Denoiser(model),
        lambda: restore.Detector(model),
        lambda: restore.DarkEnhancer(model),
        lambda: restore.HdrReconstructor("single", model),
        lambda: restore.load(model),
    ):
        with pytest.raises((WeightsError, UsageError), match="weights"):
            call()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image_format": "gif"}, "format 'gif': use png, tiff, jpeg"),
        ({"image_format": None}, "format None: use png"),
        ({"image_format": "bmp"}, "BMP is not written"),
        ({"image_format": "png", "bit_depth": 12}, "not 12"),
        ({"image_format": "png", "bit_depth": "8"}, "bit depth '8': give a whole number"),
        ({"image_format": "jpeg", "quality": 0}, "quality 0"),
        ({"image_format": "jpeg", "quality": 9.5}, "quality 9.5: give a whole number"),
    ],
)
def test_impossible_files_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        restore.encode(SAMPLES, **options)


def test_formats_may_be_given_by_their_names() -> None:
    for image_format in restore.ImageFormat:
        if image_format not in ("bmp", "czi", "dng", "dng-linear", "jp2"):
            named = restore.encode(SAMPLES, str(image_format))
            assert named == restore.encode(SAMPLES, image_format)


@pytest.mark.parametrize("source", [None, 5, [], np.zeros(3)], ids=str)
def test_files_are_read_from_paths_and_bytes_only(source: Any) -> None:
    for read in (restore.decode, restore.read_part):
        with pytest.raises(UnsupportedImage, match="the path of a file, or a file's bytes"):
            read(source)
    with pytest.raises(UnsupportedImage, match="give a RawPicture or the path of a RAW file"):
        restore.read_raw(source)


@pytest.mark.parametrize("pixels", [None, [[0.0]], SAMPLES, SAMPLES / np.float32(255)], ids=type)
def test_pictures_of_other_arrays_are_refused(pixels: Any) -> None:
    with pytest.raises(UsageError, match="pixels must be"):
        restore.Picture(pixels=pixels)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.float32:
        with pytest.raises(UsageError, match="pixels of a Part must be"):
            restore.Part(pixels=pixels)


def test_a_detector_sees_files_turned_upright(detector_model: Path, tmp_path: Path) -> None:
    detector = restore.Detector(detector_model)
    gray = SAMPLES[..., 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gray).save(tmp_path / "turned.png", exif=exif)
    from_file = detector(tmp_path / "turned.png")
    assert from_file.scores.shape == (31, 20)
    np.testing.assert_array_equal(detector(np.rot90(gray, -1).copy()).scores, from_file.scores)
    opened = detector(Image.open(tmp_path / "turned.png"))
    np.testing.assert_array_equal(opened.scores, from_file.scores)
    part = restore.Part(pixels=np.ascontiguousarray(np.rot90(gray, -1))[None] / np.float32(255))
    np.testing.assert_array_equal(detector(part).scores, from_file.scores)


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("threshold", "high", "threshold 'high'"),
        ("threshold", -1, "threshold -1"),
        ("fpr", "low", "false-alarm rate 'low'"),
        ("fpr", 2, "false-alarm rate 2"),
    ],
)
def test_impossible_thresholds_are_refused(
    detector_model: Path, option: str, value: Any, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        restore.Detector(detector_model, **{option: value})


@pytest.mark.parametrize("source", [None, 5, [], SAMPLES, "no-such.dng"], ids=type)
def test_dark_files_are_raw_files(isp_weights: dict[str, Path], source: Any) -> None:
    with pytest.raises(InputError, match=r"RawPicture or the path|no-such\.dng: cannot be read"):
        restore.DarkEnhancer(isp_weights["bayer"])(source)


@pytest.mark.parametrize(
    "options",
    [
        {"ratio": None},
        {"ratio": "twice"},
        {"ratio": np.zeros(2)},
        {"ev": "up"},
        {"ev": None},
        {"white_balance": "sunny"},
        {"white_balance": [1, 1, 1]},
        {"white_balance": (1, 1)},
        {"white_balance": (1, "1", 1)},
        {"output_color": "cmyk"},
    ],
    ids=str,
)
def test_impossible_developments_are_refused(
    sensor: Callable[..., Any], isp_weights: dict[str, Path], options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="give"):
        restore.DarkEnhancer(isp_weights["bayer"])(sensor(size=(16, 16)), **options)


@pytest.mark.parametrize(
    "options",
    [{"saturation": "high"}, {"saturation": 0}, {"saturation": 2}, {"exposure_stops": None}],
    ids=str,
)
def test_impossible_exposures_are_refused(single_model: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="give"):
        restore.HdrReconstructor("single", single_model)(SAMPLES, **options)
    with pytest.raises(UsageError, match="mode 'double': use single or optics"):
        restore.HdrReconstructor("double", single_model)  # type: ignore[arg-type]
