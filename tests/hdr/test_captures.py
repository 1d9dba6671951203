"""Real captures against brackets, with scenes that are made to know the answer."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from restore.errors import UsageError
from restore.hdr.captures import CaptureResult, capture_scenes, evaluate_captures
from restore.hdr.evaluate import NOTHING, Contender
from restore.image.metrics import Failure

SIDE = 120
MOVED = np.array([3.0, -2.0])


def radiance() -> NDArray[np.float32]:
    """Return a textured scene with two lamps, of 4 and of 16 times white."""
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.random((SIDE, SIDE)), 4)
    light = 0.1 + 0.5 * (texture - texture.min()) / np.ptp(texture)
    light[30:40, 40:50], light[80:84, 70:90] = 4.0, 16.0
    return np.stack([light, 0.9 * light, 0.8 * light]).astype(np.float32)


def write(path: Path, light: NDArray[np.float32]) -> None:
    codes = np.rint(255 * light.clip(0, 1)).astype(np.uint8)
    Image.fromarray(codes.transpose(1, 2, 0)).save(path)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder in the authors' layout, whose coded capture is moved by some pixels."""
    light, place = radiance(), tmp_path / "lamps"
    place.mkdir()
    for stops in (0.0, -2.0, -4.0):
        write(place / f"woutPSF_{stops:.2f}_stop.png", light * 2**stops)
    write(place / "wPSF_0_stop.png", light)
    return place


class Decoder:
    """A network that gives back what it is told to, through an element."""

    name, psf = "decoder", torch.ones(3, 1, 1)

    def __init__(self, result: NDArray[np.float32]) -> None:
        self.result = result

    def __call__(self, _capture: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.result)


def errors(scene: Path, result: NDArray[np.float32]) -> dict[str, CaptureResult]:
    contender = cast(Contender, Decoder(result))
    found = evaluate_captures([contender], capture_scenes(scene.parent))
    return {one.model: one for one in found if isinstance(one, CaptureResult)}


def test_the_uncoded_exposure_lacks_what_it_cut_off(scene: Path) -> None:
    """Of 180 lost pixels 100 are at 4, 3.6 and 3.2 times white, 80 at four times that."""
    found = errors(scene, radiance())[NOTHING].stops
    lamp = np.log2([4, 3.6, 3.2])
    expected = (100 * lamp + 80 * (lamp + 2)).mean() / 180
    assert found.mean == pytest.approx(expected, abs=0.02)
    assert found.bias == pytest.approx(-expected, abs=0.02)


def test_motion_and_loss_of_light_are_no_errors(scene: Path) -> None:
    moved = np.stack(
        [ndimage.shift(0.8 * plane, MOVED, order=1, mode="nearest") for plane in radiance()]
    )
    found = errors(scene, moved.astype(np.float32))["decoder"]
    assert found.shift_px == pytest.approx(np.hypot(*MOVED), abs=0.3)
    assert found.correlation > 0.98
    assert found.stops.median < 0.05


def test_results_that_are_twice_as_bright_are_one_stop_off(scene: Path) -> None:
    light = radiance()
    found = errors(scene, np.where(light > 1, 2 * light, light))["decoder"].stops
    assert found.median == pytest.approx(1, abs=0.03)
    assert found.bias == pytest.approx(1, abs=0.05)


def test_folders_that_are_no_scenes_are_named(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no folder with a"):
        capture_scenes(tmp_path / "empty")
    with pytest.raises(UsageError, match="no such folder"):
        capture_scenes(tmp_path / "nowhere")
    (scene / "woutPSF_0.00_stop.png").unlink()
    (failure,) = evaluate_captures([], capture_scenes(scene))
    assert isinstance(failure, Failure)
    assert "woutPSF_0_stop.png" in failure.reason
