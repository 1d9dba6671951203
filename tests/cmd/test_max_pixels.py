"""--max-pixels holds for every picture that a command reads, on every way to it."""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import restore
from restore.hdr.optics.psf import load_psf
from restore.image.codec import SampleEncoding
from restore.image.dng import write_cfa_dng
from restore.image.exr import write_exr
from restore.image.limits import DEFAULT_MAX_PIXELS, limited, max_pixels_of_process
from restore.image.picture import Picture, Transfer
from restore.image.raw_picture import RawPicture

Run = Callable[..., Any]


@pytest.fixture
def files(workplace: Path, brackets: Path, sensor: Callable[..., RawPicture]) -> None:
    """Folders of pictures of every kind, all with more than 1000 pixels."""
    del workplace
    rng = np.random.default_rng(0)
    for folder in ("photos", "parts/train/good", "parts/test/good", "parts/test/bad"):
        Path(folder).mkdir(parents=True)
        for index in range(12):
            samples = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(samples).save(f"{folder}/{index:02}.png")
    Path("light").mkdir()
    picture = Picture(
        pixels=rng.random((3, 40, 80), dtype=np.float32),
        transfer=Transfer.LINEAR,
        is_float=True,
        bit_depth=32,
    )
    encoded = write_exr(picture, SampleEncoding(bit_depth=32, is_float=True))
    Path("light/a.exr").write_bytes(encoded)
    Path("raw.dng").write_bytes(write_cfa_dng(sensor()))
    Path("brackets").symlink_to(brackets)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    "command",
    [
        "denoise photos -o out/ --model {color}",
        "denoise photos/00.png -o out.png --compare --model {color}",
        "denoise - -o out.png --model {color}",
        "dark-enhance raw.dng -o out.png --ratio 10 --model {isp}",
        "anomaly photos -o report --model {detector}",
        "hdr photos/00.png -o out.exr --model {single}",
        "hdr photos/00.png -o out.exr --model {single} --psf light/a.exr --mode optics",
        "hdr brackets/stack -o out/ --mode merge",
        "hdr light/a.exr -o coded.tif --simulate --psf light/a.exr",
        "train denoise photos -o w.safetensors --steps 1",
        "train hdr light -o w.safetensors --steps 1 --optics none",
        "train hdr light -o w.safetensors --steps 1 --optics fixed --psf light/a.exr",
        "train dark-enhance photos -o w.safetensors --steps 1",
        "train anomaly --good parts/train/good -o w.safetensors --steps 1",
        "evaluate denoise photos --model {color}",
        "evaluate denoise photos --reference photos",
        "evaluate denoise photos --noisy photos --model {color}",
        "evaluate hdr light --model {single}",
        "evaluate dark-enhance photos --model {isp}",
        "weights measure {color} --pictures photos",
        "weights round {color} photos -o w.safetensors",
    ],
)
def test_every_command_refuses_larger_pictures(
    command: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    color_model: Path,
    single_model: Path,
    detector_model: Path,
    isp_weights: dict[str, Path],
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(Path("photos/00.png").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    models = {
        "color": color_model,
        "single": single_model,
        "detector": detector_model,
        "isp": isp_weights["bayer"],
    }
    ended = run(*command.format(**models).split(), "--max-pixels", "1000")
    said = ended.err + ended.out
    assert ended.code in (1, 2)
    assert "the limit is 1,000; raise it with --max-pixels" in said
    assert max_pixels_of_process() == DEFAULT_MAX_PIXELS


@pytest.mark.usefixtures("files")
def test_functions_that_take_paths_refuse_larger_pictures(color_model: Path) -> None:
    with limited(1000):
        for read in (
            restore.decode,
            restore.read_part,
            restore.estimate_sigma,
            lambda path: restore.encode(path, "png"),
            lambda path: restore.psnr(path, path),
            restore.Denoiser(color_model),
        ):
            with pytest.raises(restore.RestoreError, match="the limit is 1,000"):
                read("photos/00.png")
        with pytest.raises(restore.RestoreError, match="the limit is 1,000"):
            restore.read_raw("raw.dng")
        with pytest.raises(restore.RestoreError, match="the limit is 1,000"):
            load_psf(Path("light/a.exr"))
    assert restore.decode("photos/00.png").width == 50


DECODERS = re.compile(r"\bImage\.open\(|\bimread\(|\w_decode\(|\bTiffFile\(|\bRawPy\(|\.File\(")
OF_THEIR_OWN = {
    "restore/anomaly/part.py",  # checks as decode does
    "restore/anomaly/roi.py",  # a mask within a weight file, of a size that it checks
    "restore/noise/jpeg.py",  # reads what it has just written
    "restore/weights/convert/mat_reader.py",  # tensors of a checkpoint, not pictures
}


def test_nothing_decodes_beside_the_readers_that_check() -> None:
    root = Path(restore.__file__).parent.parent
    found = {
        path.relative_to(root).as_posix()
        for folder in ("restore", "cmd")
        for path in (root / folder).rglob("*.py")
        if DECODERS.search(path.read_text(encoding="utf-8"))
    }
    others = {name for name in found if not name.startswith("restore/image/")}
    assert others == OF_THEIR_OWN, "decode with restore.image.decode"
