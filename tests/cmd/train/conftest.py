"""What trainings from the command line learn from."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., SimpleNamespace]


@pytest.fixture(scope="session")
def three_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three gray pictures of noise; tests only read it."""
    folder = tmp_path_factory.mktemp("three") / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (40, 50), dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def photos(three_photos: Path, tmp_path: Path) -> Path:
    """The same three pictures in a folder of the test's own."""
    return copytree(three_photos, tmp_path / "photos")


@pytest.fixture
def train(run: Run) -> Run:
    """Run a training of a denoiser in this process."""
    return lambda *arguments: run("train", "denoise", *map(str, arguments))


@pytest.fixture(scope="module")
def few_trials() -> Iterator[None]:
    """Judge and try detectors on few crops: for tests of what a training does around it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("restore.anomaly.judge._CROPS", 8)
        patch.setattr("restore.anomaly.made_defects._LEAST_TRIED", 8)
        patch.setattr("restore.anomaly.made_defects._MOST_TRIED", 8)
        yield


@pytest.fixture(scope="session")
def write_parts() -> Callable[..., Path]:
    """Write good parts of noise, of different sizes, into a folder."""

    def write(path: Path, count: int = 12, *, colour: bool = False) -> Path:
        rng = np.random.default_rng(0)
        path.mkdir(exist_ok=True)
        for index in range(count):
            shape = (50 + 3 * index, 90 - 2 * index) + ((3,) if colour else ())
            values = rng.integers(80, 120, shape, dtype=np.uint8)
            Image.fromarray(values).save(path / f"{index:02d}.png")
        return path

    return write


@pytest.fixture
def parts(workplace: Path, write_parts: Callable[..., Path]) -> Callable[..., Path]:
    """Write good parts into the folder ``good``."""
    return partial(write_parts, workplace / "good")
