"""Pictures, small networks and the surroundings of all tests."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.image.colour import linear_to_srgb
from restore.image.decode import decode
from restore.image.picture import Picture
from restore.image.raw_picture import RawPicture

pytest_plugins = ("tests.remote.object_store",)

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium; tests that need it are skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        # As root, as in containers, Chromium runs only without its sandbox.
        without = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
        started = playwright.chromium.launch(executable_path=program, args=without)
        yield started
        started.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data sets beside the project; tests that need them are skipped where they are not."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    """The files that come with the tests; see their README."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def clean_photos(data: Path) -> list[Picture]:
    """Photographs without noise, 160x160."""
    photos = [decode(path) for path in sorted(data.glob("*.png"))]
    assert len(photos) == 5
    return photos


@pytest.fixture(scope="session")
def brackets(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exposure brackets of one room as a camera writes them, JPEG with EXIF.

    ``stack`` has seven frames, two stops apart and taken 20 s one after the other; in
    ``stack_alignment`` the darker and the brighter frame are displaced by 8 and 6 pixels.
    """
    light = decode(data / "lamp.exr").pixels
    shots = [
        (f"stack/stack_room_exp_{n}.jpg", 2 / 4**n, 20 * n, (8, 8), 2.0 / 4**n) for n in range(7)
    ]
    shots += [
        ("stack_alignment/IMG_4209.jpg", 1 / 80, 300, (8, 8), 1.0),
        ("stack_alignment/IMG_4210.jpg", 1 / 320, 301, (14, 16), 0.25),
        ("stack_alignment/IMG_4211.jpg", 1 / 20, 302, (2, 0), 4.0),
    ]
    folder = tmp_path_factory.mktemp("brackets")
    for name, seconds, taken, (top, left), exposure in shots:
        seen = linear_to_srgb(exposure * light[:, top : top + 192, left : left + 256])
        frame = Image.fromarray(np.rint(255 * seen.clip(0, 1)).astype(np.uint8).transpose(1, 2, 0))
        exif = Image.Exif()
        exif.get_ifd(0x8769).update(
            {
                33434: seconds,
                33437: 4.5,
                34855: 200,
                36867: f"2024:05:01 12:{taken // 60:02}:{taken % 60:02}",
            }
        )
        (folder / name).parent.mkdir(exist_ok=True)
        frame.save(folder / name, quality=95, exif=exif)
    return folder


@pytest.fixture(scope="session", autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads what is in the user's cache and config folders, or leaves anything there.

    Networks run in PyTorch, which opens them in no time; see ``usual_engine``. Trainings draw no
    curves, which would take longer than their few steps; see ``drawn_curves``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMRESTORE_ENGINE", "pytorch")
        if "torch" in sys.modules:  # else nothing is trained
            patch.setattr("restore.training.history.curve_of", lambda *_: b"")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture
def drawn_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trainings draw their curves, as for users."""
    from restore.training.curve import curve_of

    monkeypatch.setattr("restore.training.history.curve_of", curve_of)


@pytest.fixture
def usual_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run networks in OpenVINO where it is installed, as for users; it compiles each of them."""
    monkeypatch.delenv("IMRESTORE_ENGINE", raising=False)


BAYER = {
    "rggb": [[0, 1], [3, 2]],
    "grbg": [[1, 0], [2, 3]],
    "gbrg": [[3, 2], [0, 1]],
    "bggr": [[2, 3], [1, 0]],
}
MATRIX = np.array([[0.8, -0.2, -0.1], [-0.5, 1.3, 0.2], [-0.1, 0.2, 0.7]], dtype=np.float32)
XTRANS = [
    [1, 1, 0, 1, 1, 2],
    [1, 1, 2, 1, 1, 0],
    [2, 0, 1, 0, 2, 1],
    [1, 1, 2, 1, 1, 0],
    [1, 1, 0, 1, 1, 2],
    [0, 2, 1, 2, 0, 1],
]


@pytest.fixture(scope="session")
def sensor() -> Callable[..., RawPicture]:
    """Makes RAW pictures: ``sensor("grbg", size=(96, 132), level=0.1)``, or of other fields."""

    def make(
        pattern: str = "rggb",
        *,
        size: tuple[int, int] = (96, 132),
        level: float = 0.5,
        **fields: Any,
    ) -> RawPicture:
        rng = np.random.default_rng(0)
        most = 512 + level * 15000
        values: dict[str, Any] = {
            "mosaic": rng.uniform(512, most, size).astype(np.uint16),
            "cfa": np.array(XTRANS if pattern == "xtrans" else BAYER[pattern], dtype=np.uint8),
            "black_level": (512.0, 512.0, 512.0, 512.0),
            "white_level": 15512.0,
            "white_balance": (2.1, 1.0, 1.6),
            "xyz_to_camera": MATRIX,
        }
        return RawPicture(**(values | fields))

    return make


@pytest.fixture(scope="session")
def isp_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small untrained image signal processors, for bayer, for xtrans and for any sensor."""
    import torch

    from restore.models.isp_resunet import IspResUNet, IspResUNetConfig
    from restore.models.isp_unet import IspUNet, IspUNetConfig

    torch.manual_seed(0)
    networks = {
        "bayer": IspUNet(IspUNetConfig(planes=4, width=2)),
        "xtrans": IspUNet(IspUNetConfig(planes=9, width=2)),
        "any": IspResUNet(IspResUNetConfig(widths=(4, 6), blocks=1)),
    }
    paths = {}
    for name, network in networks.items():
        path = tmp_path_factory.mktemp("isp") / f"{name}.safetensors"
        paths[name] = _save(network, path, task="dark-enhance")
    return paths


def _save(network: Any, path: Path, task: str) -> Path:
    from restore.weights.store import save_weights, weights_of

    save_weights(weights_of(network, name=path.stem, task=task, provenance={}), path)
    return path


@pytest.fixture(scope="session")
def gray_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A blind gray network that changes pictures."""
    import torch

    from restore.models.dncnn import DnCNN, DnCNNConfig

    torch.manual_seed(1)
    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=8))
    return _save(network, tmp_path_factory.mktemp("models") / "gray.safetensors", "denoise")


@pytest.fixture(scope="session")
def color_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A colour network that is told sigma."""
    import torch

    from restore.models.resunet import ResUNet, ResUNetConfig

    torch.manual_seed(2)
    network = ResUNet(ResUNetConfig(channels=3, widths=(4, 8), blocks=1))
    return _save(network, tmp_path_factory.mktemp("models") / "color.safetensors", "denoise")


@pytest.fixture(scope="session")
def mosaic_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained denoiser of RAW mosaics."""
    import torch

    from restore.models.mosaic_resunet import MosaicResUNet, MosaicResUNetConfig

    torch.manual_seed(3)
    network = MosaicResUNet(MosaicResUNetConfig(widths=(4, 8), blocks=1))
    return _save(network, tmp_path_factory.mktemp("models") / "mosaic.safetensors", "denoise-raw")


@pytest.fixture(scope="session")
def hdr_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that claims to be for another task than its own, hdr."""
    from restore.models.dncnn import DnCNN, DnCNNConfig

    network = DnCNN(DnCNNConfig(channels=1, depth=3, width=8))
    return _save(network, tmp_path_factory.mktemp("models") / "other.safetensors", "hdr")


@pytest.fixture(scope="session")
def single_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network for light above white."""
    import torch

    from restore.models.hdr_resunet import HdrResUNet, HdrResUNetConfig

    torch.manual_seed(0)
    network = HdrResUNet(HdrResUNetConfig(widths=(4, 6), psf_size=0))
    return _save(network, tmp_path_factory.mktemp("models") / "single.safetensors", "hdr")


@pytest.fixture(scope="session")
def detector_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained detector of defects in gray pictures, calibrated on made-up scores."""
    import torch

    from restore.anomaly.calibration import Calibration
    from restore.models.autoencoder import Autoencoder, AutoencoderConfig
    from restore.weights.store import save_weights, weights_of

    torch.manual_seed(0)
    network = Autoencoder(AutoencoderConfig(channels=1, window=32, latent=4, loss="l2"))
    calibration = Calibration(scores=tuple(i / 50 for i in range(40)), target_fpr=0.05)
    provenance = {"calibration": calibration.as_mapping()}
    path = tmp_path_factory.mktemp("models") / "detector.safetensors"
    weights = weights_of(network, name="detector", task="anomaly", provenance=provenance)
    save_weights(weights, path)
    return path
