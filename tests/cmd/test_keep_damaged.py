"""`--keep-damaged`: half a picture is refused, or taken, and then said to be half a picture."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., Any]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
Photo = Callable[..., Path]


@pytest.fixture
def half(photo: Photo) -> str:
    """A JPEG that was cut in two and closed."""
    return halved(photo("half.jpg", width=160, height=120))


def halved(path: Path) -> str:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    return path.name


def test_half_a_picture_is_refused_in_one_line(
    spawn: Spawn, photo: Photo, half: str, tiny_weights: str
) -> None:
    photo("whole.jpg")
    process = spawn("denoise", half, "whole.jpg", "-o", "out", "-q", "--model", tiny_weights)
    _, err = process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines() == [
        "imrestore: half.jpg: is damaged or cut short (premature end of data segment); "
        "--keep-damaged takes what is there"
    ]
    assert [path.name for path in Path("out").iterdir()] == ["whole.jpg"]


def test_half_a_picture_is_taken_and_said_to_be_one(
    spawn: Spawn, photo: Photo, half: str, tiny_weights: str
) -> None:
    photo("whole.jpg")
    options = ("--keep-damaged", "--json", "-q", "--model", tiny_weights)
    process = spawn("denoise", half, "whole.jpg", "-o", "out", *options)
    out, err = process.communicate()
    assert process.returncode == 0
    what = "is damaged or cut short (premature end of data segment)"
    records = {record["source"]: record for record in map(json.loads, out.splitlines())}
    assert records["half.jpg"]["damaged"] == what
    assert "damaged" not in records["whole.jpg"]
    assert err.decode().splitlines() == [f"imrestore: half.jpg: {what}; what is there is taken"]


def test_an_inspection_says_it_too(run: Run, workplace: Path, model: str) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    Image.fromarray(gray).save(workplace / "half.jpg")
    half = halved(Path("half.jpg"))
    refused = run("anomaly", half, "-o", "refused", "--model", model)
    assert (refused.code, "--keep-damaged" in refused.err) == (1, True)
    taken = run("anomaly", half, "-o", "taken", "--model", model, "--keep-damaged", "--json")
    assert taken.code == 0
    assert "cut short" in json.loads(taken.out)["damaged"]


def test_so_does_a_merged_bracket_of_each_frame(run: Run, photo: Photo, half: str) -> None:
    photo("whole.jpg", width=160, height=120, seed=0)
    options = ("--mode", "merge", "--exposures", "1/100,1/25", "--no-align")
    arguments = ("hdr", half, "whole.jpg", "-o", "out.exr", *options, "--json")
    refused = run(*arguments)
    assert refused.code == 1
    taken = run(*arguments, "--keep-damaged", "--overwrite")
    assert taken.code == 0, taken.err
    record = json.loads(taken.out)
    assert "is damaged or cut short (premature end of data segment)" in record["damaged"]
