"""Copies are found after compression and scaling; other shots and other parts are none."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from restore.anomaly.copies import Fingerprint, besides, copies_among, told_copies

Pixels = NDArray[np.float32]


def shot(seed: int, shift: float = 0.0) -> Image.Image:
    """A plate with a hole, the same for every seed, and grain that is not."""
    y, x = np.mgrid[:120, :160]
    plate = 0.3 + 0.002 * x - 0.2 * (np.hypot(y - 60, x - 80 - shift) < 30)
    grain = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, (120, 160)), 0.7)
    return Image.fromarray(np.uint8(255 * np.clip(plate + 0.04 * grain, 0, 1)))


def pixels(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("L"), np.float32)[None] / np.float32(255)


def compressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def found(*images: Image.Image) -> list[tuple[str, str]]:
    prints = {Path(str(i)): Fingerprint.of(pixels(image)) for i, image in enumerate(images)}
    return [(path.name, first.name) for path, first in copies_among(prints).items()]


def test_exact_and_changed_copies_are_found() -> None:
    part = shot(0)
    brighter = part.point(lambda value: min(255, int(1.15 * value)))
    smaller = part.resize((144, 108), Image.Resampling.LANCZOS)
    copies = found(part, part, compressed(part, 90), compressed(part, 70), brighter, smaller)
    assert copies == [(str(i), "0") for i in range(1, 6)]


def test_other_parts_and_other_shots_are_no_copies() -> None:
    assert found(*(shot(seed) for seed in range(30))) == []


def test_flat_pictures_are_copies_of_each_other() -> None:
    flat = Image.new("L", (64, 48), 90)
    assert found(flat, flat, shot(0)) == [("1", "0")]


def test_copies_are_told_with_their_number() -> None:
    told = told_copies({Path("a/2.png"): Path("a/1.png")}, 12)
    assert told == "1 of 12 pictures is a copy or near-copy of others, such as 2.png of 1.png"


def test_one_copy_is_singular() -> None:
    assert besides(0) == ""
    assert besides(1) == ", and 1 copy or near-copy of them"
    assert besides(2) == ", and 2 copies or near-copies of them"
