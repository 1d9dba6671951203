"""RAW converters develop our DNG as they develop the file that it was made of."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import which

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from restore.image.dng import write_cfa_dng, write_linear_dng
from restore.image.raw import read_raw
from restore.image.raw_picture import RawPicture

pytestmark = pytest.mark.slow

CONVERTERS = ("darktable-cli", "rawtherapee-cli")
MAKES = {"make": "Canon", "model": "Canon EOS 550D"}


def developed(converter: str, path: Path, folder: Path) -> NDArray[np.floating]:
    """Develop a file with a converter's defaults, ``[H, W, 3]`` in [0, 1]."""
    if which(converter) is None:
        pytest.skip(f"{converter} is not there")
    target = folder / f"{path.stem}-{converter}.tif"
    if converter == "darktable-cli":
        command = [converter, path, target, "--core", "--configdir", folder / "settings"]
    else:
        command = [converter, "-o", target, "-t", "-Y", "-c", path]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert target.exists(), ended.stdout + ended.stderr
    pixels = tifffile.imread(target)
    return pixels / np.iinfo(pixels.dtype).max


@pytest.mark.parametrize("converter", CONVERTERS)
def test_geometry_and_colours_are_the_sources(
    shared_data: Path, tmp_path: Path, converter: str
) -> None:
    source = shared_data / "raw/canon_550d.dng"
    ours = tmp_path / "ours.dng"
    ours.write_bytes(write_cfa_dng(read_raw(source)))
    before, after = (developed(converter, path, tmp_path) for path in (source, ours))
    assert after.shape == before.shape
    # Everywhere, not in smooth areas only: the mosaic is the same.
    assert np.abs(after - before).mean() < 0.0005


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("kind", ["xtrans", "monochrome", "linear"])
def test_other_kinds_open_in_their_size(
    tmp_path: Path, sensor: Callable[..., RawPicture], converter: str, kind: str
) -> None:
    size = (720, 1080)
    flat = np.full(size, 512 + 3000, np.uint16)
    raw = sensor("xtrans" if kind == "xtrans" else "rggb", mosaic=flat, **MAKES)
    if kind == "monochrome":
        raw = replace(raw, cfa=np.array([[1]], np.uint8), xyz_to_camera=None)
    path = tmp_path / f"{kind}.dng"
    if kind == "linear":
        path.write_bytes(write_linear_dng(np.full((3, *size), 0.2, np.float32), raw))
    else:
        path.write_bytes(write_cfa_dng(raw))
    pixels = developed(converter, path, tmp_path)
    # Converters leave out what they cannot demosaic at the edges.
    assert all(side - 32 <= got <= side for side, got in zip(size, pixels.shape, strict=False))
    inside = pixels[100:-100, 100:-100]
    assert inside.std(axis=(0, 1)).max() < 0.02
    assert 0.05 < inside.mean() < 0.95
